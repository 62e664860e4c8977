"""The loop: batches in, weights out, with everything needed to stop at any step and go on.

All that decides the next step (weights, optimizer, average, random numbers, place in the epoch, sums
of the metrics) is in ``state()``; a training that goes on from it does the same arithmetic as one that
was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from convscope.errors import DivergedError, TrainingError, UsageError
from convscope.models import Model
from convscope.models.mirrored import paired
from convscope.tracing import blank_input, trace
from convscope.training.averaging import Average
from convscope.training.batches import Batches
from convscope.training.chance import other_states, put_back, undisturbed
from convscope.training.evaluation import Evaluation, class_scores, layout_of, measure
from convscope.training.failures import told_in_a_sentence
from convscope.training.fast_layers import FastLayers
from convscope.training.hooks import Hooks
from convscope.training.huge_pages import use_huge_pages
from convscope.training.optimizers import make_optimizer
from convscope.training.pictures import Pictures
from convscope.training.precision import HalfPrecision, resolve_precision
from convscope.training.progress import Pace, Progress, Sums
from convscope.training.recipes import Recipe
from convscope.training.schedules import rate_at
from convscope.training.settling import settle_end
from convscope.training.signals import deferred_signals
from convscope.training.state import to_device
from convscope.training.together import Together
from convscope.training.whitening import first_convolution, whiten

# Steps after which the heap has its size; a training of fewer gains nothing from larger pages.
_SETTLED = 16
# Training pictures whose patches the first filters begin with; over which batch norm's statistics are taken
# anew; at a time.
_SAMPLE, _SETTLING, _GATHERED = 2048, 5120, 256


@dataclass
class Engine:
    """One training, from its first step or from a checkpoint.

    Parameters
    ----------
    model
        Its module is trained in place.
    train, test
        Pictures as the network takes them.
    classes
        Names of the network's outputs.
    recipe, seed
        How, and from which random numbers.
    device
        Where the arithmetic is done.
    side
        Of the input in pixels, where random parts of larger pictures are taken; 0 for that of the pictures.
    frozen_but
        Paths of the only parts that are trained; everything if ``None``.
    group
        The processes that train together.
    checkpoint_seconds
        At most so long between two checkpoints.
    """

    model: Model
    train: Pictures
    test: Pictures
    classes: tuple[str, ...]
    recipe: Recipe
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    side: int = 0
    frozen_but: tuple[str, ...] | None = None
    checkpoint_seconds: float = 30.0
    group: Together = field(default_factory=Together)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.module = self.model.module
        # Before its layers are looked at: some networks arrange them by mode.
        self._training_mode()
        self.precision = resolve_precision(recipe.precision, self.device)
        exchanged = recipe.fast_layers or recipe.int8
        # Before the network goes elsewhere: the trace's blank picture is on the CPU.
        needed = exchanged or recipe.whiten or recipe.freeze_first
        recorded = trace(self.model, blank_input(self.model), keep=[]) if needed else None
        if recorded is not None and (recipe.whiten or recipe.freeze_first):
            convolution = first_convolution(recorded)
            if recipe.whiten:
                whiten(convolution, self._sample(_SAMPLE))
            if recipe.freeze_first:
                convolution.requires_grad_(False)
        self._fast: AbstractContextManager[Any] = nullcontext()
        if recorded is not None and exchanged:
            self._fast = FastLayers(recorded, same=recipe.fast_layers, int8=recipe.int8)
        self.module.to(self.device)
        self._layout = torch.contiguous_format
        if recipe.channels_last:
            self._layout = layout_of(self.module, blank_input(self.model).to(self.device))
            self.module.to(memory_format=self._layout)
        self._pairs = paired(self.module, blank_input(self.model)) if recipe.mirrored_pairs else None
        self.group.share(self.module)
        self._freeze()
        self._streams = self.train.images is None
        self.batches = Batches.of(
            recipe,
            self.train.images,
            self.train.labels,
            processes=self.group.count,
            side=self.side,
            read=self._read if self._streams else None,
            seed=self.seed,
        )
        self._check()
        self.optimizer = make_optimizer(self.module, recipe)
        self._parameters = list(self.module.parameters())
        self.average = Average(self.module, recipe) if recipe.averaging != "none" else None
        self._half = HalfPrecision(self.module) if self.precision == "bf16" else None
        self._forward: Callable[[Tensor], Any] = self._half or self.module
        if recipe.compile:
            self._forward = torch.compile(self._forward)
        self.step = 0
        self._made = 0
        self.sums = Sums()
        self.history: list[dict[str, Any]] = []
        self.evaluation: Evaluation | None = None
        self.saved_at = 0
        self._saved_when = time.monotonic()
        self._pause = self.checkpoint_seconds

    def _check(self) -> None:
        """Refuse what could not be saved, or would be lost, at the end."""
        self.steps_per_epoch = len(self.batches)
        self.steps = self.steps_per_epoch * self.recipe.epochs
        every = self.recipe.averaging_every
        if self.recipe.averaging != "none" and every > self.steps:
            raise UsageError(
                f"`averaging_every` is {every:,}, but the training has {self.steps:,} steps: the average "
                "would be that of the beginning"
            )
        other = [n for n, value in self.module.state_dict().items() if not isinstance(value, Tensor)]
        if other:
            raise TrainingError(
                f"the network keeps a state that is no tensor (`{other[0]}`), which a run cannot save",
                hint="Keep it in a buffer, or leave out `get_extra_state`.",
            )

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch

    def run(self, hooks: Hooks | None = None) -> None:
        """Train to the end.

        A first Ctrl-C lets the step be finished, saves the state and then raises ``KeyboardInterrupt``.

        Raises
        ------
        DivergedError
            If the loss is not a number any more; the checkpoint before it stays.
        """
        hooks = hooks or Hooks()
        pace = Pace()
        self._saved_when = time.monotonic()
        if self.step == 0 and hooks.on_step is not None:
            with undisturbed():
                hooks.on_step(0, self.module)
        with deferred_signals(deaf=not self.group.first) as stop:
            while self.step < self.steps:
                self._epoch(hooks, pace, stop)
            if hooks.save is not None and self.saved_at != self.step:
                self._save(hooks)

    def _sample(self, count: int) -> Iterator[Tensor]:
        """Inputs of some training pictures, the same for every process of one seed."""
        random = torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(len(self.train), generator=random)[:count]
        for pixels, _ in self.train.gather(chosen.split(_GATHERED)):
            yield self.train.normalize(pixels)

    def _freeze(self) -> None:
        """Only what is to be trained asks for gradients."""
        if self.frozen_but is None:
            return
        self.module.requires_grad_(False)
        for path in self.frozen_but:
            self.module.get_submodule(path).requires_grad_(True)

    def _training_mode(self) -> None:
        """Dropout and batch statistics are at work in what is trained, and nowhere else."""
        self.module.train(self.frozen_but is None)
        for path in self.frozen_but or ():
            self.module.get_submodule(path).train()

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on."""
        random = self.group.stack(torch.random.get_rng_state())
        kept = self.module.state_dict()
        state: dict[str, Any] = {
            "step": self.step,
            "steps": self.steps,
            "weights": kept,
            # Buffers that a network does not count among its weights change as it learns all the same.
            "buffers": {name: value for name, value in self.module.named_buffers() if name not in kept},
            "optimizer": self.optimizer.state_dict(),
            "random": {"cpu": random, "others": self.group.stack(other_states())},
            "sums": self.sums.to_json(),
            "history": self.history,
        }
        if self.average is not None:
            state["average"] = self.average.weights()
        if self.device.type == "cuda":
            state["random"]["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def final_weights(self) -> dict[str, Tensor]:
        """The weights the training ended with, under the names of the plain network."""
        return self.module.state_dict() if self.average is None else self.average.weights()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        with torch.no_grad():
            own = self.module.state_dict()
            for name, value in state["weights"].items():
                own[name].copy_(value)
            buffers = dict(self.module.named_buffers())
            for name, value in state.get("buffers", {}).items():
                buffers[name].copy_(value)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        saved = state["optimizer"]
        self.optimizer.load_state_dict(
            {"state": saved["state"], "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        moved = to_device(saved["state"], dict(enumerate(parameters)), self.device)
        for index, entries in moved.items():
            self.optimizer.state[parameters[index]].update(entries)
        if self.average is not None:
            self.average.restore(state["average"])
        # A copy: torch reads a row of a larger tensor from that tensor's beginning.
        torch.random.set_rng_state(state["random"]["cpu"][self.group.rank].clone())
        if "others" in state["random"]:
            put_back(state["random"]["others"][self.group.rank])
        if "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)
        self.step = int(state["step"])
        self.sums = Sums(**state["sums"])
        self.history = list(state["history"])
        self.saved_at = self.step

    def _epoch(self, hooks: Hooks, pace: Pace, stop: Callable[[], bool]) -> None:
        epoch, first = divmod(self.step, self.steps_per_epoch)
        if first == 0:
            self.sums = Sums()
        self._training_mode()
        began = time.perf_counter()
        before = self.sums.seconds
        for images, labels in self.batches.epoch(epoch, first_step=first):
            rate = rate_at(self.recipe, self.step, self.steps)
            if self.group.count > 1 and not self._streams:
                own = self.group.part(len(labels))
                images, labels = images[own], labels[own]
            due = time.monotonic() - self._saved_when >= self._pause
            done, stopped, saved = self._step(images, labels, rate, stop(), due)
            pace.step(done)
            self.sums.seconds = before + time.perf_counter() - began
            if self.step == self.steps and self.recipe.settle:
                settle_end(self.module, self._sample(_SETTLING), self.average, self._pairs)
            if hooks.on_step is not None:
                with undisturbed():
                    hooks.on_step(self.step, self.module)
            if self.step % self.steps_per_epoch == 0:
                paused = time.perf_counter()
                self._end_of_epoch(epoch, rate, hooks)
                pace.pause(time.perf_counter() - paused)
            if hooks.on_progress is not None:
                with undisturbed():
                    hooks.on_progress(self._progress(epoch, rate, pace))
            if stopped or saved:
                self._save(hooks)
            if stopped:
                raise KeyboardInterrupt

    def _step(
        self, images: Tensor, labels: Tensor, rate: float, stop: bool, save: bool
    ) -> tuple[int, bool, bool]:
        """One step; the images of all processes, and whether the first wants to stop, or to save."""
        labels = labels.to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_share", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        with self._fast:
            loss, right = self._loss(images, labels)
            # Others have clocks of their own, and must do what the first does.
            asks = [stop, save] if self.group.first else [0, 0]
            total, hits, count, stops, saves = self.group.add(
                [float(loss.detach()), right, len(labels), *asks]
            )
            if not math.isfinite(total):
                raise self._diverged(total)
            if len(labels):
                if not loss.requires_grad:
                    raise TrainingError(
                        "the class scores do not depend on any weight that is trained",
                        hint="Of several outputs the first of shape [N, classes] is taken for the scores.",
                    )
                with self._explained(images):
                    (loss / count).backward()
        if self._half is not None:
            self._half.hand_over()
        self.group.add_gradients(self._parameters)
        if self._pairs is not None:
            self._pairs.average_gradients()
        self.optimizer.step()
        self.sums.loss += total
        self.sums.right += int(hits)
        self.sums.images += int(count)
        self.step += 1
        self._made += 1
        if self._made == _SETTLED and self.device.type == "cpu":
            use_huge_pages()
        if self._pairs is not None and self.step % self.steps_per_epoch == 0:
            self._pairs.average()
        if self.average is not None:
            self.average.step(self.step)
        return int(count), stops > 0, saves > 0

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        """The losses of the images added up, and how many were right."""
        if not len(labels):
            # The last batch of an epoch can be too small to have an image for every process.
            return torch.zeros(()), 0
        inputs = self.train.normalize(images.to(self.device)).contiguous(memory_format=self._layout)
        scores = class_scores(self._scored(inputs)).float()
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(scores, labels, label_smoothing=smoothing, reduction="sum")
        return loss, int((scores.detach().argmax(1) == labels).sum())

    def _scored(self, inputs: Tensor) -> Any:
        """What the network makes of inputs."""
        with self._explained(inputs):
            return self._forward(inputs)

    def _explained(self, inputs: Tensor) -> AbstractContextManager[None]:
        """Within, a failure of the network is told in a sentence."""
        return told_in_a_sentence(self.step + 1, inputs.shape, self.recipe, half=self._half is not None)

    def _read(self, orders: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each process decodes its own part of every batch."""
        return self.train.gather([order[self.group.part(len(order))] for order in orders])

    def _diverged(self, value: float, what: str = "") -> DivergedError:
        word = "NaN (not a number)" if math.isnan(value) else "infinite"
        step = self.step if what else self.step + 1
        kept = (
            f"The checkpoint of step {self.saved_at} is kept."
            if self.saved_at
            else "No step before it was saved."
        )
        return DivergedError(
            f"the loss {what or f'became {word} at'} step {step} (epoch {-(-step // self.steps_per_epoch)})",
            step=step,
            hint=f"{kept} A lower --learning-rate often helps; it was {self.recipe.learning_rate:g}.",
        )

    def _end_of_epoch(self, epoch: int, rate: float, hooks: Hooks) -> None:
        sums = self.sums
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "step": self.step,
            "learning_rate": rate,
            "train_loss": sums.loss / sums.images,
            "train_accuracy": sums.right / sums.images,
            "test_loss": None,
            "test_accuracy": None,
            "images_per_second": sums.images / max(sums.seconds, 1e-9),
            "seconds": sums.seconds,
        }
        last = epoch + 1 == self.recipe.epochs
        if last or (epoch + 1) % self.recipe.evaluate_every == 0:
            self.evaluation = self.group.tell(self.measure() if self.group.first else None)
            assert self.evaluation is not None
            loss = self.evaluation.loss
            if math.isnan(loss):
                raise self._diverged(loss, "on the test images became NaN after")
            row["test_loss"] = loss if math.isfinite(loss) else None
            row["test_accuracy"] = self.evaluation.accuracy
        self.history.append(row)
        if hooks.on_epoch is not None:
            hooks.on_epoch(row)

    def measure(self, pictures: Pictures | None = None, *, training_mode: bool = False) -> Evaluation:
        """The network as it is, on the test pictures or on others; random numbers go on undisturbed."""
        cpu = torch.random.get_rng_state()
        try:
            with nullcontext() if self.average is None else self.average.applied():
                return measure(
                    self.module,
                    self.test if pictures is None else pictures,
                    self.classes,
                    views=self.recipe.views,
                    training_mode=training_mode,
                )
        finally:
            torch.random.set_rng_state(cpu)

    def _progress(self, epoch: int, rate: float, pace: Pace) -> Progress:
        speed = pace.steps_per_second
        tested = [row["test_accuracy"] for row in self.history if row["test_accuracy"] is not None]
        return Progress(
            epoch=epoch + 1,
            epochs=self.recipe.epochs,
            step=self.step,
            steps=self.steps,
            loss=self.sums.loss / self.sums.images,
            accuracy=self.sums.right / self.sums.images,
            images_per_second=pace.images_per_second,
            seconds_left=(self.steps - self.step) / speed if speed else math.inf,
            learning_rate=rate,
            test_accuracy=tested[-1] if tested else None,
        )

    def _save(self, hooks: Hooks) -> None:
        """Have the state written, unless its weights are no numbers: then the one before stays."""
        if hooks.save is None:
            return
        # The loss of a step says nothing of what the step then did to the weights.
        if not all(bool(torch.isfinite(p).all()) for p in self.module.parameters()):
            raise self._diverged(math.nan)
        began = time.monotonic()
        hooks.save()
        self.saved_at = self.step
        self._saved_when = time.monotonic()
        # Large networks on slow disks: at most a twentieth of the time goes into saving.
        if self.checkpoint_seconds:
            self._pause = max(self.checkpoint_seconds, 20 * (self._saved_when - began))
