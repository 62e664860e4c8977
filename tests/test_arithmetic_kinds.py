"""The arithmetic of one value, kind by kind, against plain loops and against torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import convscope
from convscope.errors import NotKeptError, TraceError, UsageError
from convscope.tracing.arithmetic import Arithmetic, Cell, explain_value, mark_parameters
from convscope.tracing.arithmetic.locate import cell_of, layout


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)


def explained(function: Callable[[Tensor], object], image: Tensor, index: tuple[int, ...]) -> Arithmetic:
    """The last op of a function, at a full index of its output ``[N, C, ...]``."""
    trace = convscope.trace(Function(function), image)
    op = trace.ops[-1]
    cell = cell_of(layout(op.shape, op.spatial), op.name, index)
    return explain_value(trace, op.index, cell.channel, cell.at, batch=cell.batch)


IMAGE = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(1))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(
    rank=st.sampled_from([1, 2, 2, 2, 3]),
    transposed=st.booleans(),
    groups=st.sampled_from([1, 2, 4]),
    widths=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    sizes=st.lists(st.integers(1, 7), min_size=3, max_size=3),
    kernel=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    stride=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    padding=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    dilation=st.lists(st.integers(1, 2), min_size=3, max_size=3),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 10**6),
)
def test_convolutions_of_any_shape_equal_a_plain_loop_and_torch(
    rank, transposed, groups, widths, sizes, kernel, stride, padding, dilation, bias, dtype, seed
) -> None:
    torch.manual_seed(seed)
    sizes, kernel, stride, padding, dilation = (v[:rank] for v in (sizes, kernel, stride, padding, dilation))
    inside, outside = groups * widths[0], groups * widths[1]
    name = f"Conv{'Transpose' if transposed else ''}{rank}d"
    layer = getattr(nn, name)(
        inside,
        outside,
        kernel,
        tuple(stride),
        tuple(padding),
        dilation=tuple(dilation),
        groups=groups,
        bias=bias,
    )
    layer = layer.to(dtype)
    image = torch.randn(2, inside, *sizes).to(dtype)
    try:
        shape = layer(image).shape
    except RuntimeError:
        assume(False)
    assume(min(shape) > 0)
    rng = np.random.default_rng(seed)
    index = tuple(int(rng.integers(n)) for n in shape)
    trace = convscope.trace(nn.Sequential(layer), (image,))
    found = explain_value(trace, "0", index[1], index[2:], batch=index[0])
    expected = loop(layer, image, index, transposed)
    assert found.total == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert found.value == float(trace.op("0").value[index])
    assert found.agrees
    assert found.products is not None
    assert float(found.products.sum()) + (found.bias or 0) == pytest.approx(found.total, rel=1e-12, abs=1e-12)
    assert sum(t.value for t in found.terms) + (found.bias or 0) == pytest.approx(
        found.total, rel=1e-12, abs=1e-12
    )


def loop(layer: nn.Module, image: Tensor, index: tuple[int, ...], transposed: bool) -> float:
    """One output of a convolution, product by product, from its definition."""
    x, w = image.double().numpy(), layer.weight.detach().double().numpy()
    batch, channel, *place = index
    total = 0.0 if layer.bias is None else float(layer.bias.detach()[channel])
    each_in, each_out = image.shape[1] // layer.groups, layer.out_channels // layer.groups
    group = channel // each_out
    for i in range(each_in):
        source = group * each_in + i
        for tap in itertools.product(*(range(k) for k in layer.kernel_size)):
            spot = []
            for axis, j in enumerate(tap):
                s, p, d = layer.stride[axis], layer.padding[axis], layer.dilation[axis]
                if not transposed:
                    spot.append(place[axis] * s - p + j * d)
                else:
                    whole, rest = divmod(place[axis] + p - j * d, s)
                    spot.append(whole if rest == 0 else -1)
            if all(0 <= q < n for q, n in zip(spot, image.shape[2:], strict=True)):
                factor = (
                    w[(source, channel - group * each_out, *tap)] if transposed else w[(channel, i, *tap)]
                )
                total += x[(batch, source, *spot)] * factor
    return total


def test_a_convolution_says_which_pixel_each_product_comes_from() -> None:
    layer = nn.Conv2d(4, 2, 3, stride=2, padding=1, groups=2)
    trace = convscope.trace(nn.Sequential(nn.ReLU(), layer), IMAGE)
    found = explain_value(trace, "1", 1, (0, 2), batch=1)
    assert found.places == ((-1, 0, 1), (3, 4, 5))
    assert found.first_channel == 2
    assert found.source == "0"
    assert found.inputs is not None
    assert (found.inputs[:, 0] == 0).all()
    relu = IMAGE.clamp(min=0)[1]
    assert found.inputs[1, 2, 1] == float(relu[3, 1, 4])
    top = found.terms[0]
    assert top.cell is not None
    assert found.products is not None
    channel = top.cell.channel - 2
    row, column = top.cell.at or (0, 0)
    assert abs(found.products[channel, row + 1, column - 3]) == np.abs(found.products[channel]).max()
    assert found.parents[0] == top.cell
    assert explain_value(trace, "0", top.cell.channel, top.cell.at, batch=1).agrees


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_with_an_even_kernel_starts_where_torch_starts() -> None:
    layer = nn.Conv2d(4, 1, 4, padding="same", dilation=(1, 2))
    trace = convscope.trace(nn.Sequential(layer), IMAGE)
    for row, column in itertools.product(range(6), range(8)):
        assert explain_value(trace, "0", 0, (row, column)).agrees


@pytest.mark.parametrize("mode", ["reflect", "circular", "replicate"])
def test_other_padding_modes_are_a_move_and_a_convolution(mode: str) -> None:
    layer = nn.Conv2d(4, 2, 3, padding=1, padding_mode=mode)
    trace = convscope.trace(nn.Sequential(layer), IMAGE)
    pad, conv = trace.ops[-2:]
    assert (pad.kind, conv.kind) == ("pad", "conv2d")
    for cell in [(0, 0), (5, 7), (3, 0)]:
        assert explain_value(trace, conv.index, 1, cell).agrees
        padded = explain_value(trace, pad.index, 1, cell)
        assert padded.agrees
        assert padded.tolerance == 0


SCALARS = [
    F.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, torch.sigmoid,
    torch.tanh, F.hardswish, F.hardsigmoid, F.softplus, F.mish, F.logsigmoid, F.softsign, F.softshrink,
    F.hardshrink, F.tanhshrink, torch.square, torch.exp, torch.neg, torch.abs,
    lambda x: F.gelu(x, approximate="tanh"), lambda x: F.leaky_relu(x, 0.3), lambda x: F.elu(x, 0.7),
    lambda x: F.celu(x, 2.0), lambda x: F.hardtanh(x, -0.2, 0.4), lambda x: x.clamp(-0.5, 0.25),
    lambda x: x.clamp(min=0.1), lambda x: F.threshold(x, 0.2, -7.0),
    lambda x: F.softplus(x, beta=2, threshold=1), lambda x: F.softshrink(x, 0.1),
    lambda x: torch.clamp_max(x, 0.3), lambda x: x + 1, lambda x: x - 0.3, lambda x: 2 - x,
    lambda x: x * 1.7, lambda x: x / 3, lambda x: x**2, lambda x: 1 / x,
    lambda x: torch.add(x, x, alpha=0.5), lambda x: torch.sub(x, x[:, :1], alpha=2),
    lambda x: x * x.mean((2, 3), keepdim=True), lambda x: x / x.abs().amax(1, keepdim=True), lambda x: 2**x,
    lambda x: torch.maximum(x, -x), lambda x: torch.minimum(x, x * 2),
    lambda x: torch.where(x > 0, x, 0.1 * x), lambda x: x.masked_fill(x > 0, -3.0),
    lambda x: F.prelu(x, torch.tensor([0.1, 0.2, 0.3, 0.4]).to(x.dtype)), lambda x: F.glu(x, 1),
    lambda x: x.softmax(1), lambda x: F.log_softmax(x, -1), lambda x: F.dropout(x, 0.5, False),
    lambda x: F.local_response_norm(x, 3, 1e-2), torch.sqrt, torch.rsqrt, torch.log,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("number", range(len(SCALARS)))
def test_functions_of_single_values_agree_with_torch(number: int, dtype: torch.dtype) -> None:
    image = IMAGE.to(dtype) * 2
    if number == len(SCALARS) - 4 and dtype in {torch.bfloat16, torch.float16}:
        pytest.skip("torch has no local response norm of this type")
    if number >= len(SCALARS) - 3:
        image = image.abs()
    shape = convscope.trace(Function(SCALARS[number]), image).ops[-1].shape
    assert len(shape) == 4
    rng = np.random.default_rng(number)
    for _ in range(6):
        index = tuple(int(rng.integers(n)) for n in shape)
        found = explained(SCALARS[number], image, index)
        assert found.agrees, str(found)
        assert found.parents or found.kind == "masked_fill"


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 3.0, -3.0, 25.0, -25.0, 1e-30, 100.0, -100.0, math.inf, -math.inf, math.nan]
)
@pytest.mark.parametrize("number", range(35))
def test_functions_agree_at_their_edges(number: int, value: float) -> None:
    if value == math.inf and SCALARS[number] is F.gelu:
        pytest.skip("torch itself gives NaN here")
    found = explained(SCALARS[number], torch.full((1, 2, 1, 1), value), (0, 0, 0, 0))
    assert found.agrees, str(found)


MOVES: list[Callable[[Tensor], object]] = [
    lambda x: x.view(2, 2, 2, 6, 8), lambda x: x.flatten(1), lambda x: x.reshape(2, -1, 8),
    lambda x: x.permute(0, 2, 3, 1), lambda x: x.transpose(1, 2), lambda x: x[:, 1:, ::2, 3:],
    lambda x: x[:, 2], lambda x: x[:, [3, 0]], lambda x: x[..., 4], lambda x: x.roll((1, -2), (2, 3)),
    lambda x: x.flip(1), lambda x: x.flip([2, 3]), lambda x: x.unsqueeze(1), lambda x: x.narrow(3, 2, 4),
    lambda x: x.select(1, -1), lambda x: F.pad(x, (1, 2, -1, 3)),
    lambda x: F.pad(x, (0, 0, 0, 0, 1, 1), value=4.0), lambda x: F.pixel_shuffle(x, 2),
    lambda x: F.pixel_unshuffle(x, 2), lambda x: F.channel_shuffle(x, 2), lambda x: x.repeat(1, 2, 1, 2),
    lambda x: x.mT, lambda x: x.movedim(1, -1), lambda x: torch.cat([x, x * 2, x[:, :1]], 1),
    lambda x: torch.cat([x, -x], 2), lambda x: torch.stack([x, -x], 2), lambda x: x.contiguous().clone(),
    lambda x: x.to(torch.float64), lambda x: x.half(), lambda x: x[:, None],
    lambda x: x.unflatten(1, (2, 2)), lambda x: x.index_select(1, torch.tensor([2, 2, 0])),
    lambda x: x.mean((2, 3)), lambda x: x.sum(1), lambda x: x.mean(1, keepdim=True),
    lambda x: x.amax((2, 3)), lambda x: x.amin(1),
    lambda x: x.mean((2, 3))[:, :, None, None].expand(2, 4, 3, 3),
    lambda x: F.interpolate(x, scale_factor=2), lambda x: F.interpolate(x, size=(4, 5)),
    lambda x: F.interpolate(x, size=(4, 5), mode="nearest-exact"),
    lambda x: F.interpolate(x, size=(9, 5), mode="bilinear"),
    lambda x: F.interpolate(x, size=(4, 11), mode="bilinear", align_corners=True),
    lambda x: F.interpolate(x, scale_factor=(1.5, 0.7), mode="bilinear"),
    lambda x: F.interpolate(x, size=(4, 3), mode="area"),
    lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), lambda x: F.max_pool2d(x, 2, 1, 0, 2),
    lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1, True, True),
    lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    lambda x: F.adaptive_avg_pool2d(x, (4, 3)), lambda x: F.adaptive_max_pool2d(x, (4, 3)),
    lambda x: F.lp_pool2d(x, 2, 2), lambda x: F.max_pool1d(x.flatten(2), 3),
    lambda x: F.avg_pool1d(x.flatten(2), 4), lambda x: F.avg_pool3d(x, 2),
    lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2), lambda x: x @ torch.ones(8, 3),
    lambda x: torch.addmm(torch.ones(4), x[:, :, 0, 0], torch.randn(4, 4)), lambda x: F.group_norm(x, 2),
    lambda x: F.instance_norm(x), lambda x: F.layer_norm(x, [8]),
    lambda x: F.layer_norm(x, [4, 6, 8], torch.rand(4, 6, 8)),
    lambda x: F.batch_norm(x, None, None, training=True), lambda x: F.rms_norm(x, [8], torch.rand(8), 1e-6),
    lambda x: F.group_norm(x + 30, 4, torch.rand(4), torch.rand(4)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(MOVES)))
def test_moves_poolings_and_norms_agree_with_torch_at_every_kind_of_cell(number: int) -> None:
    image = IMAGE.repeat(1, 2, 1, 1)[:, :4] if number != 6 else IMAGE
    shape = convscope.trace(Function(MOVES[number]), image).ops[-1].shape
    rng = np.random.default_rng(number)
    for _ in range(8):
        index = tuple(int(rng.integers(n)) for n in shape)
        assert explained(MOVES[number], image, index).agrees, str(explained(MOVES[number], image, index))


def test_a_copy_names_the_exact_cell_it_comes_from() -> None:
    found = explained(lambda x: torch.cat([F.relu(x), F.relu6(x)], 1), IMAGE, (1, 6, 2, 3))
    assert found.parents == (Cell("relu6", 2, (2, 3), 1),)
    found = explained(lambda x: F.relu(x).permute(0, 2, 3, 1), IMAGE, (1, 2, 3, 1))
    assert found.parents == (Cell("relu", 1, (2, 3), 1),)
    found = explained(lambda x: F.relu(x).flatten(1), IMAGE, (0, 48 + 8 + 3))
    assert found.parents == (Cell("relu", 1, (1, 3), 0),)


def test_the_winner_of_a_maximum_comes_first() -> None:
    found = explained(lambda x: F.max_pool2d(x, 2), IMAGE, (0, 1, 2, 3))
    window = IMAGE[0, 1, 4:6, 6:8]
    row, column = divmod(int(window.argmax()), 2)
    assert found.parents[0] == Cell("input", 1, (4 + row, 6 + column), 0)
    assert len(found.terms) == 4
    assert found.total == float(window.max())


def test_batch_norm_names_its_quantities() -> None:
    norm = nn.BatchNorm2d(4)
    for tensor, value in (
        (norm.running_mean, 0.5),
        (norm.running_var, 4.0),
        (norm.weight, 3.0),
        (norm.bias, -1.0),
    ):
        nn.init.constant_(tensor, value)
    trace = convscope.trace(nn.Sequential(norm), IMAGE)
    found = explain_value(trace, "0", 2, (3, 4))
    x = float(IMAGE[0, 2, 3, 4])
    assert found.quantities == {"x": x, "mean": 0.5, "var": 4.0, "eps": 1e-5, "weight": 3.0}
    assert found.total == pytest.approx((x - 0.5) / math.sqrt(4 + 1e-5) * 3 - 1)
    assert found.formula == "(x − mean) / sqrt(var + eps) · weight + bias"
    assert found.agrees


def test_linear_layers_say_what_each_feature_adds() -> None:
    layer = nn.Linear(8, 3)
    trace = convscope.trace(nn.Sequential(layer), IMAGE[:, 0, 0])
    found = explain_value(trace, "0", 2, batch=1)
    terms = {t.label: t.value for t in found.terms}
    for i in range(8):
        expected = float(IMAGE[1, 0, 0, i].double() * layer.weight.detach()[2, i].double())
        assert terms[f"input {i}"] == pytest.approx(expected, rel=1e-12)
    assert found.bias == float(layer.bias.detach()[2])
    assert found.agrees


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "function",
    [lambda x: F.conv2d(x, torch.ones(2, 4, 3, 3, dtype=x.dtype)), lambda x: x + 1, lambda x: F.gelu(x)],
)
def test_a_value_off_by_a_few_tolerances_does_not_agree(
    function: Callable[[Tensor], object], dtype: torch.dtype
) -> None:
    trace = convscope.trace(Function(function), IMAGE.to(dtype))
    op = trace.ops[-1]
    right = explain_value(trace, op.index, 1, (2, 2))
    assert right.agrees
    unit = torch.finfo(dtype).eps
    assert right.tolerance < 200 * unit * sum(abs(t.value) for t in right.terms) + 200 * unit * abs(
        right.total
    )
    step = 2.5 * right.tolerance + unit * abs(right.value)
    with torch.no_grad():
        op.value[0, 1, 2, 2] += step
    wrong = explain_value(trace, op.index, 1, (2, 2))
    assert wrong.value != right.value
    assert not wrong.agrees
    assert "✗" in str(wrong)


def test_sums_of_equal_numbers_stay_within_their_tolerance() -> None:
    image = torch.full((1, 64, 40, 40), 0.1)
    for function in (
        lambda x: F.avg_pool2d(x, 40),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.conv2d(x, torch.full((2, 64, 5, 5), 0.37)),
        lambda x: F.linear(x.flatten(1)[:, :25600], torch.full((2, 25600), 0.37)),
    ):
        trace = convscope.trace(Function(function), image)
        op = trace.ops[-1]
        assert explain_value(trace, op.index, 1, None if len(op.shape) == 2 else (0, 0)).agrees


def test_what_is_not_covered_is_named() -> None:
    trace = convscope.trace(Function(lambda x: torch.fft.fft2(x).real), IMAGE)
    with pytest.raises(TraceError, match="ops of kind `fft_fft2` are not covered"):
        explain_value(trace, 1, 0, (0, 0))
    trace = convscope.trace(Function(lambda x: F.interpolate(x, size=(3, 3), mode="bicubic")), IMAGE)
    with pytest.raises(TraceError, match="bicubic interpolation is not covered"):
        explain_value(trace, 1, 0, (0, 0))


def test_cells_that_do_not_exist_are_refused_with_the_ranges() -> None:
    trace = convscope.trace(nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(192, 5)), IMAGE)
    with pytest.raises(UsageError, match="`0` has channels 0 to 3; got 4"):
        explain_value(trace, "0", 4, (0, 0))
    with pytest.raises(UsageError, match=r"`0` has rows 0 to 5 and columns 0 to 7; got \(6, 0\)"):
        explain_value(trace, "0", 0, (6, 0))
    with pytest.raises(UsageError, match="`0` has rows 0 to 5 and columns 0 to 7: say which cell"):
        explain_value(trace, "0", 0)
    with pytest.raises(UsageError, match="`2` has no rows and columns, only channels"):
        explain_value(trace, "2", 0, (1, 1))
    with pytest.raises(UsageError, match="`0` has batch entries 0 to 1; got 2"):
        explain_value(trace, "0", 0, (0, 0), batch=2)
    with pytest.raises(UsageError, match="`0` has outputs 0 to 0; got 1"):
        explain_value(trace, "0", 0, (0, 0), output=1)


def test_a_value_whose_inputs_were_not_kept_says_what_to_keep() -> None:
    net = nn.Sequential(nn.Tanh(), nn.Conv2d(4, 1, 1))
    trace = convscope.trace(net, IMAGE, keep=["1"])
    with pytest.raises(NotKeptError, match="`1` is computed from `0`, whose value was not kept"):
        explain_value(trace, "1", 0, (0, 0))
    with pytest.raises(NotKeptError, match="the value of `0` was not kept"):
        explain_value(trace, "0", 0, (0, 0))


def test_weights_changed_after_the_trace_are_noticed() -> None:
    net = nn.Sequential(nn.Conv2d(4, 1, 1), nn.ReLU())
    trace = convscope.trace(net, IMAGE)
    trace.parameter_marks = mark_parameters(net)
    assert explain_value(trace, "0", 0, (0, 0)).agrees
    with torch.no_grad():
        net[0].weight.add_(1)
    with pytest.raises(TraceError, match=r"`0\.weight` changed after this trace was made"):
        explain_value(trace, "0", 0, (0, 0))
    assert explain_value(trace, "1", 0, (0, 0)).agrees


def test_an_input_value_explains_itself() -> None:
    trace = convscope.trace(nn.Sequential(nn.ReLU()), IMAGE)
    found = explain_value(trace, "input", 1, (2, 3), batch=1)
    assert (found.value, found.terms, found.agrees) == (float(IMAGE[1, 1, 2, 3]), (), True)
