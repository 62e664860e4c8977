"""The terms of the peaks in a scene against one value explained at a time, and against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import convscope  # noqa: E402
from convscope.scene import proofs  # noqa: E402
from convscope.scene.proof_parts import _shortened  # noqa: E402

NETS = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5", "convnext_tiny")


def lively(name: str) -> tuple[Any, Any, Any]:
    """A network with norms that do something, its trace and its scene."""
    generator = torch.Generator().manual_seed(3)
    net = __import__("torchvision").models.get_model(name, weights=None).eval()
    with torch.no_grad():
        for key, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.8 + 0.1)
            elif tensor.is_floating_point():
                tensor.copy_(
                    torch.randn(tensor.shape, generator=generator) / max(1, tensor[0].numel()) ** 0.5
                )
            del key
    trace = convscope.trace(net, torch.randn(1, 3, 64, 64, generator=generator))
    return net, trace, convscope.make_scene(trace)


@pytest.fixture(scope="module")
def resnet() -> tuple[Any, Any, Any]:
    return lively("resnet18")


def cell_of_place(scene: Any, node: dict[str, Any], channel: int, place: int, at: tuple[int, int]) -> Any:
    """Where a term's input stands, by the words of ARCHITECTURE.md alone."""
    proof = node["proof"]
    source = scene.manifest["nodes"][proof["operands"][0]["node"]]
    if proof["reads"] == "window":
        kernel = proof["window"]["kernel"]
        own, spot = divmod(place, kernel[0] * kernel[1])
        own += channel // proof["group"]["of"] * proof["group"]["first"]
        if source["view"] == "vector":
            return source["name"], own, None
        steps = divmod(spot, kernel[1])
        row, column = (
            at[a] * proof["window"]["stride"][a] - proof["window"]["padding"][a]
            + steps[a] * proof["window"]["dilation"][a]
            for a in range(2)
        )  # fmt: skip
        return source["name"], own, (row, column)
    own, spot = divmod(place, source["rows"] * source["columns"])
    where = divmod(spot, source["columns"])
    return source["name"], own, None if source["view"] == "vector" else where


def checked(trace: Any, scene: Any, node: dict[str, Any], channels: list[int]) -> None:
    """Holds what the scene says of some channels' peaks against ``value_of``."""
    number, proof = node["id"], node["proof"]
    table = scene.arrays[f"proof/{number}"]
    columns = {name: table[:, place] for place, name in enumerate(proof["columns"])}
    stats = scene.arrays[f"stats/{number}"]
    arrays = {
        kind: scene.arrays.get(f"proof_{kind}/{number}")
        for kind in ("terms", "inputs", "weights", "places", "patches")
    }
    for channel in channels:
        at = (int(stats[channel, 5]), int(stats[channel, 6]))
        found = trace.value_of(number, channel, at if node["view"] == "map" else None)
        where = (node["name"], node["kind"], channel)
        assert columns["value"][channel] == np.float32(found.value), where
        assert columns["tolerance"][channel] == pytest.approx(found.tolerance, rel=0.02), where
        difference = found.total - found.value
        assert columns["difference"][channel] == pytest.approx(difference, rel=0.01, abs=1e-13), where
        assert (abs(columns["difference"][channel]) <= columns["tolerance"][channel]) == found.agrees, where
        if "bias" in columns:
            assert columns["bias"][channel] == np.float32(found.bias), where
        for name in ("x", "mean", "var", "weight"):
            if name in columns and name in found.quantities:
                assert columns[name][channel] == pytest.approx(found.quantities[name], rel=2e-7), where
        if proof["rule"] in ("sum", "pick", "copy"):
            check_terms(scene, node, channel, at, found, arrays, columns, where)
        if proof["rule"] == "cells":
            for place, term in enumerate(found.terms if proof["formula"] != "input · other" else ()):
                own = [t["label"] for t in proof["operands"]].index(term.label)
                weight = proof.get("weights", [1, 1])[own]
                assert columns[str(own)][channel] * weight == pytest.approx(term.value, rel=2e-7), (
                    where,
                    place,
                )
        assert proof["formula"].split(" from")[0] in found.formula or proof["rule"] == "pick", where


