"""A convolution and all its steps, against a plain loop over cells."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.errors import ControlError, UsageError
from convscope.lesson import convolve

CASES = int(os.environ.get("CONVSCOPE_LESSON_CASES", "200"))
DTYPES = ("float16", "float32", "float64", "int32", "uint8", "bool")


def source_of(place: int, size: int, mode: str) -> int | None:
    """The cell a place beyond the edge copies; ``None`` for zero."""
    if 0 <= place < size:
        return place
    if mode == "replicate":
        return min(max(place, 0), size - 1)
    if mode == "circular":
        return place % size
    if mode == "reflect":
        return -place if place < 0 else 2 * (size - 1) - place
    return None


def plain_loop(
    image: np.ndarray,
    kernel: np.ndarray,
    stride: tuple[int, int],
    around: tuple[int, int, int, int],
    mode: str,
    dilation: tuple[int, int],
    groups: int,
    bias: np.ndarray,
    flip: bool,
) -> np.ndarray:
    """Cross-correlation as six nested loops say it."""
    _, height, width = image.shape
    maps, each, rows, columns = kernel.shape
    out_rows = (height + around[0] + around[1] - dilation[0] * (rows - 1) - 1) // stride[0] + 1
    out_columns = (width + around[2] + around[3] - dilation[1] * (columns - 1) - 1) // stride[1] + 1
    result = np.zeros((maps, out_rows, out_columns))
    for m, i, j in itertools.product(range(maps), range(out_rows), range(out_columns)):
        total = float(bias[m])
        for c, u, v in itertools.product(range(each), range(rows), range(columns)):
            row = source_of(i * stride[0] + u * dilation[0] - around[0], height, mode)
            column = source_of(j * stride[1] + v * dilation[1] - around[2], width, mode)
            if row is None or column is None:
                continue
            weight = kernel[m, c, rows - 1 - u, columns - 1 - v] if flip else kernel[m, c, u, v]
            total += float(image[m // (maps // groups) * each + c, row, column]) * float(weight)
        result[m, i, j] = total
    return result


def stamped(
    image: np.ndarray,
    kernel: np.ndarray,
    stride: tuple[int, int],
    cut: int,
    dilation: tuple[int, int],
    groups: int,
) -> np.ndarray:
    """Transposed convolution as it is told: every cell lays the kernel on the result."""
    channels, height, width = image.shape
    _, each, rows, columns = kernel.shape
    full = np.zeros(
        (
            each * groups,
            (height - 1) * stride[0] + dilation[0] * (rows - 1) + 1,
            (width - 1) * stride[1] + dilation[1] * (columns - 1) + 1,
        )
    )
    for c, i, j in itertools.product(range(channels), range(height), range(width)):
        for m, u, v in itertools.product(range(each), range(rows), range(columns)):
            place = c // (channels // groups) * each + m
            row, column = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
            full[place, row, column] += float(image[c, i, j]) * float(kernel[c, m, u, v])
    return full[:, cut : full.shape[1] - cut, cut : full.shape[2] - cut]


def tolerance(dtype: Any) -> float:
    return {"float16": 2e-2, "float32": 2e-5}.get(str(np.dtype(dtype)), 1e-11)


@st.composite
def settings_of_a_convolution(draw: Any) -> dict[str, Any]:
    sizes = st.integers(1, 7)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    each = draw(st.integers(1, 2))
    kernel_size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    window = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True)]
    image_size = draw(st.tuples(sizes, sizes))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    most = {"reflect": lambda n: n - 1, "circular": lambda n: n}.get(mode, lambda n: 4)
    around = tuple(draw(st.integers(0, min(4, most(image_size[axis])))) for axis in (0, 0, 1, 1))
    short = [window[a] - image_size[a] - around[2 * a] - around[2 * a + 1] for a in range(2)]
    image_size = tuple(n + max(0, s) for n, s in zip(image_size, short, strict=True))
    dtype = draw(st.sampled_from(DTYPES))
    maps = groups * draw(st.integers(1, 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    flip = draw(st.booleans())

    def numbers(*shape: int) -> np.ndarray:
        if dtype == "bool":
            return random.integers(0, 2, shape).astype(bool)
        if dtype in ("uint8", "int32"):
            return random.integers(0, 256, shape).astype(dtype)
        return random.normal(size=shape).astype(dtype)

    return {
        "image": numbers(groups * each, *image_size),
        "kernel": numbers(maps, each, *kernel_size),
        "stride": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "padding": around,
        "padding_mode": mode,
        "dilation": dilation,
        "groups": groups,
        "bias": numbers(maps).astype(np.float64),
        "flip": flip,
    }


@settings(max_examples=CASES, deadline=None)
@given(settings_of_a_convolution())
def test_a_convolution_is_what_a_plain_loop_over_its_cells_gives(given_):
    expected = plain_loop(
        *(
            given_[name]
            for name in (
                "image",
                "kernel",
                "stride",
                "padding",
                "padding_mode",
                "dilation",
                "groups",
                "bias",
                "flip",
            )
        )
    )
    for method in ("direct", "fft"):
        done = convolve(**given_, method=method)
        assert done.result.shape == expected.shape
        size = max(1.0, float(np.abs(expected).max()))
        near = tolerance(done.result.dtype) * size
        np.testing.assert_allclose(done.result.astype(float), expected, rtol=0, atol=near)
        # Every step adds up to torch's value, and its window is what the loop would have read.
        for step in done:
            assert step.agrees
            assert done.maps[step.channel, *step.cell] == step.output or np.isnan(step.output)
            assert step.sum + step.bias == pytest.approx(
                expected[step.channel, *step.cell],
                abs=1e-2 * size if done.result.dtype == np.float16 else 1e-5 * size,
            )
            places = [
                (
                    source_of(r, given_["image"].shape[1], done.geometry.padding_mode),
                    source_of(c, given_["image"].shape[2], done.geometry.padding_mode),
                )
                for r in step.rows
                for c in step.columns
            ]
            for c in range(len(step.values)):
                read = [
                    0.0 if r is None or k is None else float(given_["image"][step.first_channel + c, r, k])
                    for r, k in places
                ]
                assert step.values[c].ravel().tolist() == read


@settings(max_examples=CASES // 2, deadline=None)
@given(st.data())
def test_a_transposed_convolution_is_what_stamping_the_kernel_gives(data):
    draw = data.draw
    groups, each, out = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size, kernel_size = (
        draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
    )
    stride, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    full = [
        (n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(size, stride, dilation, kernel_size, strict=True)
    ]
    cut = draw(st.integers(0, (min(full) - 1) // 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = random.normal(size=(groups * each, *size))
    kernel = random.normal(size=(groups * each, out, *kernel_size))
    flip = draw(st.booleans())
    done = convolve(
        image,
        kernel,
        stride=stride,
        padding=cut,
        dilation=dilation,
        groups=groups,
        transposed=True,
        flip=flip,
    )
    expected = stamped(image, kernel[:, :, ::-1, ::-1] if flip else kernel, stride, cut, dilation, groups)
    np.testing.assert_allclose(done.result, expected, rtol=0, atol=1e-12)
    assert all(step.agrees for step in done)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [0, 2, "same"])
def test_the_result_is_that_of_torchs_own_module(mode, padding):
    torch.manual_seed(0)
    module = torch.nn.Conv2d(4, 6, (3, 5), padding=padding, padding_mode=mode, dilation=2, groups=2)
    image = torch.randn(4, 12, 13)
    done = convolve(
        image.numpy(),
        module.weight.detach().numpy(),
        padding=padding,
        padding_mode=mode,
        dilation=2,
        groups=2,
        bias=module.bias.detach().numpy(),
    )
    np.testing.assert_allclose(done.result, module(image[None])[0].detach().numpy(), atol=1e-6)


def test_large_kernels_go_by_fourier_transforms_and_agree_with_the_direct_way():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (2, 300, 310)).astype(np.float32)
    kernel = random.normal(size=(3, 2, 30, 20)).astype(np.float32)
    quick, direct = (convolve(image, kernel, stride=3, dilation=2, method=m) for m in ("auto", "direct"))
    assert (quick.method, direct.method) == ("fft", "direct")
    assert quick.result.dtype == np.float32
    np.testing.assert_allclose(quick.result, direct.result, rtol=0, atol=2e-5 * np.abs(direct.result).max())
    assert all(quick[index].agrees for index in range(0, len(quick), 997))
    image[0, 0, 0] = np.nan
    assert convolve(image, kernel).method == "direct"


def test_steps_come_row_by_row_and_map_by_map():
    done = convolve(np.arange(16.0).reshape(4, 4), np.ones((2, 1, 3, 3)))
    assert [(s.index, s.channel, s.cell) for s in done] == [(i, i // 4, divmod(i % 4, 2)) for i in range(8)]
    assert done[-1].index == 7
    with pytest.raises(IndexError, match="there are steps 0 to 7; got 8"):
        done[8]
    with pytest.raises(UsageError, match=r"there is no cell \(0, 2, 0\)"):
        done.at(0, 2, 0)


def test_a_wrong_sum_does_not_agree():
    from dataclasses import replace

    step = convolve(np.ones((3, 3)), np.ones((3, 3)))[0]
    assert step.agrees
    assert not replace(step, output=9.1).agrees


def test_same_padding_keeps_the_size_at_stride_1_and_divides_it_by_the_stride():
    image = np.zeros((10, 11))
    assert convolve(image, np.ones((4, 3)), padding="same").result.shape == (10, 11)
    assert convolve(image, np.ones((4, 3)), padding="same", stride=3).result.shape == (4, 4)


def test_a_picture_gives_three_channels_and_a_plain_kernel_sums_over_them():
    import convscope

    picture = convscope.load_image(np.full((4, 5, 3), (1, 2, 3), np.uint8))
    done = convolve(picture, np.ones((1, 1)))
    assert done.result.tolist() == np.full((1, 4, 5), 6.0).tolist()
    assert convolve(picture, np.ones((1, 1)), groups=3).result[:, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_the_arithmetic_of_a_step_is_what_a_trace_of_the_same_layer_says():
    import convscope

    torch.manual_seed(1)
    layer = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)
    image = torch.randn(1, 3, 9, 9)
    trace = convscope.trace(torch.nn.Sequential(layer), image)
    done = convolve(
        image[0].numpy(), layer.weight.detach().numpy(), stride=2, padding=1, bias=layer.bias.detach().numpy()
    )
    found, expected = done.arithmetic(done.at(2, 0, 3).index), trace.value_of("0", 2, (0, 3))
    assert found.value == pytest.approx(expected.value, abs=1e-6)
    assert found.total == expected.total
    assert found.places == expected.places
    assert found.bias == expected.bias
    assert found.formula == expected.formula
    assert [term.label for term in found.terms] == [term.label for term in expected.terms]
    np.testing.assert_array_equal(found.products, expected.products)


def test_the_json_holds_the_steps_asked_for_and_nothing_json_cannot_say():
    import json

    done = convolve(np.arange(25.0).reshape(5, 5), np.ones((3, 3)), padding=1, padding_mode="reflect")
    data = json.loads(json.dumps(done.to_json(first=3, count=2), allow_nan=False))
    assert [step["index"] for step in data["steps"]] == [3, 4]
    assert data["count"] == 25
    down, across = data["origins"]
    image = np.array(data["image"])
    assert np.array_equal(np.array(data["padded"]), image[:, down][:, :, across])


BAD = [
    (
        {"stride": 0},
        "stride",
        "`stride` must be a whole number at least 1; got 0",
    ),
    ({"stride": 1.5}, "stride", "`stride` must be a whole number at least 1"),
    ({"dilation": (1, 0)}, "dilation", "`dilation` must be a whole number at least 1"),
    ({"padding": -1}, "padding", "`padding` must be `none`, `same`, or a whole number from 0"),
    ({"padding": "some"}, "padding", "`padding` must be `none`, `same`, or a whole number from 0"),
    ({"padding_mode": "mirror"}, "padding_mode", "`padding_mode` must be one of zeros, reflect"),
    (
        {"padding": 4, "padding_mode": "reflect"},
        "padding",
        "`reflect` padding can add at most 3 rows to an image of 4",
    ),
    ({"padding": 5, "padding_mode": "circular"}, "padding", "`circular` padding can add at most 4 rows"),
    ({"kernel": np.ones((5, 3))}, "kernel", "the kernel of 5 x 3 is larger than the padded image of 4 x 6"),
    (
        {"kernel": np.ones((3, 3)), "dilation": 2},
        "kernel",
        "3 x 3, dilated to 5 x 5, is larger than the padded image",
    ),
    ({"kernel": np.ones((1, 2, 3, 3))}, "kernel", "`kernel` must be for the image's 1 channel; its shape"),
    ({"kernel": [[1, 2], [3]]}, "kernel", "`kernel` must be rows of numbers, all equally long"),
    ({"kernel": [["a"]]}, "kernel", "`kernel` must be rows of numbers"),
    ({"kernel": []}, "kernel", "`kernel` is empty"),
    ({"kernel": [1, 2]}, "kernel", "`kernel` must have 2, 3 or 4 axes"),
    ({"image": np.zeros((2, 3, 4, 5))}, "image", r"`image` must be \(rows, columns\)"),
    ({"groups": 2}, "groups", "`groups` must divide the image's 1 channel; got 2"),
    ({"bias": [1, 2]}, "bias", "`bias` must be one number, or one for each of 1 feature maps"),
    ({"method": "quick"}, "method", "`method` must be one of auto, direct, fft"),
    ({"transposed": True, "padding": "same"}, "padding", "must be a whole number, not `same`"),
    ({"transposed": True, "padding": 3}, "padding", "`padding` cuts off the whole result of 6 x 8; got 3"),
    ({"transposed": True, "padding_mode": "reflect"}, "padding_mode", "must be `zeros`; got 'reflect'"),
    ({"transposed": True, "padding": (0, 1, 0, 0)}, "padding", "must be equal on both sides"),
    ({"transposed": True, "kernel": np.ones((2, 1, 3, 3))}, "kernel", "must be for the image's 1 channels"),
]


@pytest.mark.parametrize(("changed", "control", "sentence"), BAD)
def test_what_cannot_be_convolved_is_said_in_one_sentence_that_names_the_argument(changed, control, sentence):
    arguments = {"image": np.zeros((4, 6)), "kernel": np.ones((3, 3)), **changed}
    with pytest.raises(ControlError, match=sentence) as raised:
        convolve(**arguments)
    assert raised.value.control == control
    assert "\n" not in raised.value.message
