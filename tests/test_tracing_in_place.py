"""Values that something overwrites later: each is kept as it was when it was computed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import convscope
from convscope.errors import TraceError
from tracing_oracles import check_graph, check_leaves, clone_hooks, replay, same


class Plain(nn.Module):
    """A model whose forward is the given function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*(shape or (2, 3, 6, 6)), generator=torch.Generator().manual_seed(seed))


def run(function: Callable[..., Any], *args: Tensor) -> convscope.Trace:
    """Trace, and check output, graph and replay against the plain run."""
    copies = tuple(a.clone() for a in args)
    with torch.no_grad():
        expected = function(*(a.clone() for a in args))
    trace = convscope.trace(Plain(function), copies)
    assert same(trace.output, expected)
    check_graph(trace)
    replay(trace)
    return trace


def test_batch_norm_before_an_in_place_relu_keeps_its_negative_values() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    x = batch()
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

    x = batch()
    trace = run(forward, x)
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

    x, y = batch(), batch(seed=1)
    trace = run(forward, x, y)
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

    x = batch()
    trace = run(forward, x)
    assert same(trace["exp"].value, x.exp())
    assert same(trace["mul"].value, (x + 1) * 2)
    assert trace["add_1"].inputs == (trace["mul"].index, trace["add"].index)


def test_out_tuples_of_several_tensors_are_all_recorded() -> None:
    def forward(x: Tensor) -> Tensor:
        values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
        torch.max(x, 1, out=(values, indices))
        return values * indices

    trace = run(forward, batch(3, 4))
    assert trace["mul"].inputs == (trace["max"].index,)


def test_a_concatenation_then_an_in_place_op_leaves_every_part_as_it_was() -> None:
    def forward(x: Tensor) -> Tensor:
        a, b = x.sin(), x.cos()
        c = torch.cat([a, b], 1)
        c.relu_()
        a.zero_()
        return c + torch.cat([a, b], 1)

    x = batch()
    trace = run(forward, x)
    assert same(trace["cat"].value, torch.cat([x.sin(), x.cos()], 1))
    assert same(trace["sin"].value, x.sin())
    assert same(trace["relu"].value, torch.cat([x.sin(), x.cos()], 1).relu())


def test_writing_into_a_view_leaves_the_base_as_recorded_and_reaches_later_users_of_the_base() -> None:
    def forward(x: Tensor) -> Tensor:
        base = x * 1
        view = base.view(-1)
        view.relu_()
        return base + 1

    x = batch()
    trace = run(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["view"].value, x.view(-1))
    assert trace["relu"].index in trace["add"].inputs
    assert same(trace["add"].value, x.relu() + 1)


def test_writing_into_a_slice_is_an_op_that_later_users_depend_on() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        y[:, :2] = 0
        return y.exp()

    x = batch()
    expected = x.clone()
    expected[:, :2] = 0
    trace = run(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["setitem"].value, expected)
    assert trace["exp"].inputs == (trace["setitem"].index,)


def test_slices_written_one_by_one_fill_a_buffer_made_beforehand() -> None:
    def forward(x: Tensor) -> Tensor:
        out = torch.zeros(x.shape[0], 6, 6, 6)
        out[:, :3] = x
        out[:, 3:].copy_(x.abs())
        return out.relu()

    x = batch()
    trace = run(forward, x)
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

    x = batch()
    trace = run(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["chunk"].values[0], x[:, :, :3])
    assert same(trace["chunk"].values[1], x[:, :, 3:])


def test_the_users_input_is_not_what_a_model_that_writes_into_it_leaves() -> None:
    def forward(x: Tensor) -> Tensor:
        return x.relu_().sum(1)

    x = batch()
    trace = run(forward, x)
    assert same(trace["input"].value, x)


def test_writes_through_data_are_seen() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        y.data.mul_(2)
        y.data[0] = 7
        return y + 1

    x = batch()
    trace = run(forward, x)
    assert same(trace["mul"].value, x)


