"""Where pictures come from: files, samples, bytes, Pillow images and arrays, all made one form.

No torch here. Pillow and numpy are imported when the first picture is read.
"""

from __future__ import annotations

from convscope.data.limits import Limits
from convscope.data.load import load_image
from convscope.data.names import printable
from convscope.data.picture import Picture
from convscope.data.sample_files import samples

__all__ = ["Limits", "Picture", "load_image", "printable", "samples"]
