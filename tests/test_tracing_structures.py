"""Every shape of input, output and control flow."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import convscope
from tracing_models import Plain, batch, full_check, full_check_no_leaf
from tracing_oracles import flat, replay, same

# -- inputs and outputs ----------------------------------------------------------------------

Pair = namedtuple("Pair", ["left", "right"])


@dataclasses.dataclass
class Answer:
    scores: Tensor
    extra: dict[str, Tensor]
    note: str = "x"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a, b: {"a": a, "b": [b]},
        lambda a, b: [a, (b,)],
        lambda a, b: (a, b),
        lambda a, b: Pair(a, b),
        lambda a, b: Answer(a, {"b": b}),
        lambda a, b: OrderedDict(a=a, b=b),
        lambda a, b: (a, None, "text", 3, b),
    ],
)
def test_outputs_and_arguments_of_any_shape_are_followed(wrap: Callable[[Tensor, Tensor], Any]) -> None:
    class Ends(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return wrap(x + 1, x.tanh())

    class Takes(nn.Module):
        def forward(self, both: Any) -> Tensor:
            a, b = flat(both)
            return a * b

    model = nn.Sequential(Ends(), Takes())
    trace = full_check(model, batch())
    assert trace["1"].inputs == (1, 2)
    assert trace.calls[1].outputs == ((1, 0), (2, 0))
    whole = full_check(Ends(), batch())
    assert [v.shape for v in whole.calls[0].values] == [(2, 3, 8, 8)] * 2


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((batch(), batch(seed=1)), ["input.0", "input.1"]),
        ({"x": batch(), "y": batch(seed=1)}, ["input.x", "input.y"]),
        (({"x": batch(), "y": batch(seed=1)},), ["input.0.0", "input.0.1"]),
        ([batch(), batch(seed=1)], ["input.0.0", "input.0.1"]),
        ((Pair(batch(), batch(seed=1)),), ["input.0.0", "input.0.1"]),
        ((Answer(batch(), {"y": batch(seed=1)}),), ["input.0.0", "input.0.1"]),
    ],
)
def test_inputs_of_any_shape_are_named(given: Any, names: list[str]) -> None:
    def forward(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        a, b = flat([args, kwargs])
        return a - b

    trace = convscope.trace(Plain(forward), given)
    assert [op.name for op in trace if op.kind == "input"] == names
    assert trace["sub"].inputs == (0, 1)
    assert same(trace.output, batch() - batch(seed=1))


def test_a_larger_batch_gives_every_picture() -> None:
    model = torchvision.models.resnet18().eval()
    x = batch(3, 3, 32, 32)
    trace = full_check(model, x)
    assert trace["layer2.0.conv1"].value.shape[0] == 3
    assert trace.logits is not None
    assert trace.logits.shape == (3, 1000)


# -- control flow and functions --------------------------------------------------------------


def test_the_branch_a_picture_takes_is_the_one_recorded() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        if x.mean() > 0:
            return self.bright(x).relu()
        while x.abs().max() > 0.5:
            x = x / 2
        return torch.tanh(self.dark(x))

    model = Plain(forward, bright=nn.Conv2d(3, 2, 1), dark=nn.Conv2d(3, 2, 3))
    bright = full_check(model, torch.ones(1, 3, 8, 8))
    dark = full_check(model, -torch.ones(1, 3, 8, 8))
    kinds = [op.kind for op in bright if op.kind not in {"mean", "gt", "abs", "max"}]
    assert kinds == ["input", "conv2d", "relu"]
    assert [op.name for op in dark if op.kind in {"div", "conv2d", "tanh"}] == ["div", "dark", "tanh"]


def test_a_net_of_plain_functions_shows_every_op() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
            self.conv2 = nn.Conv2d(16, 8, 3, padding=1)
            self.fc1 = nn.Linear(8 * 8 * 8, 32)
            self.fc2 = nn.Linear(32, 2)

        def forward(self, x: Tensor) -> Tensor:
            out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
            out = F.max_pool2d(torch.tanh(self.conv2(out)), 2)
            out = out.view(-1, 8 * 8 * 8)
            return self.fc2(torch.tanh(self.fc1(out)))

    model = Functional()
    trace = full_check(model, batch(2, 3, 32, 32))
    assert [op.name for op in trace] == [
        "input", "conv1", "tanh", "max_pool2d", "conv2", "tanh_1", "max_pool2d_1", "view",
        "fc1", "tanh_2", "fc2",
    ]  # fmt: skip
    assert trace["max_pool2d"].attributes["kernel_size"] == (2, 2)
    assert trace["max_pool2d"].attributes["stride"] == (2, 2)
    assert trace.parameters == 18_090


def test_generators_and_unpacking_in_a_forward_are_followed() -> None:
    def parts(x: Tensor) -> Iterator[Tensor]:
        for row in x:
            yield row.relu()

    def forward(self: Any, x: Tensor) -> Tensor:
        first, *others = x.unbind(1)
        return torch.stack(list(parts(x))).sum() + sum(o.mean() for o in others) + first.sum()

    full_check(Plain(forward), batch())


def test_a_submodules_exception_that_the_model_catches_is_no_failure() -> None:
    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(5, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.relu())

    def forward(self: Any, x: Tensor) -> Tensor:
        try:
            return self.fragile(x)
        except RuntimeError:
            return self.plan_b(x) + 1

    model = Plain(forward, fragile=Fragile(), plan_b=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch())
    assert [op.name for op in trace] == ["input", "fragile.relu", "plan_b", "add"]
    assert trace["add"].path == ""
    with torch.no_grad():
        assert same(trace.output, model.plan_b(batch()) + 1)


def test_a_model_called_without_being_a_child_is_recorded_by_its_functions() -> None:
    hidden = [nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())]

    def forward(self: Any, x: Tensor) -> Tensor:
        return hidden[0](x) * 2

    trace = convscope.trace(Plain(forward), batch())
    assert [op.kind for op in trace] == ["input", "conv2d", "relu", "mul"]
    weight = next(o for o in trace["conv2d"].operands if o.role == "weight")
    assert weight.constant is not None
    assert same(weight.constant, hidden[0][0].weight.detach())
    replay(trace)


def test_a_forward_called_directly_records_the_ops_under_the_caller() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.conv.forward(x).relu()

    trace = convscope.trace(Plain(forward, conv=nn.Conv2d(3, 4, 1)), batch())
    assert [op.name for op in trace] == ["input", "conv2d", "relu"]
    assert trace["conv2d"].parameters == {"conv.weight": 12, "conv.bias": 4}


def test_a_weight_computed_on_the_fly_has_its_making_in_the_graph() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        weight = self.conv.weight
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.conv.bias)

    trace = full_check_no_leaf(Plain(forward, conv=nn.Conv2d(3, 4, 3)), batch())
    assert trace["conv2d"].inputs == (0, trace["sub"].index)
    assert trace["conv2d"].multiply_adds == 2 * 4 * 36 * 27


@pytest.mark.parametrize(
    "norm", [nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.weight_norm]
)
def test_parametrized_modules_are_recorded_with_their_name(norm: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.ReLU()).eval()
    trace = full_check_no_leaf(model, batch())
    with torch.no_grad():
        assert same(trace["0"].value, model[0](batch()))


# -- user's hooks ----------------------------------------------------------------------------


def test_a_users_hooks_that_change_values_are_part_of_the_network() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    model[0].register_forward_hook(lambda m, a, y: y + 100)
    model[1].register_forward_pre_hook(lambda m, a: (a[0] * -1,))
    model[2].register_forward_hook(lambda m, a, k, y: y * 2, with_kwargs=True)
    trace = full_check_no_leaf(model, batch())
    x = batch()
    with torch.no_grad():
        first = F.conv2d(x, model[0].weight, model[0].bias) + 100
        assert same(trace["0"].value, first)
        assert same(trace["1"].value, (-first).relu())
        assert same(trace["2"].value, F.conv2d((-first).relu(), model[2].weight, model[2].bias) * 2)


def test_a_users_in_place_hook_is_seen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh()).eval()
    model[0].register_forward_hook(lambda m, a, y: y.mul_(0))
    trace = full_check_no_leaf(model, batch())
    assert bool((trace["0"].value == 0).all())
    assert bool((trace.ops[1].value != 0).any())
