"""``convscope data``: what a data set holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.cli.counting import counting
from convscope.cli.options import JsonOption, StrictOption, note, optional, print_json, say
from convscope.cli.spared import spare_data, spare_inputs
from convscope.errors import UsageError

if TYPE_CHECKING:
    from convscope.datasets import Dataset, Description


def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="`digits`; `cifar10`; a folder of class folders, or a zip of one; some classes of any: "
            "`cifar10:airplane,automobile,ship`.",
        ),
    ] = "digits",
    root: Annotated[
        Path | None,
        optional(
            "--root",
            "PLACE",
            "Where CIFAR-10 lies: the release's folder or archive, or a folder or zip of its pictures. "
            "If not given, it is downloaded once.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, optional("--sheet", "FILE", "Draw a contact sheet, pictures of every class, as PNG.")
    ] = None,
    size: Annotated[
        int | None,
        optional(
            "--size",
            "PIXELS",
            "Side of the square every picture is scaled to; pictures of one size keep it if not given.",
            min=1,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="For the test part, where the data has none.")
    ] = 0,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Describe a data set: counts, sizes, mean and standard deviation, a contact sheet, problems.

    Examples:

    - `convscope data digits --sheet digits.png`
    - `convscope data cifar10:cat,dog`
    - `convscope data my_photos/ --json`
    """
    if sheet is not None:
        from convscope.files import check_writable

        spare_inputs([sheet], name, str(root or ""))
        spare_data([sheet], name, str(root or ""))
        check_writable(sheet)
        if sheet.suffix.lower() != ".png":
            raise UsageError(f"a picture is written as .png; got {sheet.name!r}")
    from convscope.datasets import contact_sheet, describe, load_dataset

    with counting(f"reading {name}") as progress:
        dataset = load_dataset(name, root=root, size=size, strict=strict, seed=seed, on_progress=progress)
    with counting(f"measuring {name}") as progress:
        found = describe(dataset, on_progress=progress)
    if sheet is not None:
        from convscope.exhibits.sheets import save_png

        save_png(sheet, contact_sheet(dataset), text={"Title": name})
    if json:
        print_json({**found.as_json(), "sheet": None if sheet is None else str(sheet)})
        return
    _print(found)
    if sheet is not None:
        say(f"picture: {sheet}")


def _print(found: Description) -> None:
    from convscope.cli.tables import print_table

    dataset = found.dataset
    say(f"{dataset.name}: {_kind(dataset)}", strong=True)
    train, test = (int(found.counts[part].sum()) for part in ("train", "test"))
    rows = [
        [short(name), *(f"{found.counts[part][label]:,}" for part in ("train", "test"))]
        for label, name in enumerate(dataset.classes)
    ]
    print_table([["class", "train", "test"], *rows, ["all", f"{train:,}", f"{test:,}"]], right=[1, 2])
    made = "as given" if dataset.split == "given" else f"none was given, so one was made: {dataset.split}"
    say(f"test part           {made}")
    say(f"mean                {_numbers(found.mean)}")
    say(f"standard deviation  {_numbers(found.std)}")
    for text in dataset.notes:
        note(text)
    for problem in found.problems:
        say(f"problem: {problem.message}")
    if not found.problems:
        say("no problems found: every file read, no class empty, no picture in both parts")


def short(name: str) -> str:
    """A class name that leaves room in a table.

    Examples
    --------
    >>> short("cat"), len(short("a name " * 20))
    ('cat', 40)
    """
    return name if len(name) <= _WIDEST else f"{name[: _WIDEST - 1].rstrip()}…"


_WIDEST = 40


def _kind(dataset: Dataset) -> str:
    height, width, channels = dataset.train.shape
    colours = "grey" if channels == 1 else "RGB"
    classes = len(dataset.classes)
    return f"{classes} class{'' if classes == 1 else 'es'} of pictures, {height} × {width}, {colours}"


def _numbers(values: tuple[float, ...]) -> str:
    return "  ".join(f"{value:.4f}" for value in values)
