"""Which class and which part each file belongs to, told from the folders it lies in.

Understood are class folders, class folders within ``train`` and ``test`` (or ``val``), and either of these
inside one outer folder, as archives often have them. Folders of other files beside these (``docs``) are not
looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice, takewhile
from sys import intern

from convscope.data.kinds import format_of
from convscope.data.names import composed, printable
from convscope.datasets.problems import Problem, counted, listed
from convscope.datasets.trees import Tree
from convscope.errors import DatasetError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".jfif", ".jpe")

LAYOUT = (
    "Expected is a folder or zip with one folder a class (cats/1.jpg, dogs/2.jpg), alone or inside "
    "train/ and test/."
)


@dataclass
class Layout:
    """Files by part and class.

    ``parts`` maps ``"train"`` (and ``"test"``, where there is one) to pairs of a file and its class;
    ``classes`` are those with files in ``train``, sorted; ``root`` is the folder, with a slash, in which
    their folders lie.
    """

    classes: tuple[str, ...]
    parts: dict[str, list[tuple[str, str]]]
    root: str
    problems: list[Problem] = field(default_factory=list)


def find_layout(tree: Tree) -> Layout:
    """Sort the files of ``tree`` into parts and classes.

    Raises
    ------
    DatasetError
        ``no_classes`` where there are no class folders, ``empty`` where they hold nothing.
    """
    problems: list[Problem] = []
    base = _outer_folder(tree)
    roots = _parts(tree, base, problems)
    files: dict[str, list[tuple[str, str]]] = {part: [] for part in roots}
    outside: list[str] = []
    others: list[str] = []
    for name in tree.files:
        part, below = _place(name, roots)
        class_, slash, _ = below.partition("/")
        if part is None and "/" in name[len(base) :] and name.startswith(base):
            continue  # in a folder beside the parts, which was said
        if part is None or not slash:
            outside.append(printable(name))
        elif _is_picture(tree, name):
            files[part].append((name, intern(composed(class_))))
        else:
            others.append(printable(name))
    folders = _class_folders(tree, roots)
    if not any(folders.values()):
        raise DatasetError(
            f"`{tree.name}` holds no class folders"
            + (f", only {counted(len(outside), 'file')}" if outside else "")
            + _why_not_more(tree),
            code="no_classes",
            hint=LAYOUT,
        )
    if not files["train"]:
        raise DatasetError(
            f"the class folders of `{tree.name}` hold no pictures to train on: "
            f"{listed(map(printable, sorted(folders['train'])) or ['none'])}{_why_not_more(tree)}",
            code="empty",
            hint=LAYOUT,
        )
    _say(problems, "outside_classes", outside, "file", "outside the class folders")
    _say(problems, "not_a_picture", others, "file", "not a picture in a format that is read")
    classes = _settle(files, folders, problems)
    return Layout(classes, files, roots["train"], problems)


def _settle(
    files: dict[str, list[tuple[str, str]]], folders: dict[str, set[str]], problems: list[Problem]
) -> tuple[str, ...]:
    """The classes; those that are empty or only in the test part go, with a word."""
    kept = {class_ for _, class_ in files["train"]}
    for part, names in folders.items():
        empty = sorted(names - {class_ for _, class_ in files[part]})
        if empty:
            shown = [printable(name) for name in empty]
            where = "" if len(folders) == 1 else f" in {part}"
            word = counted(len(empty), "class has", "classes have")
            text = f"{word} no pictures{where}: {listed(shown)}"
            problems.append(Problem("empty_class", text, tuple(shown)))
    only = sorted({class_ for _, class_ in files.get("test", [])} - kept)
    if only:
        shown = [printable(name) for name in only]
        word = counted(len(only), "class is", "classes are")
        text = f"{word} only in test; left out there: {listed(shown)}"
        problems.append(Problem("class_only_in_test", text, tuple(shown)))
        files["test"] = [pair for pair in files["test"] if pair[1] in kept]
    if files.get("test"):
        # An empty folder was named above.
        untested = sorted(kept - {class_ for _, class_ in files["test"]} - folders["test"])
        if untested:
            shown = [printable(name) for name in untested]
            word = counted(len(untested), "class has", "classes have")
            text = f"{word} pictures to train on and none to test: {listed(shown)}"
            problems.append(Problem("empty_class", text, tuple(shown)))
    return tuple(sorted(kept))


def _outer_folder(tree: Tree) -> str:
    """The one folder that all class folders lie in, with a slash, if it is not a class or a part itself."""
    base = ""
    while True:
        tops = _without_strangers(tree, base, _folders_in(tree, base))
        if len(tops) != 1:
            return base
        only = tops.pop()
        if not _folders_in(tree, f"{base}{only}/") or only.lower() in TRAIN:
            return base
        base = f"{base}{only}/"


def _without_strangers(tree: Tree, base: str, tops: set[str]) -> set[str]:
    """``tops`` without folders that hold files and no picture among them, if one with folders is left."""
    if len(tops) < 2:
        return tops
    pictured = {top for top in tops if _holds(tree, f"{base}{top}/", pictures=True)}
    strangers = {top for top in tops - pictured if _holds(tree, f"{base}{top}/", pictures=False)}
    rest = tops - strangers
    if len(rest & pictured) == 1 and not rest - pictured and _folders_in(tree, f"{base}{next(iter(rest))}/"):
        return rest
    return tops


def _holds(tree: Tree, folder: str, *, pictures: bool) -> bool:
    start = bisect_left(tree.files, folder)
    within = takewhile(lambda name: name.startswith(folder), islice(tree.files, start, None))
    return any(not pictures or _is_picture(tree, name) for name in within)


def _why_not_more(tree: Tree) -> str:
    """What was left out in listing, for an error about there being nothing."""
    return "".join(f"; {problem.message}" for problem in tree.problems)


def _folders_in(tree: Tree, base: str) -> set[str]:
    """Names of the folders directly in ``base``."""
    return {name[len(base) :].partition("/")[0] for name in tree.folders if name.startswith(base)} - {""}


def _parts(tree: Tree, base: str, problems: list[Problem]) -> dict[str, str]:
    """The folder of each part: one ``train`` for everything, or ``train`` and ``test`` as they lie there."""
    tops = _folders_in(tree, base)
    lower = {name.lower(): name for name in tops}
    train = next((lower[name] for name in TRAIN if name in lower), None)
    tests = [lower[name] for name in TEST if name in lower]
    others = sorted(top for top in tops - {train, *tests} if _holds(tree, f"{base}{top}/", pictures=True))
    # Beside other classes and without a test part, a folder `train` holds pictures of trains.
    if train is None or (
        (others or (len(tops) > 1 and not _folders_in(tree, f"{base}{train}/"))) and not tests
    ):
        return {"train": base}
    if not tests:
        return {"train": f"{base}{train}/"}
    for unused in (*tests[1:], *others):
        text = f"the pictures in {printable(unused)} are not used, only those in {train} and {tests[0]}"
        problems.append(Problem("unused_split", text, (printable(unused),)))
    return {"train": f"{base}{train}/", "test": f"{base}{tests[0]}/"}


def _place(name: str, roots: dict[str, str]) -> tuple[str | None, str]:
    for part, root in roots.items():
        if name.startswith(root):
            return part, name[len(root) :]
    return None, ""


def _class_folders(tree: Tree, roots: dict[str, str]) -> dict[str, set[str]]:
    return {part: set(map(composed, _folders_in(tree, root))) for part, root in roots.items()}


def _is_picture(tree: Tree, name: str) -> bool:
    """By the ending for most; a file without a usual one is looked into."""
    return name.lower().endswith(_ENDINGS) or format_of(tree.head(name)) is not None


def _say(problems: list[Problem], code: str, names: Iterable[str], thing: str, what: str) -> None:
    every = tuple(names)
    if every:
        verb = "is" if len(every) == 1 else "are"
        text = f"{counted(len(every), thing)} {verb} {what}; left out: {listed(every)}"
        problems.append(Problem(code, text, every))
