"""All lessons, in the order in which they are told."""

from __future__ import annotations

from convscope.errors import UsageError, nearest
from convscope.lesson.counting import COUNTING
from convscope.lesson.cut import CUT
from convscope.lesson.detectors import DETECTORS
from convscope.lesson.flip import FLIP
from convscope.lesson.grid import GRID
from convscope.lesson.lessons import Lesson
from convscope.lesson.pooling import POOLING
from convscope.lesson.reach import REACH
from convscope.lesson.shift import SHIFT
from convscope.lesson.softmax import SOFTMAX
from convscope.lesson.steps import STEPS
from convscope.lesson.stride import STRIDE
from convscope.lesson.threshold import THRESHOLD
from convscope.lesson.variants import DEPTHWISE, DILATED, POINTWISE, TRANSPOSED

#: Every lesson by its name.
LESSONS: dict[str, Lesson] = {
    lesson.name: lesson
    for lesson in (
        STEPS,
        FLIP,
        DETECTORS,
        CUT,
        STRIDE,
        THRESHOLD,
        POOLING,
        REACH,
        SHIFT,
        GRID,
        COUNTING,
        SOFTMAX,
        TRANSPOSED,
        DILATED,
        DEPTHWISE,
        POINTWISE,
    )
}


def find_lesson(name: str) -> Lesson:
    """The lesson of that name.

    Raises
    ------
    UsageError
        If there is none.

    Examples
    --------
    >>> find_lesson("steps").title["en"]
    'Step by step'
    """
    if name not in LESSONS:
        near = nearest(name, LESSONS)
        raise UsageError(
            f"there is no lesson `{name}`",
            hint=f"Did you mean {', '.join(near)}?" if near else f"There are {', '.join(LESSONS)}.",
        )
    return LESSONS[name]
