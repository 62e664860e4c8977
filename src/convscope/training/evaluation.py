"""How good a network is: measured in evaluation mode, with the interval the number of images allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from convscope.datasets.classes import distinct
from convscope.errors import TrainingError
from convscope.tracing.answers import find_logits

if TYPE_CHECKING:
    from convscope.training.pictures import Pictures


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of labelled images.

    Parameters
    ----------
    accuracy
        Share of the images whose class has the largest score, 0 to 1.
    interval
        Where the accuracy on all such images lies with 95 % confidence (Wilson), 0 to 1.
    loss
        Mean cross entropy in nats.
    confusion
        Array of shape ``(outputs, outputs)``: images of the row's class answered with the column's.
    classes
        Names of the rows and columns.
    views
        What each answer is averaged over, as :func:`measure` takes it.
    notes
        A sentence for each thing that changes what the numbers mean, such as pictures that could not be read.
    """

    accuracy: float
    interval: tuple[float, float]
    loss: float
    confusion: NDArray[np.int64] = field(repr=False)
    classes: tuple[str, ...] = ()
    views: str = "one"
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def images(self) -> int:
        """How many were looked at."""
        return int(self.confusion.sum())

    @property
    def per_class(self) -> dict[str, float]:
        """Accuracy by class, of those that have images."""
        totals = self.confusion.sum(1)
        return {
            name: float(self.confusion[i, i] / totals[i]) for i, name in enumerate(self.classes) if totals[i]
        }

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "loss": self.loss if math.isfinite(self.loss) else None,
            "images": self.images,
            "views": self.views,
            "per_class": self.per_class,
            "notes": list(self.notes),
        }


def wilson(right: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson (1927): it stays within 0..1 and holds for shares near 1.

    Examples
    --------
    >>> [round(end, 4) for end in wilson(9000, 10000)]
    [0.894, 0.9057]
    """
    if images == 0:
        return 0.0, 1.0
    z = 1.959963984540054
    share = right / images
    middle = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    # Where all or none are right, rounding would leave the end a hair short of 0 or 1.
    return (0.0 if right == 0 else middle - half), (1.0 if right == images else middle + half)


def measure(
    module: nn.Module,
    pictures: Pictures,
    classes: Sequence[str],
    *,
    batch: int = 250,
    views: str = "one",
    training_mode: bool = False,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Look at every picture and count.

    Parameters
    ----------
    module
        Gives scores ``[N, classes]``; every part's mode is as before afterwards.
    pictures
        What to look at, ready for the network.
    views
        What the mean of the scores is taken over: ``one``: each picture once; ``mirror``: it and its mirror
        image; ``shifts``: it and its copies moved by one pixel towards each corner, as airbench
        (Jordan, 2024) does with two of them.
    training_mode
        ``True`` repeats a mistake on purpose: dropout stays on.
    on_batch
        Called with the images done and the images there are.

    Examples
    --------
    >>> from convscope.training.pictures import Pictures
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2 * 2 * 3, 2))
    >>> pictures = Pictures(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    >>> measure(net, pictures, ("a", "b")).images
    4
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    outputs = len(classes)
    confusion = np.zeros((outputs, outputs), np.int64)
    total = 0.0
    done = 0
    layout = None
    with mode(module, training=training_mode), torch.no_grad():
        for images, labels in pictures.batches(batch):
            inputs = pictures.normalize(images.to(device))
            if layout is None:
                layout = layout_of(module, inputs[:1])
            inputs = inputs.contiguous(memory_format=layout)
            seen = [class_scores(module(view)).float() for view in _views(inputs, views)]
            scores = torch.stack(seen).mean(0).cpu()
            total += float(functional.cross_entropy(scores, labels, reduction="sum"))
            answers = scores.argmax(1).numpy()
            np.add.at(confusion, (labels.numpy(), answers), 1)
            done += len(labels)
            if on_batch is not None:
                on_batch(done, len(pictures))
    right = int(np.trace(confusion))
    return Evaluation(
        accuracy=right / max(1, done),
        interval=wilson(right, done),
        loss=total / max(1, done),
        confusion=confusion,
        classes=distinct(classes),
        views=views,
    )


def _views(inputs: Tensor, views: str) -> Iterator[Tensor]:
    """The pictures, then what is looked at beside them; a network may change each in place."""
    beside = []
    if views == "mirror":
        beside = [inputs.flip(-1)]
    elif views == "shifts":
        rows, columns = inputs.shape[-2:]
        wider = functional.pad(inputs, (1, 1, 1, 1), "reflect")
        beside = [
            wider[..., down : down + rows, right : right + columns].clone()
            for down, right in product((0, 2), repeat=2)
        ]
    yield inputs
    yield from beside


def layout_of(module: nn.Module, inputs: Tensor) -> torch.memory_format:
    """Channels last, the quicker layout in memory, unless the network flattens maps by ``view``.

    Examples
    --------
    >>> layout_of(nn.Flatten(), torch.zeros(1, 3, 4, 4))
    torch.channels_last
    """
    with mode(module, training=False), torch.no_grad():
        try:
            module(inputs.clone(memory_format=torch.channels_last))
        except RuntimeError as error:
            if "view size is not compatible" in str(error):
                return torch.contiguous_format
    return torch.channels_last


def class_scores(output: Any) -> Tensor:
    """The scores ``[N, classes]`` in what a network returned.

    Raises
    ------
    TrainingError
        If there are none.
    """
    scores = find_logits(output)
    if scores is None:
        raise TrainingError(
            "the network gives no class scores of shape [N, classes], so it cannot be trained"
        )
    return scores


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Within, the network is in training or evaluation mode; afterwards each part is as it was."""
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, was in before:
            part.training = was
