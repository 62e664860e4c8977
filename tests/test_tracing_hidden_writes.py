"""Writes that no op announces, and memory freed and used again: what was recorded stays."""

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
from tracing_models import batch, chain, plain, traced
from tracing_oracles import check_graph, same


def test_a_numpy_view_written_behind_torchs_back_does_not_reach_what_was_recorded() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 1
        array = y.numpy()
        array[:] = 3.0
        return y + torch.from_numpy(array)

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
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

    x = batch(2, 3, 6, 6)
    torch.manual_seed(0)
    with torch.no_grad():
        expected = forward(x.clone())
    torch.manual_seed(0)
    trace = convscope.trace(plain(forward), x.clone())
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

    x = batch(2, 3, 6, 6)
    trace = convscope.trace(plain(forward), x.clone())
    assert same(trace["exp"].value, x.exp())
    assert same(trace.output, x.exp() * 2 + (x.exp() * 2 + 1))
    assert len(passes) == 2, "once to find out, once with copies"


def test_a_hidden_write_followed_by_an_announced_one_is_noticed() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x.exp()
        z = _hidden_write(y)
        y.add_(1)
        return y + z

    x = batch(2, 3, 6, 6)
    trace = convscope.trace(plain(forward), x.clone())
    assert same(trace["exp"].value, x.exp())


def test_an_embedding_that_renormalises_its_weights_leaves_them_as_they_were() -> None:
    net = nn.Embedding(5, 4, max_norm=0.1)
    before = net.weight.detach().clone()
    words = torch.tensor([[0, 1, 1]])
    trace = convscope.trace(net, (words,))
    assert same(net.weight.detach(), before)
    expected = before[words] * (0.1 / (before[words].norm(dim=-1, keepdim=True) + 1e-7))
    torch.testing.assert_close(trace.output, expected)


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

    x = batch(2, 3, 6, 6)
    trace = traced(forward, x)
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

    traced(forward, batch(2, 3, 6, 6))


def test_freed_views_do_not_confuse_a_trace_that_keeps_little() -> None:
    def forward(x: Tensor) -> Tensor:
        for i in range(60):
            part = x * i
            part.view(-1).relu_()
            x = x + part
            del part
        return x.tanh()

    x = batch(2, 3, 6, 6)
    whole = convscope.trace(plain(forward), x)
    some = convscope.trace(plain(forward), x, keep=["tanh", "add_3"])
    assert [op.inputs for op in some] == [op.inputs for op in whole]
    assert same(some["add_3"].value, whole["add_3"].value)
    assert same(some["tanh"].value, whole["tanh"].value)


def test_writing_into_the_output_reaches_no_recorded_value() -> None:
    trace = convscope.trace(chain(), batch(2, 3, 6, 6))
    kept = [op.value.clone() for op in trace]
    again = convscope.trace(trace.model, batch(2, 3, 6, 6))
    again.output.fill_(7)
    assert all(same(op.value, value) for op, value in zip(again, kept, strict=True))


def test_a_value_is_never_computed_from_one_the_user_has_written_into() -> None:
    net, x = chain(), batch(2, 3, 6, 6)
    expected = convscope.trace(net, x)["1"].value
    trace = convscope.trace(net, x)
    trace["0"].value[0, 0, 0, 0] += 1
    with pytest.raises(TraceError, match=r"a recorded value was written into, so that `1"):
        _ = trace["1"].value
    trace = convscope.trace(net, x)
    assert same(trace["1"].value, expected)
    trace["1"].value[0, 0, 0, 0] = -1
    assert same(convscope.trace(net, x)["2"].value, expected.relu())
