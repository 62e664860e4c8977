"""The first sight of a scene: the same scene, without what takes long."""

from __future__ import annotations

import numpy as np
import torch

import convscope
from convscope.scene import make_scene


def test_the_first_sight_is_the_scene_without_what_takes_long() -> None:
    from convscope.scene.make import first_sight

    torch.manual_seed(3)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 12, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(4332, 7),
    )
    trace = convscope.trace(net, torch.randn(1, 3, 40, 40))
    whole, sight = make_scene(trace, proofs=False), first_sight(trace, {})
    assert set(whole.arrays) - set(sight.arrays) == {f"maps/{n}" for n in range(6)}
    for ours, theirs in zip(sight.manifest["nodes"], whole.manifest["nodes"], strict=True):
        known = {k: v for k, v in theirs["statistics"].items() if k not in ("mean", "std")}
        assert ours["statistics"].items() >= known.items()
        for key in ("view", "channels", "rows", "columns", "signed", "strongest"):
            assert ours[key] == theirs[key]
    for name, array in sight.arrays.items():
        if name.startswith("stats/") and np.isnan(array).any():
            assert np.array_equal(array[:, [0, 1, 7]], whole.arrays[name][:, [0, 1, 7]])
        else:
            assert np.array_equal(array, whole.arrays[name]), name
    assert sight.manifest["predictions"] == whole.manifest["predictions"]


def test_the_first_sight_of_values_that_are_not_finite_is_the_scenes_own() -> None:
    from convscope.scene.make import first_sight

    image = torch.randn(1, 2, 5, 5)
    image[0, 1, 2, 3] = torch.inf
    trace = convscope.trace(torch.nn.ReLU(), image)
    whole, sight = make_scene(trace, proofs=False), first_sight(trace, {})
    assert [n["statistics"] for n in sight.manifest["nodes"]] == [
        n["statistics"] for n in whole.manifest["nodes"]
    ]
    for name, array in sight.arrays.items():
        assert np.array_equal(array, whole.arrays[name], equal_nan=True)


def test_filters_that_are_kept_are_those_of_the_weights_as_they_are() -> None:
    from convscope.scene.make import first_sight

    net = torch.nn.Conv2d(3, 4, 3)
    trace = convscope.trace(net, torch.randn(1, 3, 8, 8))
    kept: dict[object, object] = {}
    before = first_sight(trace, kept).arrays["filters/1"]
    assert first_sight(trace, kept).arrays["filters/1"] is before
    with torch.no_grad():
        net.weight.neg_()
    after = first_sight(trace, kept).arrays["filters/1"]
    assert abs(after.astype(int) + before.astype(int) - 256).max() <= 1
