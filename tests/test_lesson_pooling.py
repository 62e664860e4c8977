"""Stride, threshold, pooling, what a region reaches, shifts and the grid, each by a second, plainer way."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.lesson import LESSONS
from convscope.lesson.pools import pool
from convscope.lesson.reach import backwards, forwards


@pytest.fixture(scope="module")
def results() -> dict[str, convscope.lesson.LessonResult]:
    return {name: LESSONS[name].run() for name in ("stride", "threshold", "shift", "grid")}


def grey(name: str) -> np.ndarray:
    pixels = convscope.load_image(f"sample:{name}").pixels.astype(np.float64)
    return pixels @ [0.299, 0.587, 0.114]


# Stride and threshold


def test_a_strided_map_is_the_whole_map_with_rows_and_columns_left_out(results):
    result = results["stride"]
    whole = result.maps["stride 1"].values
    costs = []
    for row in result.numbers["strides"]:
        stride = row["stride"]
        left = whole[::stride, ::stride]
        np.testing.assert_allclose(
            result.maps[f"stride {stride}"].values, left, rtol=0, atol=1e-4 * abs(whole).max()
        )
        assert row["multiply_adds"] == left.size * 48 * 56
        assert row["peak_cell"] == [int(n) for n in np.unravel_index(left.argmax(), left.shape)]
        assert row["milliseconds"] > 0
        costs.append(row["multiply_adds"])
    ratios = [a / b for a, b in itertools.pairwise(costs)]
    assert all(3.5 < ratio < 4.5 for ratio in ratios)
    assert [row["found"] for row in result.numbers["strides"]][:4] == [True] * 4


LOADED = """
import sys, time, types
from convscope.lesson import LESSONS, stride
loaded = []
def clock():
    loaded.append("torch.nn.functional" in sys.modules)
    return time.perf_counter()
