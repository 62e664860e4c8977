"""Values that something overwrites later: each is kept as it was when it was computed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import convscope
from tracing_models import batch, chain, traced
from tracing_oracles import ancestors, check_leaves, clone_hooks, replay, same


def test_batch_norm_before_an_in_place_relu_keeps_its_negative_values() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    x = batch(2, 3, 6, 6)
    trace = convscope.trace(net, x)
    with torch.no_grad():
        expected = net[1](net[0](x))
    assert same(trace["1"].value, expected)
    assert same(trace["2"].value, expected.clamp(min=0))
    assert bool((trace["1"].value < 0).any())
    assert trace["2"].inputs == (trace["1"].index,)


def test_adding_in_place_keeps_both_the_value_before_and_after() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 2
        y += x
        return y.tanh()

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert [op.kind for op in trace] == ["input", "mul", "add", "tanh"]
    assert same(trace["mul"].value, x * 2)
    assert same(trace["add"].value, x * 2 + x)
    assert trace["add"].inputs == (1, 0)


def test_every_in_place_operator_is_recorded_with_its_operands() -> None:
    def forward(x: Tensor, y: Tensor) -> Tensor:
        z = x.clone()
        z -= y
        z *= y
        z /= 3
        z **= 2
        z.add_(y).mul_(2).clamp_(min=0)
        torch.relu_(z)
        F.relu_(z)
        torch.sigmoid_(z)
        F.elu(z, inplace=True)
        z.lerp_(y, 0.5)
        z.masked_fill_(y > 0, 0.0)
        z.unsqueeze_(0).squeeze_(0)
        return z

    x, y = batch(2, 3, 6, 6), batch(2, 3, 6, 6, seed=1)
    trace = traced(forward, x, y)
    assert same(trace["clone"].value, x)
    assert same(trace["sub"].value, x - y)
    assert same(trace["mul"].value, (x - y) * y)


def test_out_arguments_are_writes_into_what_they_name() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x.exp()
        z = torch.empty_like(x)
        torch.add(x, 1, out=z)
        torch.mul(z, 2, out=y)
        return y + z

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["exp"].value, x.exp())
    assert same(trace["mul"].value, (x + 1) * 2)
    assert trace["add_1"].inputs == (trace["mul"].index, trace["add"].index)


def test_out_tuples_of_several_tensors_are_all_recorded() -> None:
    def forward(x: Tensor) -> Tensor:
        values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
        torch.max(x, 1, out=(values, indices))
        return values * indices

    trace = traced(forward, batch(3, 4))
    assert trace["mul"].inputs == (trace["max"].index,)


def test_a_concatenation_then_an_in_place_op_leaves_every_part_as_it_was() -> None:
    def forward(x: Tensor) -> Tensor:
        a, b = x.sin(), x.cos()
        c = torch.cat([a, b], 1)
        c.relu_()
        a.zero_()
        return c + torch.cat([a, b], 1)

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["cat"].value, torch.cat([x.sin(), x.cos()], 1))
    assert same(trace["sin"].value, x.sin())
    assert same(trace["relu"].value, torch.cat([x.sin(), x.cos()], 1).relu())


def test_writing_into_a_view_leaves_the_base_as_recorded_and_reaches_later_users_of_the_base() -> None:
    def forward(x: Tensor) -> Tensor:
        base = x * 1
        view = base.view(-1)
        view.relu_()
        return base + 1

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["view"].value, x.view(-1))
    assert trace["relu"].index in trace["add"].inputs
    assert same(trace["add"].value, x.relu() + 1)


def test_writing_into_a_slice_is_an_op_that_later_users_depend_on() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        y[:, :2] = 0
        return y.exp()

    x = batch(2, 3, 6, 6)
    expected = x.clone()
    expected[:, :2] = 0
    trace = traced(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["setitem"].value, expected)
    assert trace["exp"].inputs == (trace["setitem"].index,)


def test_slices_written_one_by_one_fill_a_buffer_made_beforehand() -> None:
    def forward(x: Tensor) -> Tensor:
        out = torch.zeros(x.shape[0], 6, 6, 6)
        out[:, :3] = x
        out[:, 3:].copy_(x.abs())
        return out.relu()

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    copy = trace["copy"].index
    assert copy in trace["relu"].inputs
    assert bool((trace["zeros"].value == 0).all())
    assert same(trace["relu"].value, torch.cat([x, x.abs()], 1).relu())


def test_two_views_of_one_memory_are_both_kept_before_a_write() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        top, bottom = y.chunk(2, dim=2)
        top.add_(1)
        left = y[..., :3]
        left.mul_(3)
        return top.sum() + bottom.sum() + left.sum() + y.sum()

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["chunk"].values[0], x[:, :, :3])
    assert same(trace["chunk"].values[1], x[:, :, 3:])


def test_the_users_input_is_not_what_a_model_that_writes_into_it_leaves() -> None:
    def forward(x: Tensor) -> Tensor:
        return x.relu_().sum(1)

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["input"].value, x)


def test_writes_through_data_are_seen() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        y.data.mul_(2)
        y.data[0] = 7
        return y + 1

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["mul"].value, x)


def test_assigning_data_swaps_the_value_and_is_recorded() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        y.data = x.exp()
        z = y + 1
        y.mul_(0)
        return z + y

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["exp"].value, x.exp())
    assert same(trace["add"].value, x.exp() + 1)
    assert trace["exp"].index in ancestors(trace, trace["add"].index)


def test_copying_into_a_buffer_made_once_keeps_each_content() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scratch = torch.zeros(2, 3, 6, 6)

        def forward(self, x: Tensor) -> Tensor:
            self.scratch.copy_(x)
            y = self.scratch * 2
            self.scratch.copy_(x + 1)
            return y + self.scratch

    net, x = Net(), batch(2, 3, 6, 6)
    trace = convscope.trace(net, x)
    assert same(trace.output, x * 2 + (x + 1))
    assert same(trace["copy"].value, x)
    assert same(trace["copy_1"].value, x + 1)
    replay(trace)
    kept = [v.clone() for op in trace for v in op.values if v is not None]
    net(x * 100)
    assert all(
        same(a, b) for a, b in zip(kept, (v for op in trace for v in op.values if v is not None), strict=True)
    )


def test_checkpointed_dense_layers_equal_clone_hooks() -> None:
    from torchvision.models import DenseNet

    net = DenseNet(8, (2, 2), 16, memory_efficient=True).eval()
    x = batch(2, 3, 32, 32)
    _, calls = clone_hooks(net, x)
    trace = convscope.trace(net, x)
    assert check_leaves(trace, calls) > 10
    replay(trace)


def test_values_first_read_in_inference_mode_are_ordinary_tensors() -> None:
    trace = convscope.trace(chain(), batch(2, 3, 6, 6))
    with torch.inference_mode():
        values = [op.value for op in trace]
    assert not any(v.is_inference() for v in values)
