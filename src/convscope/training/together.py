"""Several processes as one training: who is which, and what they tell each other.

Lightning Fabric starts the processes (or finds those a cluster has started), joins them and carries
tensors between them. Each process computes its part of every batch; the gradients are then added up in
one call. Fabric is loaded only where there is more than one process.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from convscope.errors import MissingExtraError, UsageError
from convscope.training.signals import deferred_signals

T = TypeVar("T")


class Together:
    """The processes of one training; by itself, the one process there is.

    Attributes
    ----------
    rank
        Which process this is, from 0; 0 alone writes and speaks.
    count
        How many there are.
    """

    rank = 0
    count = 1

    def __init__(self, fabric: Any = None) -> None:
        self._fabric = fabric
        if fabric is not None:
            self.rank, self.count = int(fabric.global_rank), int(fabric.world_size)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @property
    def device(self) -> torch.device | None:
        """Where this process computes, if that is for the launcher to say."""
        return None if self._fabric is None else self._fabric.device

    def part(self, images: int) -> slice:
        """Which images of a batch are this process's own.

        Examples
        --------
        >>> Together().part(7)
        slice(0, 7, None)
        """
        ends = [images * i // self.count for i in range(self.count + 1)]
        return slice(ends[self.rank], ends[self.rank + 1])

    def add(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        if self._fabric is None:
            return list(numbers)
        summed = self._fabric.all_reduce(torch.tensor(numbers, dtype=torch.float64), reduce_op="sum")
        return [float(number) for number in summed]

    def tell(self, value: T) -> T:
        """What the first process gave; the others wait for it."""
        return value if self._fabric is None else self._fabric.broadcast(value)

    def stack(self, tensor: Tensor) -> Tensor:
        """The ``uint8`` tensors of all processes, one a row."""
        if self._fabric is None:
            return tensor.unsqueeze(0)
        rows = torch.zeros((self.count, *tensor.shape), dtype=torch.int32)
        rows[self.rank] = tensor
        return self._fabric.all_reduce(rows, reduce_op="sum").to(torch.uint8)

    def share(self, module: nn.Module) -> None:
        """Every process begins with the weights of the first."""
        if self._fabric is None:
            return
        for value in module.state_dict().values():
            if not self.first:
                value.zero_()
            value.copy_(self._fabric.all_reduce(value.clone(), reduce_op="sum"))

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every gradient becomes the sum over all processes."""
        if self._fabric is None:
            return
        trained = [p for p in parameters if p.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        # One message: small ones would each wait for the network.
        gradients = [p.grad for p in trained if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self._fabric.all_reduce(flat, reduce_op="sum")
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))


def is_helper() -> bool:
    """Whether this process was started to help another one, and so has nothing to write or to say."""
    return os.environ.get("CONVSCOPE_TOGETHER") == "1" and os.environ.get("LOCAL_RANK", "0") != "0"


@contextmanager
def together(processes: int, nodes: int, device: torch.device) -> Iterator[Together]:
    """Within, ``processes`` processes on each of ``nodes`` machines train as one.

    The program that called this is started again, with the same arguments, for each further process, as
    Fabric does it; a cluster that starts the processes itself is recognised by its environment.

    Raises
    ------
    MissingExtraError
        If Fabric is not installed.
    UsageError
        If the program is one that cannot be started again.
    """
    if processes * nodes == 1:
        yield Together()
        return
    check(processes, nodes)
    # The helpers are the same program: they must know that they are not to write or to speak.
    os.environ["CONVSCOPE_TOGETHER"] = "1"
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    # Its greetings are for its own users.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    strategy = DDPStrategy(process_group_backend="gloo" if device.type == "cpu" else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fabric = Fabric(accelerator=device.type, devices=processes, num_nodes=nodes, strategy=strategy)
        with _undisturbed():
            fabric.launch()
    try:
        yield Together(fabric)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Within, Ctrl-C waits; processes that are started never see it, as the first one tells them to stop."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover - not POSIX
        yield
        return
    with deferred_signals():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check(processes: int, nodes: int) -> None:
    """Refuse what cannot be started."""
    if processes < 1 or nodes < 1:
        raise UsageError(f"`processes` and `nodes` must be at least 1; got {processes} and {nodes}")
    if find_spec("lightning_fabric") is None:
        raise MissingExtraError(
            "several processes need Lightning Fabric, which is not installed",
            hint="Install it with: pip install 'convscope[processes]', or train with one process.",
        )
    if not sys.argv or not os.path.exists(sys.argv[0]):
        raise UsageError(
            "several processes can only be started from a program in a file: each is that program again",
            hint="Use the command line, or save your lines as a file and run it.",
        )