def check_terms(
    scene: Any, node: dict[str, Any], channel: int, at: Any, found: Any, arrays: Any, columns: Any, where: Any
) -> None:
    places = arrays["places"][channel]
    told = {}
    for k, place in enumerate(places):
        if place < 0:
            continue
        if arrays["patches"] is not None:
            patch, kernel = arrays["patches"][channel, k].astype(np.float64)
            value = (patch * kernel).sum()
        elif arrays["terms"] is not None:
            value = arrays["terms"][channel, k]
        elif arrays["weights"] is not None:
            value = float(arrays["inputs"][channel, k]) * float(arrays["weights"][channel, k])
        else:
            value = (
                float(arrays["inputs"][channel, k]) / columns.get("divisor", np.ones(channel + 1))[channel]
            )
        if node["proof"]["operands"][0]["node"] is None:
            # What it was copied from is not drawn: it has no cell to be named.
            told[k] = (k, value)
            continue
        told[cell_of_place(scene, node, channel, int(place), at)] = (k, value)
    known = {
        (t.cell.op, t.cell.channel, t.cell.at if t.cell.at and len(t.cell.at) == 2 else None): t
        for t in found.terms
        if t.cell
    }
    for cell, (k, value) in told.items():
        if isinstance(cell, int):
            continue
        name, own, _ = cell
        # Of a map of one cell `value_of` names the cell, a scene calls it a vector.
        term = known.get(cell) or known.get((name, own, (0, 0)))
        assert term is not None, (where, cell, list(known)[:4])
        assert value == pytest.approx(term.value, rel=1e-6, abs=1e-9), (where, k)
    if node["proof"]["rule"] == "sum":
        count = node["proof"].get("terms") or columns["terms"][channel]
        assert count == len(found.terms), where
        largest = sorted((abs(t.value) for t in found.terms), reverse=True)[: len(told)]
        assert sorted((abs(v) for _, v in told.values()), reverse=True) == pytest.approx(
            largest, rel=1e-6, abs=1e-9
        )
    if node["proof"]["rule"] == "pick":
        assert max(value for _, value in told.values()) == np.float32(found.value)


@pytest.mark.parametrize("name", NETS)
def test_the_terms_of_every_peak_are_those_of_value_of(name: str) -> None:
    _, trace, scene = lively(name)
    generator = np.random.default_rng(5)
    proven = 0
    for node in scene.manifest["nodes"]:
        if "proof" not in node:
            continue
        chosen = generator.choice(node["channels"], min(4, node["channels"]), replace=False)
        checked(trace, scene, node, [int(channel) for channel in chosen])
        proven += 1
    drawn = [node for node in scene.manifest["nodes"] if node["view"] != "none"]
    missing = {node["kind"] for node in drawn if "proof" not in node}
    assert proven >= 0.9 * len(drawn), missing


def test_all_channels_of_a_convolution_sum_up_as_torch_computes_them(resnet: Any) -> None:
    net, trace, scene = resnet
    node = scene.node("layer1.0.conv1")
    stats = scene.arrays[f"stats/{node['id']}"]
    table = scene.arrays[f"proof/{node['id']}"]
    given = trace.ops[node["inputs"][0]].values[0].double()
    whole = torch.nn.functional.conv2d(given, net.layer1[0].conv1.weight.double(), padding=1)[0]
    rows, columns = stats[:, 5].astype(int), stats[:, 6].astype(int)
    plain = whole[np.arange(64), rows, columns].detach().numpy()
    assert table[:, 0] + table[:, 1].astype(np.float64) == pytest.approx(plain, rel=4e-9)