stride.time = types.SimpleNamespace(perf_counter=clock)
LESSONS["stride"].run()
print(loaded)
"""


def test_what_a_stride_is_said_to_cost_is_without_the_loading_of_torch():
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    assert set(done.stdout.strip("[]\n").split(", ")) == {"True"}


def test_the_threshold_keeps_what_lies_above_minus_the_bias(results):
    result = results["threshold"]
    image = grey("camera") / 255
    part = image[90:160, 200:270]
    response = result.maps["response"].values
    for row, column in ((0, 0), (200, 100), (442, 442)):
        expected = (image[row : row + 70, column : column + 70] * part).sum()
        assert response[row, column] == pytest.approx(expected, rel=1e-4)
    shares = [float((response > -bias).mean()) for bias in (500, -250, -1000)]
    assert [result.numbers["shares"][f"{bias:g}"] for bias in (500, -250, -1000)] == shares
    assert shares[0] == 1 > shares[1] > shares[2] > 0
    assert sum(result.numbers["histogram"]["counts"]) == response.size
    np.testing.assert_array_equal(result.maps["lit"].values, np.maximum(response - 250, 0))


# Pooling, reach and shift


@pytest.mark.parametrize("kind", ["max", "average", "l2"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (5, 3), (7, 4), (2, 5)])
def test_pooling_is_what_a_loop_over_windows_gives(kind, size, stride):
    values = np.random.default_rng(0).normal(size=(23, 31))
    found = pool(values, kind, size, stride)
    reduce = {"max": np.max, "average": np.mean, "l2": lambda w: np.sqrt((w**2).sum())}[kind]
    for row, column in np.ndindex(found.shape):
        window = values[row * stride : row * stride + size, column * stride : column * stride + size]
        assert found[row, column] == pytest.approx(reduce(window))
    assert found.shape == ((23 - size) // stride + 1, (31 - size) // stride + 1)


@pytest.mark.parametrize("layers", [((3, 1), (3, 2), (3, 2)), ((5, 3), (2, 1)), ((2, 4), (2, 1)), ((7, 4),)])
@pytest.mark.parametrize("region", [(0, 0, 1, 1), (6, 5, 4, 3), (17, 14, 7, 10), (2, 11, 1, 1)])
def test_what_a_region_reaches_is_what_changes_when_it_changes(layers, region):
    size = 24
    top, left, rows, columns = region
    image = torch.zeros(1, 1, size, size)
    image[..., top : top + rows, left : left + columns] = 1
    found = forwards(region, layers, size)
    for (window, stride), reached in zip(layers, found[1:], strict=True):
        image = nn.functional.conv2d(image, torch.ones(1, 1, window, window), stride=stride)
        lit = (image[0, 0] > 0).nonzero()
        if reached is None:
            assert len(lit) == 0
            return
        assert lit.min(0).values.tolist() == list(reached[:2])
        assert (lit.max(0).values - lit.min(0).values + 1).tolist() == list(reached[2:])


def test_what_a_cell_sees_is_where_its_gradient_is_not_zero():
    layers = ((3, 1), (3, 2), (5, 2))
    image = torch.rand(1, 1, 40, 40, requires_grad=True)
    value = image
    for window, stride in layers:
        value = nn.functional.avg_pool2d(value, window, stride)
    value[0, 0, 2, 3].backward()
    seen = image.grad[0, 0].nonzero()
    top, left, rows, columns = backwards((2, 3), layers)[0]
    assert seen.min(0).values.tolist() == [top, left]
    assert (seen.max(0).values + 1).tolist() == [top + rows, left + columns]


def test_a_picture_that_does_not_move_does_not_change_and_pooling_steadies_one_that_does(results):
    still = LESSONS["shift"].run(down=0, across=0)
    assert all(change == 0 for changes in still.numbers["changes"].values() for change in changes)
    changes = results["shift"].numbers["changes"]
    for way in ("max", "average", "l2"):
        assert changes[way][-1] < changes[way][1] / 2
    assert changes["skip"][-1] > 0.8 * changes["skip"][1]
    image = grey("camera") / 255
    one, other = image[1:, 1:], image[:-1, :-1]
    spread = np.sqrt(((one - one.mean()) ** 2).mean())
    for moved in (1, -1):
        found = LESSONS["shift"].run(down=moved, across=moved).numbers["changes"]["max"][0]
        assert found == pytest.approx(np.sqrt(((one - other) ** 2).mean()) / spread, rel=1e-2)


# The grid


def test_the_grid_runs_from_194_by_194_to_10_by_10_as_in_the_article(results):
    grid = results["grid"].numbers["grid"]
    assert len(grid) == 27
    sizes = {(entry["stride"], *entry["pool"]): entry for entry in grid}
    assert sizes[2, 3, 2]["convolved"] == [194, 194]
    assert sizes[9, 7, 4]["size"] == [10, 10]
    assert sizes[9, 7, 4]["cells"] == 100
    texts = [cell for row in results["grid"].tables["sizes"].rows for cell in row]
    assert "194 x 194 = 37,636" in texts
    assert "10 x 10 = 100" in texts
    for entry in grid:
        side = (456 - 70) // entry["stride"] + 1
        assert entry["convolved"] == [side, side]
        assert entry["size"] == [(side - entry["pool"][0]) // entry["pool"][1] + 1] * 2
    for stride, window in itertools.product((2, 9, 16), (3, 5, 7)):
        shares = [e["share"] for e in grid if e["stride"] == stride and e["pool"][0] == window]
        assert shares == sorted(shares, reverse=True)


def test_a_peak_that_lies_elsewhere_already_at_stride_1_is_said_and_followed():
    # A small even cut: anything with more contrast answers louder.
    result = LESSONS["stride"].run(picture="sample:coins", box="4,4,24,24")
    rows = result.numbers["strides"]
    assert not any(row["found"] for row in rows)
    first, text = np.array(rows[0]["peak_at"]), result.sentences["en"][1]
    same = [
        r["stride"] for r in rows[1:] if np.abs(np.array(r["peak_at"]) - first).max() < max(2, r["stride"])
    ]
    assert text.startswith("Already at stride 1 the peak lies elsewhere than the cut")
    assert text.endswith(f"It is found again at stride {', '.join(map(str, same)) or '-'}.")
    assert ", ".join(map(str, same)) in result.sentences["zh"][1]
