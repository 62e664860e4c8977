"""Convolution itself, step by step: on typed numbers, on a person's own picture, lesson by lesson."""

from __future__ import annotations

from convscope.lesson.convolution import Convolution, Step
from convscope.lesson.convolve import convolve
from convscope.lesson.geometry import Geometry
from convscope.lesson.kernels import KERNELS, named_kernel
from convscope.lesson.lessons import Lesson, Tools
from convscope.lesson.registry import LESSONS, find_lesson
from convscope.lesson.result import Chart, LessonResult, Map, Mark, Series, Table

__all__ = [
    "KERNELS",
    "LESSONS",
    "Chart",
    "Convolution",
    "Geometry",
    "Lesson",
    "LessonResult",
    "Map",
    "Mark",
    "Series",
    "Step",
    "Table",
    "Tools",
    "convolve",
    "find_lesson",
    "named_kernel",
]