def test_assigning_data_swaps_the_value_and_is_recorded() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        y.data = x.exp()
        z = y + 1
        y.mul_(0)
        return z + y

    x = batch()
    trace = run(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["exp"].value, x.exp())
    assert same(trace["add"].value, x.exp() + 1)
    assert trace["exp"].index in _ancestors(trace, trace["add"].index)


def _ancestors(trace: convscope.Trace, index: int) -> set[int]:
    found: set[int] = set()
    todo = [index]
    while todo:
        for source in trace.ops[todo.pop()].inputs:
            if source not in found:
                found.add(source)
                todo.append(source)
    return found


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

    net, x = Net(), batch()
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


def test_a_numpy_view_written_behind_torchs_back_does_not_reach_what_was_recorded() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        array = y.numpy()
        array[:] = 3.0
        return y + torch.from_numpy(array)

    x = batch()
    trace = run(forward, x)
    assert same(trace["mul"].value, x)


@pytest.mark.parametrize(
    "write",
    [
        lambda y: y.detach().numpy().fill(5),
        lambda y: y.__array__().fill(5),
        lambda y: torch.from_numpy(y.view(-1).numpy()).fill_(5),
        lambda y: torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(y)).fill_(5),
        lambda y: torch.from_dlpack(y).fill_(5),
        lambda y: y.untyped_storage().fill_(0),
        lambda y: torch.as_strided(y, (3,), (1,)).fill_(5),
        lambda y: torch.frombuffer(memoryview(y.numpy()), dtype=torch.float32).fill_(5),
        lambda y: y.view(torch.int32).fill_(0),
        lambda y: y.set_(torch.ones(4)),
        lambda y: y.resize_(1),
        lambda y: torch._foreach_mul_([y], 3),
        lambda y: torch.ops.aten.mul_(y, 3),
        lambda y: torch.ops.aten.mul_.Tensor(y, torch.tensor(3.0)),
        lambda y: torch.ops.aten.mul.out(y, torch.tensor(3.0), out=y),
        lambda y: F.threshold_(y, 0.0, 9.0),
        lambda y: nn.init.ones_(y),
        lambda y: y.index_fill_(0, torch.tensor([0]), 9.0),
        lambda y: y.scatter_(0, torch.zeros(1, 3, 6, 6, dtype=torch.int64), 9.0),
        lambda y: y.apply_(lambda v: v + 1),
        lambda y: nn.utils.vector_to_parameters(torch.zeros(216), [y]),
        lambda y: torch.nn.utils.clip_grad_norm_([y], 1.0),
        lambda y: y.swapaxes_(0, 1),
        lambda y: torch._C._nn.relu6_(y) if hasattr(torch._C._nn, "relu6_") else y.clamp_(0, 6),
        lambda y: torch.nn.functional.dropout(y, 0.5, True, True),
        lambda y: torch.utils._pytree.tree_map_(lambda t: t.zero_(), [y]),
        lambda y: y.__setitem__(0, 4.0),
        lambda y: y.real.fill_(2.0),
        lambda y: y.T.fill_(2.0) if y.ndim == 2 else y.mT.fill_(2.0),
        lambda y: [row.fill_(1.0) for row in y],
        lambda y: y.unbind(1)[0].fill_(1.0),
        lambda y: torch.split(y, 1)[0].fill_(1.0),
        lambda y: y.share_memory_().zero_(),
    ],
)
def test_no_way_of_writing_reaches_an_earlier_value(write: Callable[[Tensor], Any]) -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        write(y)
        return y + 1

    x = batch()
    torch.manual_seed(0)
    with torch.no_grad():
        expected = forward(x.clone())
    torch.manual_seed(0)
    trace = convscope.trace(Plain(forward), x.clone())
    assert same(trace.output, expected)
    assert same(trace["mul"].value, x)
    check_graph(trace)


