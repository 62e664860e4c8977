"""All lessons, in the order in which they are told."""

from __future__ import annotations

from convscope.errors import UsageError, nearest
from convscope.lesson.flip import FLIP
from convscope.lesson.lessons import Lesson
from convscope.lesson.steps import STEPS

#: Every lesson by its name.
LESSONS: dict[str, Lesson] = {lesson.name: lesson for lesson in (STEPS, FLIP)}


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
