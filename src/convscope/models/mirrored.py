"""Networks that answer a picture and its mirror image alike, because their maps come in pairs.

Of ``C`` maps the ``i``-th and the ``(i + C / 2)``-th are twins: what one shows of a picture, the other shows,
mirrored left to right, of the mirrored picture. So a filter's twin is the filter mirrored, and reads the
twins of the maps it reads; and whatever reads both of a pair alike cannot tell a picture from its mirror
image. Such a network has half as many weights of its own as it has weights, and learns from each picture
what it would learn from the picture and its mirror image (Cohen and Welling, 2016, for larger groups).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from convscope.errors import UsageError

_NORM = nn.modules.batchnorm._BatchNorm
_TOLERANCE = 1e-3


class Pairs:
    """What each weight of a network would be if the picture were mirrored.

    Parameters
    ----------
    module
        A chain of convolutions, the first of which reads the picture, and a linear layer at the end that
        makes the scores; batch norm, activations and pooling between.

    Raises
    ------
    UsageError
        If a layer with weights is of another kind, or has an odd number of maps.

    Examples
    --------
    >>> layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    >>> net = nn.Sequential(*layers)
    >>> pairs, picture = Pairs(net), torch.rand(1, 3, 8, 8)
    >>> torch.allclose(net(picture), net(picture.flip(3)))
    False
    >>> pairs.begin()
    >>> torch.allclose(net(picture), net(picture.flip(3)), atol=1e-6)
    True
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._kinds: dict[str, str] = {}
        first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
        last = next((part for part in reversed([*module.modules()]) if isinstance(part, nn.Linear)), None)
        for path, part in module.named_modules():
            if first is not None and part is first:
                self._add(path, part, "first")
            elif isinstance(part, nn.Conv2d | _NORM):
                self._add(path, part, "filters")
            elif last is not None and part is last:
                self._add(path, part, "scores")
            elif any(True for _ in part.parameters(recurse=False)):
                raise _unfit(f"`{path or type(part).__name__}` is a {type(part).__name__}")

    def _add(self, path: str, part: nn.Module, kind: str) -> None:
        if isinstance(part, nn.Conv2d) and part.groups != 1:
            raise _unfit(f"`{path}` works in groups of maps")
        for name, value in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            width = value.shape[1 if kind == "scores" else 0] if value.dim() > (kind == "scores") else 0
            if width % 2:
                raise _unfit(f"`{path}` has {width} maps, which make no pairs")
            if width:
                self._kinds[f"{path}.{name}"] = "values" if value.dim() == 1 else kind

    def reflected(self, name: str, value: Tensor) -> Tensor:
        """The weight ``name`` of the network that does to the mirror image what this one does to the picture.

        Parameters
        ----------
        name
            As the state dict names it.
        value
            The weight, or its gradient. Weights that nothing pairs are given back as they are.
        """
        kind = self._kinds.get(name)
        if kind is None:
            return value
        if kind == "scores":
            return value.roll(value.shape[1] // 2, 1)
        value = value.roll(value.shape[0] // 2, 0)
        if kind == "values":
            return value
        return value.flip(3) if kind == "first" else value.flip(3).roll(value.shape[1] // 2, 1)

    @torch.no_grad()
    def begin(self) -> None:
        """Make the second of each pair the twin of the first."""
        for name, value in self.module.state_dict().items():
            if name in self._kinds:
                value.copy_(self.whole(name, self.half(name, value)))

    def half(self, name: str, value: Tensor) -> Tensor:
        """The part of a weight that the rest follows from: the first of each pair."""
        if name not in self._kinds:
            return value
        return value.chunk(2, 1)[0] if self._kinds[name] == "scores" else value.chunk(2)[0]

    def whole(self, name: str, half: Tensor) -> Tensor:
        """The weight whose ``half`` is given."""
        if name not in self._kinds:
            return half
        side = 1 if self._kinds[name] == "scores" else 0
        filled = torch.cat([half, half], side)
        return torch.cat([half, self.reflected(name, filled).chunk(2, side)[1]], side)

    @torch.no_grad()
    def average(self) -> None:
        """Even out what rounding, and a batch that is not its own mirror image, set apart in pairs."""
        for name, value in self.module.state_dict().items():
            if name in self._kinds:
                value.add_(self.reflected(name, value)).mul_(0.5)

    @torch.no_grad()
    def average_gradients(self) -> None:
        """Make each gradient what it is, on average, for the pictures and their mirror images."""
        for name, parameter in self.module.named_parameters():
            if parameter.grad is not None and name in self._kinds:
                parameter.grad.add_(self.reflected(name, parameter.grad)).mul_(0.5)

    @torch.no_grad()
    def check(self, picture: Tensor) -> None:
        """Refuse a network whose pairs are undone by what lies between its weights.

        Parameters
        ----------
        picture
            Of shape ``(N, channels, rows, columns)``, as the network takes it, not its own mirror image.

        Raises
        ------
        UsageError
            If the two answers differ: a pooling or a stride that leaves out a last column does that.
        """
        training = self.module.training
        self.module.eval()
        one, other = self.module(picture), self.module(picture.flip(3))
        self.module.train(training)
        if not torch.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE * float(one.abs().max())):
            raise _unfit("its answers differ for a picture and its mirror image")


def paired(module: nn.Module, like: Tensor) -> Pairs:
    """Make the maps of a network pairs, and try that they are.

    Parameters
    ----------
    like
        A tensor shaped as the network's input.

    Raises
    ------
    UsageError
        For a network that cannot have them, which is left half changed.
    """
    pairs = Pairs(module)
    pairs.begin()
    pairs.check(torch.rand(like.shape, generator=torch.Generator().manual_seed(0)).to(like))
    return pairs


def unfolded(module: nn.Module, halves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights of a network from those its file holds: the first of each pair."""
    pairs = Pairs(module)
    return {name: pairs.whole(name, value) for name, value in halves.items()}


def folded(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a network with pairs that the others follow from.

    Examples
    --------
    >>> from convscope.models.small_nets import cifar10_small
    >>> net = cifar10_small()
    >>> Pairs(net).begin()
    >>> halves = folded(net)
    >>> halves["conv1.weight"].shape
    torch.Size([16, 3, 7, 7])
    >>> all(torch.equal(net.state_dict()[name], value) for name, value in unfolded(net, halves).items())
    True
    """
    pairs = Pairs(module)
    return {name: pairs.half(name, value).contiguous() for name, value in module.state_dict().items()}


def _unfit(reason: str) -> UsageError:
    return UsageError(
        f"this network cannot be trained with its maps in mirrored pairs: {reason}",
        hint="Train it as it is: --set mirrored_pairs=no.",
    )
