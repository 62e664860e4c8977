"""``convscope train``: from a network, pictures with classes and a recipe to a trained network."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.options import JsonOption, RootOption, StrictOption, note, optional, print_json, say
from convscope.cli.training_progress import shown_progress
from convscope.errors import UsageError

if TYPE_CHECKING:
    from convscope.training import Recipe, Run
    from convscope.training.plan import Wish


def run(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="An article's network (`tutorial_cnn`), a torchvision name, `timm:NAME` or your own "
            "`path/to/net.py:Class`; it begins with random weights. `tutorial_tanh` if not given.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        optional(
            "--data -d",
            "WHAT",
            "`digits` (the default, offline), `cifar10`, a folder of class folders or a zip of one; "
            "some classes of it: `cifar10:airplane,automobile,ship`.",
        ),
    ] = None,
    transfer: Annotated[
        str | None,
        optional(
            "--transfer -t",
            "MODEL",
            "Instead of MODEL: a trained network (torchvision, `timm:NAME`, a run folder) gets a new "
            "classifier for these classes, and only that is trained.",
        ),
    ] = None,
    unfreeze: Annotated[
        bool,
        typer.Option(
            "--unfreeze", help="With `--transfer`: train every weight, best after the classifier alone."
        ),
    ] = False,
    weights: Annotated[
        str,
        typer.Option("--weights", "-w", metavar="WHICH", help="With `--transfer`: which trained weights."),
    ] = "default",
    recipe: Annotated[
        str | None,
        optional(
            "--recipe -r",
            "NAME",
            "`article`: as the article says, mistakes mended; `fast`: ours; `plain`: for any network. "
            "If not given: the article's for its own pictures, else `plain`.",
        ),
    ] = None,
    run_: Annotated[
        str | None,
        optional("--run -o", "FOLDER", "Where everything goes; a new folder under runs/ if not given."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in `--run` from its last checkpoint.")
    ] = False,
    epochs: Annotated[int | None, optional("--epochs -e", "N", "Passes over the images.")] = None,
    batch: Annotated[int | None, optional("--batch -b", "N", "Images a step.")] = None,
    learning_rate: Annotated[
        float | None, optional("--learning-rate -l", "RATE", "Its largest value.")
    ] = None,
    precision: Annotated[
        str | None,
        optional("--precision", "WHICH", "`fp32`, `bf16`, or `auto`: bf16 where the processor has it."),
    ] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Let torch compile the network first.")] = False,
    set_: Annotated[
        list[str] | None,
        optional(
            "--set",
            "NAME=VALUE",
            "Any value of the recipe, such as `momentum=0.8`; may be repeated. `--set '?'` lists them.",
        ),
    ] = None,
    seed: Annotated[int | None, optional("--seed -s", "N", "0 if not given.")] = None,
    threads: Annotated[
        int | None,
        optional(
            "--threads -j",
            "N",
            "With 1, the same seed gives the same weights bit for bit on one machine. `--resume` keeps it.",
            min=1,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="WHICH", help="`auto`, `cpu`, `cuda`, `cuda:1`, `mps`.")
    ] = "auto",
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            "-p",
            min=1,
            metavar="N",
            help="Train in N processes, one a GPU, each with a batch of its own (extra `processes`).",
        ),
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(
            "--nodes", min=1, metavar="N", help="On N machines, started on each as Lightning Fabric says."
        ),
    ] = 1,
    size: Annotated[int | None, optional("--size", "PIXELS", "Side of the network's input.", min=1)] = None,
    root: RootOption = None,
    strict: StrictOption = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files for TensorBoard too.")
    ] = False,
    film: Annotated[
        bool,
        typer.Option(
            "--film/--no-film",
            help="Keep filters, maps of some test images and their answers at chosen steps, for "
            "`convscope film RUN`.",
        ),
    ] = True,
    animate: Annotated[
        Path | None, optional("--animate", "FILE", "Write the film as an animation too: .gif, .webp or .mp4.")
    ] = None,
    checkpoint: Annotated[
        float,
        typer.Option(
            "--checkpoint", min=0, metavar="SECONDS", help="Save the whole state at least so often."
        ),
    ] = 30.0,
    json: JsonOption = False,
) -> None:
    """Train a network, measure it on images it never saw, and keep everything in a run folder.

    Without arguments a small network learns handwritten digits, in half a minute and offline. Ctrl-C saves
    the state; `--resume` goes on and ends with the very same weights.

    Examples:

    - `convscope train`
    - `convscope train tutorial_cnn --data cifar10 --epochs 5`
    - `convscope train tutorial_tanh --data cifar10:airplane,automobile,ship`
    - `convscope train --transfer alexnet --data my_photos/ --run runs/mine`
    - `convscope train --transfer runs/mine --unfreeze --data my_photos/`
    - `convscope train --resume --run runs/tutorial_cnn-cifar10`
    - `convscope look photo.png --model runs/tutorial_cnn-cifar10`
    """
    if animate is not None:
        from convscope.cli.film import check_outputs
        from convscope.cli.spared import spare_data

        if not film:
            raise UsageError("`--animate` shows the film, and `--no-film` makes none")
        check_outputs(None, animate)
        spare_data([animate], data or "", str(root or ""))
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "precision": precision,
        "compile": True if compile_ else None,
    }
    listing = "?" in (set_ or [])
    said = [text for text in set_ or [] if text != "?"]
    typed = {key: str(value) for key, value in changes.items() if value is not None} | pairs(said)
    from convscope.training import Recipe, train
    from convscope.training.plan import Wish, choose_recipe
    from convscope.training.session import DEFAULT_DATA, DEFAULT_MODEL
    from convscope.training.together import is_helper

    if resume and run_ is None:
        run_ = _latest()
    if transfer is not None and model is not None:
        raise UsageError(f"`--transfer {transfer}` takes the place of MODEL; got {model} too")
    wish = Wish(
        transfer or model or DEFAULT_MODEL,
        data or DEFAULT_DATA,
        recipe,
        transfer=transfer is not None,
        unfreeze=unfreeze,
    )
    chosen = _changed(wish, typed, resume)
    if listing:
        if resume and run_ is not None:
            _list_values(_begun_with(run_), run_, json)
        else:
            _list_values(chosen if isinstance(chosen, Recipe) else choose_recipe(wish), str(wish.model), json)
        return
    if is_helper() and not os.environ.get("CONVSCOPE_DEBUG"):
        # The first process says what goes wrong; the others would say it again.
        # Torch's C++ part, too, once the first has left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with shown_progress() as progress:
        done = train(
            transfer or model,
            data,
            chosen,
            run=run_,
            seed=seed,
            size=size,
            root=root,
            strict=strict,
            transfer=transfer is not None,
            unfreeze=unfreeze,
            weights=weights,
            threads=threads,
            device=device,
            processes=processes,
            nodes=nodes,
            resume=resume,
            checkpoint_seconds=checkpoint,
            tensorboard=tensorboard,
            film=film,
            on_progress=progress.step,
            on_read=progress.read,
            on_note=progress.note,
        )
    if not is_helper():
        _report(done, json)
        if film:
            _show_film(done, animate, json)


def _show_film(done: Run, animate: Path | None, json: bool) -> None:
    from convscope.cli.film import write_animation
    from convscope.errors import FilmError
    from convscope.filming import open_film

    try:
        strip = open_film(done.folder)
    except FilmError:
        # Why there is none was said when it could not be made.
        if animate is None:
            return
        raise
    told = "" if animate is None else write_animation(strip, animate)
    if not json:
        if told:
            say(told)
        say(f"see its filters form: convscope film {shlex.quote(str(done.folder))}")


def pairs(texts: list[str]) -> dict[str, str]:
    """What ``--set`` was given, by name.

    Examples
    --------
    >>> pairs(["batch=64", "nesterov = no"])
    {'batch': '64', 'nesterov': 'no'}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(
                f"`--set` takes NAME=VALUE, such as momentum=0.8; got {text!r}", hint=_settable()
            )
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def _settable() -> str:
    from dataclasses import fields

    from convscope.training.recipes import Recipe

    names = [f.name for f in fields(Recipe) if f.name not in ("name", "notes")]
    return f"Names: {', '.join(names)}."


