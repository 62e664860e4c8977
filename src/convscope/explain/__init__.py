"""What-ifs over a trace: layers switched off, a box of the photo asked about, classes attributed."""

from convscope.explain.attribution import Attribution, grad_cam
from convscope.explain.boxes import BoxHit, channels_in_box
from convscope.explain.edits import Edit
from convscope.explain.running import EditedTrace, rerun

__all__ = ["Attribution", "BoxHit", "Edit", "EditedTrace", "channels_in_box", "grad_cam", "rerun"]
