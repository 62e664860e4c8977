"""What ops and module calls are called."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import convscope
from convscope.errors import UnknownLayerError
from tracing_models import Plain, batch, full_check
from tracing_oracles import same

# -- names -----------------------------------------------------------------------------------


def test_a_shared_module_is_numbered_by_its_calls() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3):
                x = self.relu(self.conv(x))
            return x

    net = Net().eval()
    trace = full_check(net, batch())
    assert [op.name for op in trace] == ["input", "conv", "relu", "conv_1", "relu_1", "conv_2", "relu_2"]
    assert [c.number for c in trace.calls if c.path == "relu"] == [0, 1, 2]
    with torch.no_grad():
        first = net.conv(batch())
        assert same(trace["conv"].value, first)
        assert same(trace["conv_1"].value, net.conv(first.relu()))


def test_a_module_under_two_paths_keeps_its_first() -> None:
    shared = nn.Conv2d(3, 3, 1)
    trace = full_check(nn.Sequential(OrderedDict(first=shared, mid=nn.ReLU(), second=shared)), batch())
    assert [op.name for op in trace] == ["input", "first", "mid", "first_1"]
    assert trace["first_1"].parameters == trace["first"].parameters == {"first.weight": 9, "first.bias": 3}


def test_a_second_call_never_takes_the_name_of_another_module() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.relu(self.relu_1(self.relu(x) - 1))

    trace = full_check(Plain(forward, relu=nn.ReLU(), relu_1=nn.Tanh()), batch())
    x = batch()
    assert same(trace["relu"].value, x.relu())
    assert same(trace["relu_1"].value, (x.relu() - 1).tanh())
    assert trace["relu_2"].kind == "relu"


@pytest.mark.parametrize("child", ["add", "input", "relu", "output", "add_1", "conv2d", "input.0"])
def test_a_child_called_like_an_op_keeps_its_name_for_itself(child: str) -> None:
    child = child.replace(".", "_")

    def forward(self: Any, x: Tensor) -> Tensor:
        y = F.relu(x + 1) + 1
        return getattr(self, child)(y) + x

    trace = full_check(Plain(forward, **{child: nn.Tanh()}), batch())
    x = batch()
    assert same(trace.op(child).value, ((x + 1).relu() + 1).tanh())
    assert trace.op(child).kind == "tanh"
    assert [op.kind for op in trace] == ["input", "add", "relu", "add", "tanh", "add"]


def test_a_leaf_module_of_several_ops_is_found_by_its_own_name() -> None:
    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)

    trace = full_check(nn.Sequential(nn.Conv2d(3, 3, 1), Swish(), nn.ReLU()), batch())
    assert [op.name for op in trace] == ["input", "0", "1.sigmoid", "1", "2"]
    assert trace.op("1").kind == "mul"


def test_a_leaf_that_returns_its_input_points_at_where_it_came_from() -> None:
    trace = full_check(
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.Dropout(), nn.Tanh()).eval(), batch()
    )
    assert trace.op("1").name == "0"
    assert same(trace["1"].value, trace["0"].value)
    assert trace.output.shape == (2, 3, 8, 8)


def test_a_module_that_gives_back_an_older_value_is_not_given_the_newer_one() -> None:
    class Early(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x.mul(2)
            return x

    model = nn.Sequential(nn.Tanh(), Early(), nn.ReLU())
    trace = full_check(model, batch())
    assert same(trace["1"].value, batch().tanh())
    assert trace["2"].inputs == (trace["0"].index,)


def test_an_identity_of_an_in_place_chain_shows_the_value_it_passed_on() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.ReLU(inplace=True), nn.Identity())
    trace = full_check(model, batch())
    assert same(trace["1"].value, trace["0"].value)
    assert same(trace["3"].value, trace["2"].value)
    assert bool((trace["1"].value < 0).any())


def test_unknown_names_are_answered_with_the_nearest() -> None:
    trace = convscope.trace(torchvision.models.resnet18().eval(), batch(1, 3, 32, 32))
    with pytest.raises(UnknownLayerError, match=r"no layer `layer1\.0\.conv3`") as caught:
        trace["layer1.0.conv3"]
    assert {"layer1.0.conv1", "layer1.0.conv2"} <= set(caught.value.nearest)
    with pytest.raises(UnknownLayerError, match=r"no layer `layer9\.\*`"):
        trace.select("layer9.*")
    with pytest.raises(
        IndexError, match=r"there is no op 10000 in this trace: it has ops 0 to 6\d$"
    ) as beyond:
        trace[10_000]
    assert isinstance(beyond.value, convscope.ConvscopeError)
    assert trace[-1] is trace.ops[-1]


def test_patterns_select_in_call_order() -> None:
    trace = convscope.trace(torchvision.models.resnet18().eval(), batch(1, 3, 32, 32))
    names = [op.name for op in trace.select("layer*.conv?")]
    assert names == [f"layer{i}.{j}.conv{k}" for i in (1, 2, 3, 4) for j in (0, 1) for k in (1, 2)]
    assert [op.name for op in trace.select(["fc", "conv1"])] == ["conv1", "fc"]
    assert [op.name for op in trace.select("layer[12].0.add")] == ["layer1.0.add", "layer2.0.add"]
    assert [op.name for op in trace.select("layer1.0")] == ["layer1.0.relu_1"]


def test_printing_shows_every_op_in_order_with_its_shape() -> None:
    trace = convscope.trace(torchvision.models.resnet18().eval(), batch(1, 3, 32, 32))
    lines = str(trace).splitlines()
    assert "11,689,512 parameters" in lines[0]
    assert len(lines) == len(trace) + 1
    assert list(trace) == list(trace.ops)
    assert [line.split()[1] for line in lines[1:]] == [op.name for op in trace]
    assert lines[-1].split()[-1] == "1×1000"
    assert repr(trace) == f"<Trace of ResNet: {len(trace)} ops>"


def test_names_are_the_same_in_every_run() -> None:
    model = torchvision.models.googlenet(init_weights=False).eval()
    first, second = (convscope.trace(model, batch(1, 3, 64, 64, seed=s)) for s in (0, 1))
    assert first.names == second.names