def test_the_first_convolution_keeps_patch_and_kernel(resnet: Any) -> None:
    net, trace, scene = resnet
    node = scene.node("conv1")
    patches = scene.arrays[f"proof_patches/{node['id']}"]
    assert patches.shape == (64, 3, 2, 7, 7)
    places = scene.arrays[f"proof_places/{node['id']}"]
    stats = scene.arrays[f"stats/{node['id']}"]
    padded = torch.nn.functional.pad(trace.ops[0].values[0][0], (3, 3, 3, 3)).numpy()
    for channel in range(64):
        row, column = (2 * int(stats[channel, at]) for at in (5, 6))
        for k, place in enumerate(places[channel]):
            own = place // 49
            assert (patches[channel, k, 0] == padded[own, row : row + 7, column : column + 7]).all()
            assert (patches[channel, k, 1] == net.conv1.weight[channel, own].detach().numpy()).all()


def test_groups_dilation_and_padding_are_followed() -> None:
    torch.manual_seed(2)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(6, 12, 3, padding=(2, 1), dilation=2, groups=3, stride=(1, 2)),
        torch.nn.Conv2d(12, 4, (1, 5), padding=(0, 4), bias=False),
        torch.nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
        torch.nn.MaxPool2d(2, 1, padding=1),
        torch.nn.AdaptiveAvgPool2d((2, 3)),
    )
    trace = convscope.trace(net, torch.randn(1, 6, 17, 23))
    scene = convscope.make_scene(trace)
    assert [node["proof"]["rule"] for node in scene.manifest["nodes"]] == [
        "given",
        *["sum"] * 3,
        "pick",
        "sum",
    ]
    for node in scene.manifest["nodes"]:
        checked(trace, scene, node, list(range(node["channels"])))


def test_where_a_pass_was_not_as_told_the_difference_shows() -> None:
    """A hook that doubles a convolution's result: the sum of its terms is half of what was recorded."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False))
    trace = convscope.trace(net, torch.ones(1, 1, 2, 2))
    with torch.no_grad():
        trace.ops[1].values[0].mul_(2)
    scene = convscope.make_scene(trace)
    table = scene.arrays["proof/1"]
    assert (abs(table[:, 1]) > table[:, 2]).all()


def test_a_scene_may_be_made_without_the_terms(resnet: Any) -> None:
    scene = convscope.make_scene(resnet[1], proofs=False)
    assert not any(name.startswith("proof") for name in scene.arrays)
    assert not any("proof" in node for node in scene.manifest["nodes"])


def test_ops_that_are_not_covered_have_no_proof_rather_than_a_wrong_one() -> None:
    class Batchwise(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.batch_norm(x, None, None, training=True).softmax(1)

    scene = convscope.make_scene(convscope.trace(Batchwise(), torch.randn(1, 3, 4, 4)))
    assert ["proof" in node for node in scene.manifest["nodes"]] == [True, False, False]


def test_every_covered_kind_has_an_explanation_of_single_values() -> None:
    from convscope.tracing.arithmetic import EXPLAINERS

    assert set(proofs.PROVERS) - {"input"} <= set(EXPLAINERS)


def test_sums_keep_as_many_terms_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch, resnet: Any) -> None:
    monkeypatch.setattr(proofs, "TERMS", 20_000)
    most, _ = proofs.plan(resnet[1].ops)
    kept = [n for n in convscope.make_scene(resnet[1]).arrays.items() if n[0].startswith("proof_places")]
    assert sum(array.size for _, array in kept) < 21_000
    monkeypatch.setattr(proofs, "TERMS", 200_000)
    assert proofs.plan(resnet[1].ops)[0] > most


def test_shortened_numbers_stay_within_a_256th() -> None:
    numbers = np.random.default_rng(1).normal(size=1000) * 1e-7
    assert _shortened(numbers) == pytest.approx(numbers, rel=1 / 256)
    assert (np.abs(_shortened(np.abs(numbers), upward=True)) >= np.abs(numbers)).all()
    assert _shortened(np.array([np.nan, np.inf]))[1] == np.inf
