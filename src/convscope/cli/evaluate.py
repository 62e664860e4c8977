"""``convscope evaluate``: how good a trained network is on images it never saw."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.cli.counting import counting
from convscope.cli.data import short
from convscope.cli.options import JsonOption, RootOption, note, optional, print_json, say
from convscope.cli.tables import print_table
from convscope.errors import UsageError

if TYPE_CHECKING:
    from convscope.training import Evaluation


def run(
    run_: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder of `convscope train`.", show_default=False)
    ],
    data: Annotated[
        str | None,
        optional("--data -d", "WHAT", "As for `convscope train`; what the run was trained on if not given."),
    ] = None,
    part: Annotated[
        str, typer.Option("--part", metavar="WHICH", help="`test`: never trained on; or `train`.")
    ] = "test",
    leak: Annotated[
        bool,
        typer.Option(
            "--leak",
            help="Beside the accuracy show what an article's mistake gives: training images, dropout on.",
        ),
    ] = False,
    views: Annotated[
        str | None,
        optional(
            "--views", "HOW", "Average over `one` look, it and its `mirror` image, or 4 `shifts` of it too."
        ),
    ] = None,
    root: RootOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a trained network in evaluation mode: accuracy with its interval, class by class.

    Examples:

    - `convscope evaluate runs/tutorial_cnn-cifar10`
    - `convscope evaluate runs/tutorial_cnn-cifar10 --data my_photos/`
    """
    from convscope.training.measuring import evaluate, measure_leak

    if leak:
        if data is not None or views is not None or part != "test":
            raise UsageError(
                "`--leak` measures the run's own data in three ways of its own",
                hint="Leave `--data`, `--part` and `--views` out.",
            )
        with _Counts(run_) as counts:
            leaks = measure_leak(run_, root=root, on_batch=counts.measured, on_read=counts.read)
        kinds = {
            "training images, dropout on (as the article measures)": leaks.as_the_article,
            "training images, evaluation mode": leaks.train,
            "test images, evaluation mode (its accuracy)": leaks.test,
        }
        if json:
            print_json({name: value.to_json() for name, value in kinds.items()})
            return
        rows = [[name, f"{100 * value.accuracy:.2f} %", f"{value.images:,}"] for name, value in kinds.items()]
        print_table([["measured on", "accuracy", "images"], *rows], right=[1, 2])
        for text in leaks.test.notes:
            note(text)
        return
    with _Counts(run_) as counts:
        measured = evaluate(
            run_,
            data,
            part=part,
            views=views,
            root=root,
            on_batch=counts.measured,
            on_read=counts.read,
        )
    if json:
        confusion = {"classes": list(measured.classes), "confusion": measured.confusion.tolist()}
        print_json({**measured.to_json(), **confusion})
        return
    _print(run_, part, measured)
    for text in measured.notes:
        note(text)


class _Counts:
    """How many images are read, then how many are measured, one bar after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open = ExitStack()
        self._word = ""
        self._move: Callable[[int, int], None] = lambda done, total: None

    def __enter__(self) -> _Counts:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def read(self, done: int, total: int) -> None:
        """Images were read."""
        self._count(f"reading the images for {self._name}", done, total)

    def measured(self, done: int, total: int) -> None:
        """Images were measured."""
        self._count(f"measuring {self._name}", done, total)

    def _count(self, word: str, done: int, total: int) -> None:
        if word != self._word:
            self._open.close()
            self._word, self._move = word, self._open.enter_context(counting(word))
        self._move(done, total)


def _print(name: str, part: str, found: Evaluation) -> None:
    low, high = (100 * end for end in found.interval)
    kind = "test" if part == "test" else "training"
    looks = {"mirror": ", with their mirror images", "shifts": ", each in 5 looks"}.get(found.views, "")
    say(
        f"{name}: {100 * found.accuracy:.2f} % of {found.images:,} {kind} images right{looks} "
        f"(95 %: {low:.1f} to {high:.1f}), loss {found.loss:.4g}",
        strong=True,
    )
    totals = found.confusion.sum(1)
    rows = []
    for i, name_ in enumerate(found.classes):
        if totals[i]:
            others = found.confusion[i].copy()
            others[i] = 0
            worst = int(others.argmax())
            mixed = f"{short(found.classes[worst])} ({int(others[worst])})" if others[worst] else ""
            right = f"{100 * found.confusion[i, i] / totals[i]:.1f} %"
            rows.append([short(name_), right, f"{int(totals[i]):,}", mixed])
    print_table([["class", "right", "images", "most taken for"], *rows], right=[1, 2])
