"""A lesson: its title and text, its controls, and what it computes from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError, nearest
from convscope.lesson.controls import Control
from convscope.lesson.result import LessonResult, Text
from convscope.lesson.wanted import still_wanted

if TYPE_CHECKING:
    from convscope.data import Picture
    from convscope.lesson.photos import Previews
    from convscope.models import Model

Values = Mapping[str, Any]


def _load_picture(source: Any) -> Picture:
    from convscope.data import load_image

    return load_image(source)


def _load_model(spec: str, weights: str) -> Model:
    from convscope.models import load_model

    return load_model(spec, weights=weights)


@dataclass(frozen=True)
class Tools:
    """How a lesson comes to pictures and models.

    Whoever runs lessons for others gives ``picture`` and ``model`` of their own, which refuse files and code.

    Parameters
    ----------
    picture
        From what the control says (``sample:cat``, a file) to the picture.
    model
        From a model's name and weights (``default`` or ``none``) to the model.
    preview
        Whether to answer quickly on a smaller copy of a large picture.
    previews
        Where those copies are kept from one run to the next, if they are.
    """

    picture: Callable[[Any], Picture] = _load_picture
    model: Callable[[str, str], Model] = _load_model
    preview: bool = False
    previews: Previews | None = None


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Parameters
    ----------
    name
        As it is called on the command line and in the page's address.
    title, text
        In each language; the text is two or three plain sentences.
    controls
        What can be changed.
    compute
        From checked values and tools to the result.
    """

    name: str
    title: Text
    text: Text
    controls: tuple[Control, ...]
    compute: Callable[[Values, Tools], LessonResult] = field(repr=False)

    def run(self, tools: Tools | None = None, **values: Any) -> LessonResult:
        """Run the lesson; controls that are not named stand on their default.

        Raises
        ------
        ControlError
            If a value is one its control cannot take; its ``control`` names the control.
        ImageError, ModelError
            If a picture or model cannot be had.

        Examples
        --------
        >>> from convscope.lesson import LESSONS
        >>> LESSONS["steps"].run(image="1 2; 3 4", kernel="1 0; 0 1").numbers["output"]
        [[5.0]]
        """
        tools = tools or Tools()
        checked = self.check(values)
        result = self.compute(checked, tools)
        still_wanted()
        plain = {control.name: control.plain(checked[control.name]) for control in self.controls}
        return replace(result, values=plain)

    def check(self, values: Values) -> dict[str, Any]:
        """Every control's value in its own type.

        Raises
        ------
        ControlError
            If a value is not one its control can take, or there is no such control.
        """
        known = {control.name: control for control in self.controls}
        for name in values:
            if name not in known:
                near = nearest(name, known)
                raise ControlError(
                    f"the lesson `{self.name}` has no control `{name}`",
                    control=name,
                    hint=f"Did you mean {', '.join(near)}?" if near else f"It has {', '.join(known)}.",
                )
        return {name: control.check(values.get(name, control.default)) for name, control in known.items()}

    def to_json(self) -> dict[str, Any]:
        """Title, text and controls as plain JSON."""
        return {
            "name": self.name,
            "title": dict(self.title),
            "text": dict(self.text),
            "controls": [control.to_json() for control in self.controls],
        }
