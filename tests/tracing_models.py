"""Small models made of a function, and a trace held against independent runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import convscope
from tracing_oracles import Fingerprint, check_graph, check_leaves, clone_hooks, flat, replay, same


class Plain(nn.Module):
    """A model whose forward is the given function."""

    def __init__(self, function: Callable[..., Any], **children: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def plain(function: Callable[..., Any]) -> Plain:
    """A model of a function that does not ask for the model."""
    return Plain(lambda model, *args: function(*args))


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*(shape or (2, 3, 8, 8)), generator=torch.Generator().manual_seed(seed))


def chain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten()).eval()


def traced(function: Callable[..., Any], *args: Tensor) -> convscope.Trace:
    """A plain function's trace; checks output, graph and replay against the plain run."""
    copies = tuple(a.clone() for a in args)
    with torch.no_grad():
        expected = function(*(a.clone() for a in args))
    trace = convscope.trace(plain(function), copies)
    assert same(trace.output, expected)
    check_graph(trace)
    replay(trace)
    return trace


def full_check(model: nn.Module, *args: Any) -> convscope.Trace:
    """Trace and hold leaves, output, graph and replay against independent runs."""
    plain, calls = clone_hooks(model, *args)
    before = Fingerprint(model)
    trace = convscope.trace(model, args)
    before.check()
    for mine, theirs in zip(flat(trace.output), flat(plain), strict=True):
        assert same(mine, theirs)
    check_leaves(trace, calls)
    check_graph(trace)
    replay(trace)
    return trace


def full_check_no_leaf(model: nn.Module, *args: Any) -> convscope.Trace:
    with torch.no_grad():
        plain = model(*args)
    trace = convscope.trace(model, args)
    for mine, theirs in zip(flat(trace.output), flat(plain), strict=True):
        assert same(mine, theirs)
    check_graph(trace)
    replay(trace)
    return trace
