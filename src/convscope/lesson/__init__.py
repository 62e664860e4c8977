"""Convolution itself, step by step: on typed numbers, on a person's own picture, lesson by lesson."""

from __future__ import annotations

from convscope.lesson.convolution import Convolution, Step
from convscope.lesson.convolve import convolve
from convscope.lesson.geometry import Geometry

__all__ = ["Convolution", "Geometry", "Step", "convolve"]
