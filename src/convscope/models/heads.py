"""The end of a network, exchanged: its class scores for those of other classes.

A head is written down as plain data (``Head``), so that a run folder can build the same
network again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from convscope.errors import ModelError


@dataclass(frozen=True)
class Head:
    """Which module of a network is exchanged, and for what.

    Parameters
    ----------
    path
        Qualified name of the module, such as ``classifier.6``.
    layers
        One mapping a layer: ``kind`` is ``linear`` (``inputs``, ``outputs``), ``conv2d`` of 1 x 1
        (``inputs``, ``outputs``), ``relu``, ``dropout`` (``share``) or ``log_softmax``. One layer stands by
        itself; several become a ``Sequential``.

    Examples
    --------
    >>> Head("fc", ({"kind": "linear", "inputs": 512, "outputs": 3},)).build()
    Linear(in_features=512, out_features=3, bias=True)
    """

    path: str
    layers: tuple[Mapping[str, Any], ...]

    def build(self) -> nn.Module:
        """The layers, with fresh random weights."""
        made = [_layer(layer) for layer in self.layers]
        return made[0] if len(made) == 1 else nn.Sequential(*made)

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"path": self.path, "layers": [dict(layer) for layer in self.layers]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Head:
        """The head ``to_json`` wrote.

        Examples
        --------
        >>> Head.from_json({"path": "fc", "layers": [{"kind": "relu"}]}).path
        'fc'
        """
        return cls(str(values["path"]), tuple(dict(layer) for layer in values["layers"]))


def exchange(module: nn.Module, head: Head) -> nn.Module:
    """Put ``head`` in its place in ``module``.

    Returns
    -------
    ``module``, changed; the head alone if its path is empty (the module was one layer).

    Raises
    ------
    ModelError
        If ``module`` has no such place.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 10))
    >>> exchange(net, Head("1", ({"kind": "linear", "inputs": 12, "outputs": 3},)))[1].out_features
    3
    """
    new = head.build()
    if not head.path:
        return new
    parent_path, _, name = head.path.rpartition(".")
    try:
        parent = module.get_submodule(parent_path)
        old = module.get_submodule(head.path)
    except AttributeError as error:
        raise ModelError(
            f"the network has no layer `{head.path}` to exchange for the classes' scores"
        ) from error
    new.train(old.training)
    # timm and others ask a network for its classifier by this number.
    if hasattr(module, "num_classes") and isinstance(module.num_classes, int):
        module.num_classes = outputs(head.layers)  # type: ignore[assignment]
    setattr(parent, name, new)
    return module


def outputs(layers: Sequence[Mapping[str, Any]]) -> int:
    """Class scores a head gives.

    Examples
    --------
    >>> outputs([{"kind": "linear", "inputs": 9216, "outputs": 102}, {"kind": "log_softmax"}])
    102
    """
    return next(int(layer["outputs"]) for layer in reversed(layers) if "outputs" in layer)


def _layer(layer: Mapping[str, Any]) -> nn.Module:
    kind = layer.get("kind")
    if kind == "linear":
        return nn.Linear(layer["inputs"], layer["outputs"], bias=layer.get("bias", True))
    if kind == "conv2d":
        return nn.Conv2d(layer["inputs"], layer["outputs"], 1, bias=layer.get("bias", True))
    if kind == "relu":
        return nn.ReLU()
    if kind == "dropout":
        return nn.Dropout(layer["share"])
    if kind == "log_softmax":
        return nn.LogSoftmax(dim=1)
    raise ModelError(f"a head cannot have a layer of kind `{kind}`")
