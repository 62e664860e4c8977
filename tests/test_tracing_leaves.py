"""Plain layers recorded in one step, against the two watchers that record any other code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import convscope
from convscope.errors import ForwardError
from convscope.tracing import Keep, Trace, record
from convscope.tracing.leaves import is_plain


def both(model: nn.Module, batch: Any) -> tuple[Trace, Trace]:
    """The same pass recorded in one step a layer, and (since a name is asked for) by the two watchers."""
    return convscope.trace(model, batch), convscope.trace(model, batch, keep="*")


def assert_same(quick: Trace, watched: Trace) -> None:
    assert [
        (o.index, o.name, o.kind, o.path, o.module_type, o.shapes, o.dtype, o.parameters) for o in quick.ops
    ] == [
        (o.index, o.name, o.kind, o.path, o.module_type, o.shapes, o.dtype, o.parameters) for o in watched.ops
    ]
    for a, b in zip(quick.ops, watched.ops, strict=True):
        assert a.attributes == b.attributes
        assert [(o.role, o.shape, o.op, o.output, o.parameter) for o in a.operands] == [
            (o.role, o.shape, o.op, o.output, o.parameter) for o in b.operands
        ]
        for x, y in zip(a.values, b.values, strict=True):
            assert x is not None
            assert y is not None
            torch.testing.assert_close(x, y, rtol=0, atol=0, equal_nan=True)
    assert [(c.name, c.path, c.number, c.first, c.last, c.outputs, c.leaf) for c in quick.calls] == [
        (c.name, c.path, c.number, c.first, c.last, c.outputs, c.leaf) for c in watched.calls
    ]


def randomised(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "densenet121", "googlenet", "vit_b_32", "vgg11_bn"]
)
def test_one_step_records_what_the_two_watchers_record(name: str) -> None:
    size = 224 if name.startswith("vit") else 64
    extra = {"init_weights": False} if name == "googlenet" else {}
    model = randomised(torchvision.models.get_model(name, weights=None, **extra))
    assert_same(*both(model, torch.randn(2, 3, size, size)))


class Odd(nn.Module):
    """Layers called in every way that is not the plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.mirror = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")
        self.relu = nn.ReLU(inplace=True)
        self.bare = nn.BatchNorm2d(3, affine=False)
        self.batch = nn.BatchNorm2d(3, track_running_stats=False)
        self.cumulative = nn.BatchNorm2d(3, momentum=None)
        self.point = nn.Conv2d(3, 3, 1, bias=False)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(input=x)
        view = x[:, :2]
        x = self.relu(x)
        x = x + view.sum()
        x = self.conv.forward(x)
        x = self.mirror(x)
        x = self.cumulative(self.batch(self.bare(x)))
        x = self.relu(self.relu(x))
        with torch.no_grad():
            self.point.weight.mul_(2)
        x = self.point(x)
        x = self.conv(x.as_subclass(Tensor))
        return self.attention(x.flatten(2)[:, :, :8]) + checkpoint(self.conv, x, use_reentrant=False).mean()


def test_unusual_calls_are_recorded_as_by_the_two_watchers() -> None:
    torch.manual_seed(0)
    model = Odd().eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch = torch.randn(1, 3, 6, 6)
    assert_same(*both(model, batch))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_layer_with_a_hook_or_a_forward_of_its_own_is_not_plain() -> None:
    hooked, own, plain = nn.ReLU(), nn.ReLU(), nn.ReLU()
    handle = hooked.register_forward_hook(lambda _m, _a, out: out * 2)
    own.forward = lambda x: x - 1  # type: ignore[method-assign]
    model = nn.Sequential(hooked, own, plain)
    assert [is_plain(m) for m in model] == [False, False, True]
    trace = convscope.trace(model, torch.ones(1, 1, 2, 2))
    assert float(trace["2"].value.max()) == 1.0
    assert torch.equal(trace.output, model(torch.ones(1, 1, 2, 2)))
    handle.remove()


def test_layers_keep_their_own_forward_after_a_pass_that_failed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(ForwardError, match=r"failed in `2`"):
        convscope.trace(model, torch.zeros(1, 3, 8, 8))
    assert all("forward" not in m.__dict__ for m in model)


def test_somebody_elses_mode_and_global_hook_see_every_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    seen: list[str] = []
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _args, out: seen.append(type(module).__name__) or out + 1
    )
    try:
        expected = model(torch.zeros(1, 3, 8, 8))
        seen.clear()
        trace = convscope.trace(model, torch.zeros(1, 3, 8, 8))
    finally:
        handle.remove()
    assert seen == ["Conv2d", "ReLU", "Sequential"]
    assert torch.equal(trace.output, expected)
    with torch.device("cpu"):
        assert_same(*both(model, torch.zeros(1, 3, 8, 8)))


def test_an_in_place_layer_copies_what_it_overwrites_the_first_time() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)).eval()
    assert record(model, torch.randn(1, 3, 8, 8), [Keep()]).stale == 0
