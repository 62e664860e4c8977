"""Receptive fields of random and of odd stacks, against gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import convscope
from convscope.errors import UsageError
from convscope.tracing.fields import Box, field_box
from convscope.tracing.fields_windows import Table, Window, looked_at, row_set, rows_in
from test_fields_nets import bounding_box


def positive(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    return module


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


SMALL = st.integers(1, 3)
PADS = st.lists(st.integers(-1, 2), min_size=4, max_size=4)


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    """One layer with two channels in and out whose gradients are positive."""
    kind = draw(
        st.sampled_from(
            """conv pool adaptive transposed pad resize bilinear slice cat roll shuffle unshuffle global flip
            area""".split()
        )
    )
    pair = st.tuples(SMALL, SMALL)
    if kind == "conv":
        size = draw(pair)
        padding = draw(st.one_of(st.just("same"), st.tuples(st.integers(0, 2), st.integers(0, 2))))
        stride = (1, 1) if padding == "same" else draw(pair)
        return positive(
            nn.Conv2d(2, 2, size, stride, padding, draw(pair), groups=draw(st.sampled_from([1, 2])))
        )
    if kind == "transposed":
        stride = draw(pair)
        return positive(
            nn.ConvTranspose2d(2, 2, draw(pair), stride, draw(st.integers(0, 1)), dilation=draw(pair))
        )
    if kind == "pool":
        size = draw(st.integers(1, 3))
        padding = draw(st.integers(0, size // 2))
        return nn.AvgPool2d(size, draw(SMALL), padding, ceil_mode=draw(st.booleans()))
    if kind == "adaptive":
        return nn.AdaptiveAvgPool2d(draw(st.tuples(st.integers(1, 6), st.integers(1, 6))))
    if kind == "pad":
        amounts = draw(PADS)
        mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
        if mode != "constant":
            amounts = [abs(a) for a in amounts]
        return Function(lambda x: F.pad(x, amounts, mode=mode))
    if kind in {"resize", "bilinear", "area"}:
        size = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
        mode = {"resize": draw(st.sampled_from(["nearest", "nearest-exact"]))}.get(kind, kind)
        corners = draw(st.booleans()) if kind == "bilinear" else None
        return Function(lambda x: F.interpolate(x, size=size, mode=mode, align_corners=corners))
    if kind == "slice":
        first, step = draw(st.integers(0, 2)), draw(SMALL)
        return Function(lambda x: x[:, :, first:, ::step])
    if kind == "cat":
        dim, first = draw(st.sampled_from([2, 3, -1])), draw(st.integers(1, 2))
        return Function(lambda x: torch.cat([x, x.narrow(dim, 0, first), x], dim=dim))
    if kind == "roll":
        return Function(lambda x: torch.roll(x, (1, -2), (2, 3)))
    if kind == "flip":
        return Function(lambda x: x.flip(2))
    if kind == "shuffle":
        return Function(lambda x: F.pixel_shuffle(torch.cat([x] * 4, 1), 2))
    if kind == "unshuffle":
        return Function(lambda x: F.pixel_unshuffle(x, 2).unflatten(1, (2, 4)).sum(2))
    # Ones are added: what is nought times the mean, as padding would be, has no gradient by the mean.
    return Function(lambda x: (x + 1) * (x.mean((2, 3), keepdim=True) + 1))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(
    st.lists(layers(), min_size=1, max_size=4), st.tuples(st.integers(3, 12), st.integers(3, 12)), st.data()
)
def test_box_equals_the_gradient_for_random_stacks(
    stack: list[nn.Module], size: tuple[int, int], data: st.DataObject
) -> None:
    model = nn.Sequential(*stack).double()
    image = (torch.rand(1, 2, *size, dtype=torch.float64) + 0.5).requires_grad_()
    try:
        value = model(image)
    except (RuntimeError, ValueError, NotImplementedError):
        assume(False)
    assume(min(value.shape) > 0 and max(value.shape) < 100)
    row = data.draw(st.integers(0, value.shape[2] - 1))
    column = data.draw(st.integers(0, value.shape[3] - 1))
    trace = convscope.trace(model, image.detach())
    found = field_box(trace.ops, len(trace.ops) - 1, row, column)
    # The gradient of what only padding reaches is no gradient at all.
    total = value[0, :, row, column].sum()
    expected = bounding_box(image, total) if total.requires_grad else Box(0, 0, 0, 0)
    assert found == expected


def last(function, image: Tensor) -> tuple[convscope.tracing.Trace, int]:
    trace = convscope.trace(Function(function), image)
    return trace, len(trace.ops) - 1


def test_unknown_ops_are_taken_to_see_everything() -> None:
    trace, index = last(lambda x: torch.fft.fft2(F.max_pool2d(x, 2)).abs(), torch.rand(1, 1, 8, 8))
    assert trace.ops[index].field is None
    assert field_box(trace.ops, index, 1, 1) == Box(0, 0, 8, 8)


def test_what_the_last_stride_leaves_over_is_seen_by_nobody() -> None:
    trace = convscope.trace(
        nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.AdaptiveAvgPool2d(1)), torch.rand(1, 1, 7, 6)
    )
    assert trace.ops[-1].field is None
    assert field_box(trace.ops, 2, 0, 0) == Box(0, 0, 6, 6)
    assert field_box(trace.ops, 2) == Box(0, 0, 6, 6)


def test_norms_over_the_map_see_everything_and_norms_over_channels_do_not() -> None:
    image = torch.rand(1, 4, 8, 8)
    for module in (nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.LayerNorm([4, 8, 8])):
        trace = convscope.trace(nn.Sequential(module), image)
        assert trace.ops[1].field is None
        assert field_box(trace.ops, 1, 3, 3) == Box(0, 0, 8, 8)
    trace = convscope.trace(Function(lambda x: F.layer_norm(x.permute(0, 2, 3, 1), [4])), image)
    assert trace.ops[-1].spatial == (1, 2)
    assert field_box(trace.ops, len(trace.ops) - 1, 3, 5) == Box(3, 5, 4, 6)


def test_softmax_over_one_axis_mixes_that_axis_alone() -> None:
    trace, index = last(lambda x: x.softmax(-1), torch.rand(1, 1, 6, 8))
    assert field_box(trace.ops, index, 2, 3) == Box(2, 0, 3, 8)
    trace, index = last(lambda x: x.softmax(1), torch.rand(1, 3, 6, 8))
    assert field_box(trace.ops, index, 2, 3) == Box(2, 3, 3, 4)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.view(1, 2, 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
        lambda x: torch.stack(x.chunk(2, 1), 1).flatten(1, 2),
        lambda x: x.permute(0, 2, 3, 1).unsqueeze(1).squeeze(1).movedim(-1, 1),
        lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1),
        lambda x: torch.stack(x.unbind(1), 1),
        lambda x: x[:, ::2].repeat(1, 2, 1, 1),
        lambda x: x.amax(1, keepdim=True) + x,
        lambda x: torch.where(x > 0, x, 0.5 * x),
        lambda x: x.mT.transpose(2, 3).clone(),
        lambda x: x.sum(1),
        lambda x: F.channel_shuffle(x, 2),
    ],
)
def test_moves_between_channels_leave_rows_and_columns_alone(function) -> None:
    trace, index = last(lambda x: function(F.max_pool2d(x, 2)), torch.rand(1, 4, 8, 10))
    op = trace.ops[index]
    assert op.field is not None
    assert (op.field.size, op.field.stride, op.field.start) == ((2, 2), (2, 2), (0, 0))
    assert field_box(trace.ops, index, 3, 1) == Box(6, 2, 8, 4)


def test_writing_through_a_view_keeps_the_field_of_what_was_written() -> None:
    def forward(x: Tensor) -> Tensor:
        y = F.max_pool2d(x, 2)
        part = y[:, :1]
        part.mul_(2)
        y[:, 1] = F.max_pool2d(x, 3, 2, 1)[:, 0]
        return y + 1

    trace, index = last(forward, torch.rand(1, 2, 8, 8))
    assert field_box(trace.ops, index, 1, 2) == Box(1, 3, 4, 6)
    assert trace.ops[index].field is not None
    assert trace.ops[index].field.size == (3, 3)


def test_rows_split_off_are_counted_from_where_they_begin() -> None:
    trace, index = last(lambda x: x.chunk(2, 2)[1] + 1, torch.rand(1, 1, 8, 4))
    assert field_box(trace.ops, index, 0, 0) == Box(4, 0, 5, 1)
    split = trace.ops[1]
    assert field_box(trace.ops, split.index, 1, 2, output=1) == Box(5, 2, 6, 3)
    assert trace.ops[index].field is not None
    assert trace.ops[index].field.start == (4, 0)


def test_fields_are_those_of_the_first_image_where_there_are_two() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return F.max_pool2d(a, 2) + F.max_pool2d(b, 2)

    trace = convscope.trace(Two(), (torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4)))
    assert trace.ops[-1].field is None
    assert field_box(trace.ops, trace.ops[-1].index, 0, 1) == Box(0, 2, 2, 4)


def test_a_model_without_an_image_has_no_fields() -> None:
    trace = convscope.trace(nn.Sequential(nn.Linear(4, 2)), torch.rand(1, 4))
    assert trace.ops[-1].field is None
    assert field_box(trace.ops, 1) is None


def test_a_weight_made_of_parameters_alone_does_not_spoil_the_field() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias, padding=1)

    trace = convscope.trace(nn.Sequential(Standardised(1, 2, 3)), torch.rand(1, 1, 6, 6))
    assert trace.ops[-1].field is not None
    assert trace.ops[-1].field.size == (3, 3)
    assert field_box(trace.ops, trace.ops[-1].index, 0, 3) == Box(0, 2, 2, 5)


def test_what_batch_norm_is_given_is_a_map_whatever_made_it() -> None:
    """Window attention ends in a reshape that no rule can follow; the norm after it knows its channels."""
    norm = nn.BatchNorm2d(4).eval()

    def mixed(x: Tensor) -> Tensor:
        return norm(x.flatten(1).flip(1).reshape(1, 4, 3, 5))

    net = Function(mixed)
    net.norm = norm
    trace = convscope.trace(net, torch.rand(1, 3, 4, 5))
    op = trace.op("norm")
    assert (op.spatial, op.field) == ((2, 3), None)
    assert field_box(trace.ops, op.index, 2, 4) == Box(0, 0, 4, 5)
    assert trace.value_of("norm", channel=3, at=(2, 4)).agrees


def test_a_cell_outside_the_map_is_refused() -> None:
    trace = convscope.trace(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten()), torch.rand(1, 1, 6, 5))
    with pytest.raises(UsageError, match=r"`0` has rows 0 to 3 and columns 0 to 2; got \(4, 0\)"):
        field_box(trace.ops, 1, 4, 0)
    with pytest.raises(UsageError, match="`1` is not a map, so it has no cell"):
        field_box(trace.ops, 2, 0, 0)


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(-4, 4),
    st.integers(1, 3),
    st.sets(st.integers(0, 9)),
    st.integers(1, 20),
)
def test_sets_of_rows_are_those_found_one_by_one(
    size: int, stride: int, start: int, dilation: int, cells: set[int], given_rows: int
) -> None:
    expected = {start + stride * i + dilation * j for i in cells for j in range(size)}
    window = Window(size, stride, start, dilation)
    assert rows_in(looked_at(window, row_set(cells), given_rows)) == sorted(
        e for e in expected if 0 <= e < given_rows
    )
    table = Table(tuple(row_set(start + stride * i + dilation * j for j in range(size)) for i in range(10)))
    assert looked_at(table, row_set(cells), given_rows) == looked_at(window, row_set(cells), given_rows)
