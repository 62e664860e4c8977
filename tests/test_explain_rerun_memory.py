"""Reruns of models that share or write into memory, and of what only a whole pass can redo."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import convscope
from convscope.explain import Edit, rerun
from explain_oracles import build, oracle, scaled
from tracing_models import Plain, batch
from tracing_oracles import checksum, fill, same

pytestmark = pytest.mark.usefixtures("one_thread")

# -- memory written in place, through views, through out= --------------------------------------


def _slices(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    out = torch.zeros(x.shape[0], 8, 6, 6)
    out[:, :4] = y
    out[:, 4:].copy_(y.abs())
    return out.relu().sum((2, 3))


def _views(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    y = y + 1
    top, bottom = y.chunk(2, dim=1)
    top.relu_()
    bottom[:, 0] += top[:, 1]
    flat_view = y.view(-1)
    flat_view.mul_(1.5)
    return torch.cat([y, top, bottom], 1).exp()


def _outs(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    z = torch.empty_like(y)
    torch.add(y, 1, out=z)
    torch.mul(z, 2, out=y)
    return y + z


def _operators(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    z = y.clone()
    z -= y * 0.5
    z.add_(z).clamp_(min=-1)
    F.elu(z, inplace=True)
    z.masked_fill_(y > 0, 0.25)
    return z.unsqueeze_(0).squeeze_(0) @ z.mT


def _indices(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    y = y[:, [2, 0, 1]] + y[[0] * len(y)][:, :3]
    y[:, 0, ::2] = y[:, 1, ::2]
    return y.permute(0, 2, 3, 1)[..., [0, 2]].contiguous().flatten(1)


def _data(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    y.data.mul_(2)
    z = y * 1
    z.data = y.exp()
    return z + y


@pytest.mark.parametrize("forward", [_slices, _views, _outs, _operators, _indices, _data])
@pytest.mark.parametrize("channels", [(0,), (1, 3), None])
def test_writes_into_memory_reach_all_that_shares_it(forward: Any, channels: tuple[int, ...] | None) -> None:
    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    fill(model)
    x = batch(2, 3, 6, 6)
    trace = convscope.trace(model, x)
    sums = [checksum(v) for op in trace.ops for v in op.values if v is not None]
    for factor in (0.0, -3.0):
        edited = rerun(trace, [Edit("conv", channels, factor)])
        assert not edited.whole_pass, edited.reason
        assert same(edited.output, oracle(trace, x, {"conv": scaled(1, channels, factor)}).output)
    assert [checksum(v) for op in trace.ops for v in op.values if v is not None] == sums


@pytest.mark.parametrize("forward", [_slices, _views, _outs, _operators, _indices, _data])
def test_an_edit_at_any_op_of_a_model_that_shares_memory_is_right(forward: Any) -> None:
    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    fill(model)
    x = batch(2, 3, 6, 6)
    trace = convscope.trace(model, x)
    for op in trace.ops[1:]:
        if len(op.shapes) != 1 or not op.dtype.startswith("float"):
            continue
        edited = rerun(trace, [Edit(op.index, None, 2.0)])
        full = oracle(trace, x, {op.name: scaled(0, None, 2.0)})
        assert same(edited.output, full.output), (op.name, edited.reason)


# -- what the recording does not tell ----------------------------------------------------------


def test_a_value_read_in_plain_python_is_read_again_in_a_whole_pass() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y.exp() if y.mean() > 0 else y.tanh()

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    fill(model)
    x = batch(2, 3, 6, 6)
    trace = convscope.trace(model, x)
    edited = rerun(trace, [Edit("conv", None, -1.0)])
    assert edited.whole_pass
    assert "in plain Python" in edited.reason
    assert {op.kind for op in edited.ops} ^ {op.kind for op in trace.ops} == {"exp", "tanh"}
    assert same(edited.output, oracle(trace, x, {"conv": scaled(0, None, -1)}).output)


def test_a_detour_through_numpy_is_taken_again_in_a_whole_pass() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.from_numpy(y.numpy() * 2) + 1

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch(2, 3, 6, 6))
    edited = rerun(trace, [Edit("conv", (1,))])
    assert edited.whole_pass
    assert same(edited.output, scaled(1, (1,), 0)(trace["conv"].value) * 2 + 1)


def test_a_scripted_part_is_run_again_in_a_whole_pass() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(lambda v: v * 3 + 1, torch.ones(2))

    model = Plain(lambda self, x: scripted(self.conv(x)).tanh(), conv=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch(2, 3, 6, 6))
    edited = rerun(trace, [Edit("conv", (0,))])
    assert edited.whole_pass
    assert same(edited.output, (scaled(1, (0,), 0)(trace["conv"].value) * 3 + 1).tanh())


def test_an_identity_whose_input_others_read_is_edited_for_its_own_reader_alone() -> None:
    model = Plain(
        lambda self, x: (y := self.conv(x)) + self.same(y), conv=nn.Conv2d(3, 4, 1), same=nn.Identity()
    )
    trace = convscope.trace(model, batch(2, 3, 6, 6))
    edited = rerun(trace, [Edit("same")])
    assert edited.whole_pass
    assert same(edited.output, trace["conv"].value)


def test_random_numbers_and_values_not_kept_need_a_whole_pass() -> None:
    model = Plain(lambda self, x: F.dropout(self.conv(x), 0.5, True), conv=nn.Conv2d(3, 4, 1))
    assert (
        "draws random numbers"
        in rerun(convscope.trace(model, batch(2, 3, 6, 6)), [Edit("conv", (0,))]).reason
    )
    net, x = build("resnet18")
    some = convscope.trace(net, x, keep="fc")
    edited = rerun(some, [Edit("layer3", (0,))])
    assert "was not kept" in edited.reason
    assert same(edited.output, oracle(some, x, {"layer3": scaled(1, (0,), 0)}).output)


def test_a_whole_pass_counts_its_ops_as_the_trace_does() -> None:
    net, x = build("resnet18")
    some = convscope.trace(net, x, keep=())
    edited = rerun(some, [Edit("layer3.0.conv1", (0,)), Edit("layer1", (0,))])
    assert edited.whole_pass
    assert [op.name for op in edited.ops] == [op.name for op in some.ops]
    assert [op.inputs for op in edited.ops] == [op.inputs for op in some.ops]
    assert [op.index for op in edited.ops] == list(range(len(some.ops)))
    assert bool((edited["layer3.0.conv1"].value[:, 0] == 0).all())
    assert same(rerun(edited, [Edit("fc")]).output, torch.zeros(1, 1000))


def test_a_model_that_writes_into_its_input_is_given_what_it_was_given_before() -> None:
    model = Plain(lambda self, x: self.conv(x.mul_(2)).exp(), conv=nn.Conv2d(3, 4, 1))
    x = batch(2, 3, 6, 6)
    given_first = x.clone()
    trace = convscope.trace(model, x, keep=["input", "exp"])
    edited = rerun(trace, [Edit("conv", (0,))])
    assert edited.whole_pass
    assert same(edited.output, oracle(trace, given_first, {"conv": scaled(1, (0,), 0)}).output)
    whole = convscope.trace(model, batch(2, 3, 6, 6))
    assert same(
        rerun(whole, [Edit("input", (1,))]).output, model(scaled(1, (1,), 0)(batch(2, 3, 6, 6))).detach()
    )
