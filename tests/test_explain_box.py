"""A box on the picture: shares and scores against plain loops over finely cut pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

import convscope
from convscope.errors import TraceError, UsageError
from convscope.explain import Edit, channels_in_box, rerun
from convscope.explain.boxes import PLACES, stages
from convscope.explain.grids import Grids, edges, shares
from tracing_models import batch
from tracing_oracles import fill

pytestmark = pytest.mark.usefixtures("one_thread")

CUTS = 4


def owners(count: int, stride: int, first: float, size: int) -> NDArray[np.int64]:
    """For each fine cut of a side of the picture, the cell whose middle is nearest."""
    middles = [first + stride * i for i in range(count)]
    found = []
    for cut in range(size * CUTS):
        at = (cut + 0.5) / CUTS
        found.append(min(range(count), key=lambda i: abs(middles[i] - at)))
    return np.array(found)


def plainly(
    value: NDArray[np.float64], stride: int, first: float, size: int, place: tuple[int, int, int, int]
) -> list[tuple[float, float, float]]:
    """(share, chance, score) of each channel of ``value``, cell by cell."""
    count = value.shape[1]
    own = owners(count, stride, first, size)
    mask = np.zeros((size * CUTS, size * CUTS))
    top, left, bottom, right = (n * CUTS for n in place)
    mask[top:bottom, left:right] = 1
    step = size * CUTS // PLACES
    weights = np.zeros((PLACES, PLACES, count, count))
    for i in range(PLACES):
        for j in range(PLACES):
            moved = np.roll(mask, (i * step, j * step), (0, 1))
            for row in range(count):
                for column in range(count):
                    tile = moved[own == row][:, own == column]
                    weights[i, j, row, column] = tile.mean() if tile.size else 0
    results = []
    for plane in np.abs(value):
        over = np.zeros((PLACES, PLACES))
        for i in range(PLACES):
            for j in range(PLACES):
                share = (
                    sum(weights[i, j, r, c] * plane[r, c] for r in range(count) for c in range(count))
                    / plane.sum()
                    if plane.sum()
                    else 0.0
                )
                over[i, j] = share - weights[i, j].mean()
        chance = weights[0, 0].mean()
        results.append((over[0, 0] + chance, chance, over[0, 0] / np.sqrt((over**2).mean() + 1e-8)))
    return results


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 5, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("place", [(0, 0, 8, 8), (3, 5, 4, 9), (0, 0, 16, 16), (11, 1, 16, 16), (7, 7, 8, 8)])
def test_shares_chances_and_scores_are_those_of_plain_loops(place: tuple[int, int, int, int]) -> None:
    trace = convscope.trace(net(), batch(1, 3, 16, 16))
    hits = {(h.name, h.channel): h for h in channels_in_box(trace, *place, count=1000)}
    compared = 0
    for name, stride in (("2", 2), ("3", 4)):
        value = trace[name].value[0].double().numpy()
        for channel, (share, chance, score) in enumerate(plainly(value, stride, 0.5, 16, place)):
            if score > 1e-3:
                hit = hits.pop((name, channel))
                assert (hit.share, hit.chance) == pytest.approx((share, chance), abs=1e-5)
                assert hit.score == pytest.approx(score, rel=1e-2, abs=1e-3)
                compared += 1
            elif value[channel].any() and score < -1e-3:
                assert (name, channel) not in hits
    assert all(hit.score < 2e-3 for hit in hits.values()), "nothing else looks there"
    assert compared > 2 or place == (0, 0, 16, 16)


def test_the_best_come_first_and_no_more_than_asked_for() -> None:
    trace = convscope.trace(net(), batch(1, 3, 16, 16))
    hits = channels_in_box(trace, 2, 2, 9, 9, count=100)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert channels_in_box(trace, 2, 2, 9, 9, count=3) == hits[:3]
    assert all(h.share > h.chance and 0 < h.score <= PLACES for h in hits)
    assert all(trace.ops[h.node].name == h.name for h in hits)


def test_a_channel_that_lights_only_in_the_box_is_first_at_any_resolution() -> None:
    class Three(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            fine = x.relu()
            coarse = torch.nn.functional.avg_pool2d(fine, 8).relu()
            return fine.mean((2, 3)) + coarse.mean((2, 3))

    x = batch(1, 8, 64, 64).abs()
    x[0, 5] = 0
    x[0, 5, 16:32, 40:48] = 1
    trace = convscope.trace(Three(), x)
    hits = channels_in_box(trace, 16, 40, 32, 48)
    assert [(h.name, h.channel) for h in hits[:2]] in (
        [("relu", 5), ("relu_1", 5)],
        [("relu_1", 5), ("relu", 5)],
    )
    assert [h.share for h in hits[:2]] == [1, 1]
    assert hits[0].score == pytest.approx(hits[1].score, rel=1e-3), "fine and coarse maps by one measure"
    assert hits[2].score < hits[1].score / 2


def test_the_same_everywhere_is_no_look_at_all() -> None:
    trace = convscope.trace(nn.ReLU(), torch.ones(1, 4, 24, 24))
    assert channels_in_box(trace, 3, 4, 10, 11) == []


def test_silent_channels_and_channels_switched_off_are_not_ranked() -> None:
    trace = convscope.trace(net(), batch(1, 3, 16, 16))
    best = channels_in_box(trace, 2, 2, 9, 9)[0]
    edited = rerun(trace, [Edit(best.node, (best.channel,))])
    assert (best.node, best.channel) not in {(h.node, h.channel) for h in channels_in_box(edited, 2, 2, 9, 9)}


def test_not_a_number_is_no_evidence() -> None:
    x = torch.ones(1, 2, 16, 16)
    x[0, 0, 3, 3] = float("nan")
    x[0, 1, 3, 3] = 100
    assert [h.channel for h in channels_in_box(convscope.trace(nn.ReLU(), x), 2, 2, 5, 5)] == [1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_tiles_divide_the_picture_without_gaps(data: st.DataObject) -> None:
    size, count = data.draw(st.integers(4, 300)), data.draw(st.integers(2, 40))
    first, stride = data.draw(st.floats(-20, 20)), data.draw(st.integers(1, 40))
    borders = edges(first + stride * np.arange(count), size)
    assert borders[0] == 0
    assert borders[-1] == size
    assert (np.diff(borders) >= 0).all()
    low, high = sorted(data.draw(st.tuples(st.floats(0, size), st.floats(0, size))))
    assert (shares(borders, low, high) * np.diff(borders)).sum() == pytest.approx(high - low, abs=1e-6)


def test_squeeze_and_excite_does_not_blur_where_a_map_lies() -> None:
    class Squeeze(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean((2, 3), keepdim=True).sigmoid()

    parts = [nn.Conv2d(3, 4, 3, 2, 1), nn.Identity(), nn.Conv2d(4, 4, 5, 2, 2), nn.ReLU()]
    plain = convscope.trace(nn.Sequential(*parts), batch(1, 3, 16, 16))
    parts[1] = Squeeze()
    squeezed = convscope.trace(nn.Sequential(*parts), batch(1, 3, 16, 16))
    assert squeezed["3"].field is None
    ours, theirs = (Grids(t.ops).centers(t["3"].index) for t in (squeezed, plain))
    assert ours is not None
    assert theirs is not None
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", "convnext_tiny", "densenet121", "swin_t", "googlenet"]
)
def test_every_stage_of_a_known_net_lies_evenly_over_the_picture(name: str) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    model = fill(torchvision.models.get_model(name, weights=None, **options)).eval()
    trace = convscope.trace(model, batch(1, 3, 64, 64))
    grids = Grids(trace.ops)
    chosen = stages(trace.ops)
    assert len(chosen) > 10
    for op in chosen:
        found = grids.centers(op.index)
        assert found is not None
        assert op.spatial is not None
        for centers, axis in zip(found, op.spatial, strict=True):
            assert len(centers) == op.shape[axis]
            assert np.allclose(np.diff(centers), 64 / op.shape[axis], rtol=0.35), (op.name, centers)
    assert channels_in_box(trace, 10, 10, 40, 40)


def test_one_op_a_stage_is_ranked() -> None:
    model = fill(torchvision.models.resnet50(weights=None)).eval()
    trace = convscope.trace(model, batch(1, 3, 64, 64))
    assert {op.kind for op in stages(trace.ops)} == {"relu"}
    assert len(stages(trace.ops)) == 49
    trace = convscope.trace(fill(torchvision.models.mobilenet_v2(weights=None)).eval(), batch(1, 3, 64, 64))
    assert {op.kind for op in stages(trace.ops)} == {"hardtanh", "batch_norm", "add"}


def test_uneven_windows_and_transposed_convolutions_have_their_middles_in_order() -> None:
    parts = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(5), nn.ReLU(), nn.ConvTranspose2d(4, 4, 2, 2), nn.ReLU()
    )
    trace = convscope.trace(parts, batch(1, 3, 16, 16))
    grids = Grids(trace.ops)
    for name, count in (("2", 5), ("4", 10)):
        found = grids.centers(trace.op(name).index)
        assert found is not None
        assert len(found[0]) == count
        assert (np.diff(found[0]) >= 0).all()
        assert 0 < found[0][0] < found[0][-1] < 16


@pytest.mark.parametrize("place", [(4, 4, 4, 9), (9, 0, 3, 4), (16, 0, 20, 4), (-5, 0, 0, 4)])
def test_a_box_without_area_is_an_error(place: tuple[int, int, int, int]) -> None:
    trace = convscope.trace(net(), batch(1, 3, 16, 16))
    with pytest.raises(UsageError, match="must have an area inside the input of 16 rows and 16 columns"):
        channels_in_box(trace, *place)


def test_a_count_below_one_and_a_model_without_a_picture_are_errors() -> None:
    with pytest.raises(UsageError, match="`count` must be at least 1; got 0"):
        channels_in_box(convscope.trace(net(), batch(1, 3, 16, 16)), 0, 0, 4, 4, count=0)
    with pytest.raises(TraceError, match="the model was given no picture"):
        channels_in_box(convscope.trace(nn.Linear(3, 2), torch.ones(2, 3)), 0, 0, 4, 4)