def _hidden_write(x: Tensor) -> Tensor:
    """A compiled function that writes into its argument without torch functions being called."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and people still have it in their models
        return torch.jit.script(_double_and_add)(x)


def _double_and_add(x: Tensor) -> Tensor:
    x.mul_(2)
    return x + 1


def test_a_write_hidden_in_a_scripted_function_is_noticed_and_the_pass_recorded_again() -> None:
    passes: list[int] = []

    def forward(x: Tensor) -> Tensor:
        passes.append(1)
        y = x.exp()
        z = _hidden_write(y)
        return y + z

    x = batch()
    trace = convscope.trace(Plain(forward), x.clone())
    assert same(trace["exp"].value, x.exp())
    assert same(trace.output, x.exp() * 2 + (x.exp() * 2 + 1))
    assert len(passes) == 2, "once to find out, once with copies"


def test_a_hidden_write_followed_by_an_announced_one_is_noticed() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x.exp()
        z = _hidden_write(y)
        y.add_(1)
        return y + z

    x = batch()
    trace = convscope.trace(Plain(forward), x.clone())
    assert same(trace["exp"].value, x.exp())


def test_an_embedding_that_renormalises_its_weights_leaves_them_as_they_were() -> None:
    net = nn.Embedding(5, 4, max_norm=0.1)
    before = net.weight.detach().clone()
    words = torch.tensor([[0, 1, 1]])
    trace = convscope.trace(net, (words,))
    assert same(net.weight.detach(), before)
    expected = before[words] * (0.1 / (before[words].norm(dim=-1, keepdim=True) + 1e-7))
    torch.testing.assert_close(trace.output, expected)


def test_checkpointed_dense_layers_equal_clone_hooks() -> None:
    from torchvision.models import DenseNet

    net = DenseNet(8, (2, 2), 16, memory_efficient=True).eval()
    x = batch(2, 3, 32, 32)
    _, calls = clone_hooks(net, x)
    trace = convscope.trace(net, x)
    assert check_leaves(trace, calls) > 10
    replay(trace)


def test_written_into_while_another_thread_of_names_shares_the_storage() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        views = [y[:, i] for i in range(3)]
        for i, view in enumerate(views):
            view.mul_(i)
        total = views[0] + views[1] + views[2]
        del views
        y.add_(1)
        return total + y.sum(1)

    x = batch()
    trace = run(forward, x)
    assert same(trace["mul"].value, x)
    assert same(trace["getitem_2"].value, x[:, 2])


def test_freed_views_do_not_confuse_what_a_write_reaches() -> None:
    def forward(x: Tensor) -> Tensor:
        for i in range(60):
            part = x * i
            part.view(-1).relu_()
            x = x + part
            del part
        return x

    run(forward, batch())


def test_freed_views_do_not_confuse_a_trace_that_keeps_little() -> None:
    def forward(x: Tensor) -> Tensor:
        for i in range(60):
            part = x * i
            part.view(-1).relu_()
            x = x + part
            del part
        return x.tanh()

    x = batch()
    whole = convscope.trace(Plain(forward), x)
    some = convscope.trace(Plain(forward), x, keep=["tanh", "add_3"])
    assert [op.inputs for op in some] == [op.inputs for op in whole]
    assert same(some["add_3"].value, whole["add_3"].value)
    assert same(some["tanh"].value, whole["tanh"].value)


def chain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten()).eval()


def test_values_first_read_in_inference_mode_are_ordinary_tensors() -> None:
    trace = convscope.trace(chain(), batch())
    with torch.inference_mode():
        values = [op.value for op in trace]
    assert not any(v.is_inference() for v in values)


def test_writing_into_the_output_reaches_no_recorded_value() -> None:
    trace = convscope.trace(chain(), batch())
    kept = [op.value.clone() for op in trace]
    again = convscope.trace(trace.model, batch())
    again.output.fill_(7)
    assert all(same(op.value, value) for op, value in zip(again, kept, strict=True))


def test_a_value_is_never_computed_from_one_the_user_has_written_into() -> None:
    net, x = chain(), batch()
    expected = convscope.trace(net, x)["1"].value
    trace = convscope.trace(net, x)
    trace["0"].value[0, 0, 0, 0] += 1
    with pytest.raises(TraceError, match=r"a recorded value was written into, so that `1"):
        _ = trace["1"].value
    trace = convscope.trace(net, x)
    assert same(trace["1"].value, expected)
    trace["1"].value[0, 0, 0, 0] = -1
    assert same(convscope.trace(net, x)["2"].value, expected.relu())