def _changed(wish: Wish, changes: dict[str, str], resume: bool) -> Recipe | str | None:
    """The recipe with what was typed put over it; what a run is resumed with is its own."""
    if not changes:
        return wish.recipe
    if resume:
        raise UsageError(
            f"a run goes on with the recipe it was begun with; {', '.join(changes)} cannot change now",
            hint="Leave that out, or begin another run.",
        )
    from convscope.training.plan import choose_recipe

    return choose_recipe(wish).with_text(changes)


def _begun_with(run: str) -> Recipe:
    from convscope.training.folder import RunFolder
    from convscope.training.recipes import Recipe

    return Recipe.from_json(RunFolder(Path(run)).config()["recipe"])


def _list_values(recipe: Recipe, whose: str, json: bool) -> None:
    """Every value of the recipe that would be trained with, and what it may be."""
    from convscope.cli.tables import print_table
    from convscope.training.recipe_values import kinds

    allowed, values = kinds(), recipe.to_json()
    if json:
        rows = [{"name": key, "kind": allowed[key], "value": values[key]} for key in allowed]
        print_json({"recipe": recipe.name, "values": rows})
        return
    say(f"the recipe `{recipe.name}` of {whose}; change a value with --set NAME=VALUE")
    print_table(
        [["name", "value", "what it may be"], *([k, v, allowed[k]] for k, v in recipe.to_text().items())]
    )


def _latest() -> str:
    """The run under runs/ that was worked on last and is not at its end."""
    from convscope.training.folder import RunFolder

    begun = [path.parent for path in Path("runs").glob("*/run.json") if not RunFolder(path.parent).finished]
    if not begun:
        raise UsageError(
            "there is no unfinished run under runs/",
            hint="`--run` names the folder of the run to go on with.",
        )
    return str(max(begun, key=lambda path: path.stat().st_mtime))


def _report(done: Run, json: bool) -> None:
    found = done.evaluation
    if json:
        print_json({"run": str(done.folder), **found.to_json(), "history": list(done.history)})
        return
    low, high = (100 * end for end in found.interval)
    name = done.config["model"]["spec"] or done.config["model"]["type"]
    say(
        f"{name} on {done.config['data']['name']}: {100 * found.accuracy:.2f} % of {found.images:,} test "
        f"images right (95 %: {low:.1f} to {high:.1f})",
        strong=True,
    )
    say(f"run: {done.folder}")
    say(f"look through it: convscope look PHOTO --model {shlex.quote(str(done.folder))}")
    for text in done.config["data"]["problems"]:
        note(text)
