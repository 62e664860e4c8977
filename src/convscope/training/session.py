"""``train``: from a network, a data set and a recipe to a run folder."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from convscope.errors import OutputError, UsageError
from convscope.files import atomic_write
from convscope.models.building import seeded
from convscope.models.run_models import CONFIG_NAME
from convscope.training import events
from convscope.training import state as states
from convscope.training.arguments import check_called, check_switches, place, seconds, whole
from convscope.training.engine import Engine
from convscope.training.evaluation import Evaluation
from convscope.training.filmed import filmed
from convscope.training.folder import RunFolder, next_free, refuse_within, with_problems
from convscope.training.hooks import Hooks
from convscope.training.plan import Plan, Wish, pick_device, prepare
from convscope.training.recipes import Recipe
from convscope.training.resuming import as_begun, refuse_other, restore
from convscope.training.together import Together, is_helper, together

if TYPE_CHECKING:
    from convscope.models import Model
    from convscope.training.progress import Progress

DEFAULT_MODEL = "tutorial_tanh"
DEFAULT_DATA = "digits"


@dataclass(frozen=True)
class Run:
    """What a training left: its folder, and the numbers of its last measurement.

    Parameters
    ----------
    folder
        With every file of the run.
    config
        What ``run.json`` says.
    history
        One mapping an epoch, as in ``metrics.csv``.
    evaluation
        On the test images, which were never trained on.
    notes
        One sentence each, for people.
    module
        The network, where it is a module given in Python, which no folder can build again.
    """

    folder: Path
    config: Mapping[str, Any] = field(repr=False)
    history: tuple[Mapping[str, Any], ...] = field(repr=False)
    evaluation: Evaluation
    notes: tuple[str, ...] = field(default=(), repr=False)
    module: nn.Module | None = field(default=None, repr=False)

    def model(self) -> Model:
        """The trained network, as ``convscope.load_model(run.folder)`` gives it, or the module itself."""
        from convscope.models import Card, Model, load_model
        from convscope.models.run_models import preprocessing

        if self.module is None:
            return load_model(self.folder)
        card = Card(
            type(self.module).__name__,
            source="run",
            weights=f"trained on {self.config['data']['name']}",
            preprocessing=preprocessing(self.config),
            categories=tuple(self.config["classes"]),
            reference=str(self.folder),
        )
        return Model(self.module.eval(), card)


def train(
    model: str | Path | nn.Module | Model | None = None,
    data: Any = None,
    recipe: str | Recipe | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    size: int | None = None,
    root: str | os.PathLike[str] | None = None,
    strict: bool = False,
    transfer: bool = False,
    unfreeze: bool = False,
    weights: str | os.PathLike[str] = "default",
    threads: int | None = None,
    device: str | torch.device = "auto",
    processes: int = 1,
    nodes: int = 1,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    tensorboard: bool = False,
    film: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
    on_step: Callable[[int, nn.Module], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    on_read: Callable[[int, int], None] | None = None,
) -> Run:
    """Train a network and keep everything about it in a run folder.

    Parameters
    ----------
    model
        Anything ``load_model`` takes, with fresh weights of ``seed``; ``tutorial_tanh`` if not given. A
        module is trained in place; which of its parameters ask for gradients is as before afterwards.
    data
        Anything ``load_dataset`` takes, or a ``Dataset``; ``digits`` if not given.
    recipe
        A name (``article``, ``plain``, ``fast``) or a ``Recipe``; the network's own if not given.
    run
        The folder; a free name under ``runs/`` if not given.
    seed
        Of the weights, the order of the images, what is done to them, and dropout; 0 if not given.
    size
        Side of the input in pixels, where the network leaves a choice.
    root, strict
        As for ``load_dataset``.
    transfer
        Keep what ``model`` has learned: it begins with its trained weights, gets a new classifier for these
        classes, and only that is trained.
    unfreeze
        When learning is transferred, train every weight.
    weights
        When learning is transferred: which trained ones, as for ``load_model``.
    threads
        Of torch, during the training; as it is set if not given, or as many as the run was begun with. With
        one, the same seed gives the same weights bit for bit on one machine.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` goes on with a run where it was begun.
    processes, nodes
        Train together in so many processes (GPUs) on each of so many machines: each takes ``batch`` images a
        step, so the whole takes that many more. The program that calls this is started again for each.
    resume
        Go on with the run in ``run`` from its last checkpoint, as it was begun.
    checkpoint_seconds
        The state reaches the disk at least so often.
    tensorboard
        Whether to write event files too.
    film
        Keep filters, the maps of a few test images and their answers at chosen steps, in ``film`` of the run
        folder; the weights are the same without.
    on_progress, on_note, on_read
        Called after each step, as ``ProgressLines()`` is to print how far it is; with each sentence a person
        should know; with pictures read and there are.
    on_step
        Called with the step, from 0, and the module, which it must leave as it is.

    Returns
    -------
    The run. Accuracy in it is of images never trained on, in evaluation mode.

    Raises
    ------
    UsageError
        For arguments of a wrong kind, or that make no sense together.
    TrainingError
        If it cannot begin or go on: ``RunError`` for the folder, ``DivergedError`` for a loss that is
        not a number any more.
    ConvscopeError
        For a model, data or recipe that cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     run = train("tutorial_tanh", "digits", Recipe(epochs=1, batch=256), run=f"{place}/run", threads=1)
    ...     sorted(path.name for path in run.folder.iterdir() if path.suffix == ".safetensors")
    ['checkpoint.safetensors', 'model.safetensors']
    """
    check_switches(
        strict=strict, transfer=transfer, unfreeze=unfreeze, resume=resume, tensorboard=tensorboard, film=film
    )
    check_called(on_progress=on_progress, on_step=on_step, on_note=on_note, on_read=on_read)
    _refuse_without_transfer(transfer, unfreeze, weights)
    seed = None if seed is None else whole("seed", seed, 0, 2**32 - 1)
    size = None if size is None else whole("size", size)
    threads = None if threads is None else whole("threads", threads)
    processes, nodes = whole("processes", processes), whole("nodes", nodes)
    run = None if run is None else place("run", run)
    root = None if root is None else place("root", root)
    checkpoint_seconds = seconds("checkpoint_seconds", checkpoint_seconds)
    weights, device = _named("weights", weights), _named("device", device)
    if recipe is not None and not isinstance(recipe, str | Recipe):
        raise UsageError(f"`recipe` must be a name or a `Recipe`; got {recipe!r}")
    helper = is_helper()
    say = on_note if on_note is not None and not helper else _silent
    began = time.process_time()
    asked = {
        "model": model,
        "data": data,
        "recipe": recipe,
        "seed": seed,
        "size": size,
        "processes": processes * nodes,
    }
    if resume and run is None:
        raise UsageError("`resume` needs `run`: the folder of the run to go on with")
    folder = RunFolder(Path(run) if run is not None else _default_folder(model, data))
    if not resume and not helper:
        refuse_within(folder.path, data)
        folder.refuse_what_exists()
    config = folder.config() if resume else None
    if tensorboard:
        events.check()
    if config is not None:
        threads, device = as_begun(config, threads, device, say)
    where = pick_device(device)
    with (
        nullcontext() if helper else folder.locked(),
        together(processes, nodes, where) as group,
        _threads(threads),
    ):
        if config is not None and not helper:
            refuse_other(folder, config, asked)
        wish = Wish(
            model=DEFAULT_MODEL if model is None else model,
            data=DEFAULT_DATA if data is None else data,
            recipe=recipe,
            seed=seed or 0,
            size=size,
            root=root,
            strict=strict,
            device=group.device or where,
            transfer=transfer,
            unfreeze=unfreeze,
            weights=weights,
            processes=group.count,
        )
        plan = prepare(wish, config, None if helper else on_read)
        for text in plan.notes:
            say(text)
        if config is None:
            config = plan.config()
            if group.first:
                folder.begin(config)
        options = _Options(checkpoint_seconds, tensorboard, began, film)
        hooks = Hooks() if helper else Hooks(on_step=on_step, on_progress=on_progress)
        fresh = folder.given_up_unless_saved() if group.first and not resume else nullcontext()
        with fresh, _as_found(plan.network.module):
            return _run(folder, config, plan, resume, options, hooks, say, group)


@dataclass(frozen=True)
class _Options:
    checkpoint_seconds: float
    tensorboard: bool
    began: float
    film: bool = True


def _run(
    folder: RunFolder,
    config: Mapping[str, Any],
    plan: Plan,
    resume: bool,
    options: _Options,
    hooks: Hooks,
    say: Callable[[str], None],
    group: Together,
) -> Run:
    # Each process drops out other values; the first those that one process alone would.
    with (
        seeded(plan.seed + 1_000_003 * group.rank),
        events.events(folder.path if options.tensorboard and group.first else None) as event,
    ):
        engine = Engine(
            plan.network.model,
            plan.train,
            plan.test,
            plan.classes,
            plan.recipe,
            seed=plan.seed,
            device=plan.device,
            side=max(plan.preprocessing.crop or (0,)),
            frozen_but=plan.network.heads if plan.frozen else None,
            checkpoint_seconds=options.checkpoint_seconds,
            group=group,
        )
        if resume:
            say(restore(folder, engine))
        if options.film and group.first:
            filming = filmed(folder.path, plan, engine, resume=resume, say=say)
            hooks.on_step = _both(hooks.on_step, filming)
        written = time.monotonic()

        def on_epoch(row: dict[str, Any]) -> None:
            nonlocal written
            event(row)
            # Hundreds of short epochs must not spend their time on writing one small file.
            if time.monotonic() - written > 2:
                folder.write_table("metrics", engine.history)
                written = time.monotonic()

        def save() -> None:
            state = engine.state()
            if group.first:
                states.save(folder.checkpoint, state)

        hooks.on_epoch = on_epoch if group.first else None
        hooks.save = save
        try:
            engine.run(hooks)
        except KeyboardInterrupt:
            # Stopped in the middle of a step, by a second Ctrl-C, the run has its last checkpoint, or none.
            if engine.saved_at:
                say(
                    f"saved after step {engine.saved_at:,} of {engine.steps:,}; to go on: "
                    f"convscope train --resume --run {shlex.quote(str(folder.path))}"
                    + (f" --processes {group.count}" if group.count > 1 else "")
                )
            else:
                say("stopped before anything was saved; no run was begun")
            raise
        found = engine.evaluation or group.tell(engine.measure() if group.first else None)
        assert found is not None
        if not group.first:
            return Run(folder.path, config, tuple(engine.history), found)
        return _finish(folder, config, plan, engine, found, options, say)


def _finish(
    folder: RunFolder,
    config: Mapping[str, Any],
    plan: Plan,
    engine: Engine,
    found: Evaluation,
    options: _Options,
    say: Callable[[str], None],
) -> Run:
    from safetensors.torch import save as pack

    from convscope.training.plots import draw_run

    folder.write_table("metrics", engine.history)
    config, unread = with_problems(config, plan.dataset)
    found = replace(found, notes=tuple(config["data"]["problems"]))
    if unread:
        folder.write_json(CONFIG_NAME, config)
    folder.write_evaluation(
        found, {"split": "test", "cpu_seconds": time.process_time() - options.began, "step": engine.step}
    )
    notes = draw_run(folder.path, engine.history, found, plan.title)
    for text in notes:
        say(text)
    weights = {k: v.detach().cpu().contiguous().clone() for k, v in engine.final_weights().items()}
    atomic_write(folder.model, pack(weights, metadata={"format": "pt"}))
    given = config["model"]["spec"] is None
    if given and engine.average is not None:
        # Trained in place: what it ends with is what was measured.
        engine.module.load_state_dict(engine.final_weights())
    every = dict.fromkeys((*plan.notes, *unread, *notes))
    return Run(
        folder.path,
        config,
        tuple(engine.history),
        found,
        tuple(every),
        plan.network.module if given else None,
    )


def _refuse_without_transfer(transfer: bool, unfreeze: bool, weights: Any) -> None:
    """Refuse what would be ignored where no learning is transferred."""
    if transfer:
        return
    if unfreeze:
        raise UsageError(
            "`--unfreeze` goes with `--transfer`: without it every weight is trained anyway",
            hint="In Python: `unfreeze=True` goes with `transfer=True`.",
        )
    if not isinstance(weights, str) or weights != "default":
        raise UsageError(
            "`--weights` goes with `--transfer`: without it the weights at the beginning are random, or the "
            "module's own",
            hint="In Python: `weights` goes with `transfer=True`.",
        )


def _named(name: str, value: Any) -> str:
    """A name, of a path or a torch device too."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, torch.device):
        value = str(value)
    if not isinstance(value, str):
        raise UsageError(f"`{name}` must be a text, such as `{_LIKE[name]}`; got {value!r}")
    return value


_LIKE = {"weights": "default", "device": "auto"}


@contextmanager
def _as_found(module: nn.Module) -> Iterator[None]:
    """Afterwards every parameter asks for gradients, or does not, as before: it is frozen only within."""
    before = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        yield
    finally:
        for parameter, asks in before:
            parameter.requires_grad_(asks)


def _both(
    first: Callable[[int, nn.Module], None] | None, second: Callable[[int, nn.Module], None]
) -> Callable[[int, nn.Module], None]:
    def on_step(step: int, module: nn.Module) -> None:
        if first is not None:
            first(step, module)
        second(step, module)

    return on_step


def _silent(text: str) -> None:
    """Say nothing."""


def _default_folder(model: Any, data: Any) -> Path:
    def short(value: Any, default: str) -> str:
        text = default if value is None else value if isinstance(value, str | Path) else type(value).__name__
        text = os.path.abspath(text) if str(text) in (os.curdir, os.pardir) else text
        name = str(text).replace(":", "-").replace(",", "-").rstrip("/").rpartition("/")[2]
        return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]

    return next_free(Path("runs") / f"{short(model, DEFAULT_MODEL)}-{short(data, DEFAULT_DATA)}")


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["DEFAULT_DATA", "DEFAULT_MODEL", "OutputError", "Run", "train"]
