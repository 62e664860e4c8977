"""Scenes written and read back, and files that are no scenes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import convscope
from convscope.errors import OutputError, SceneError
from convscope.scene import Scene, make_scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU()), nn.Flatten(), nn.Linear(216, 4))
    return make_scene(convscope.trace(net, torch.rand(1, 3, 8, 8)))


@pytest.fixture(scope="module")
def saved(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.save(tmp_path_factory.mktemp("scenes") / "whole.scene")


def assert_equal(one: Scene, other: Scene) -> None:
    assert one.manifest == other.manifest
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype
        np.testing.assert_array_equal(array, other.arrays[name])


def test_a_scene_reads_back_as_it_was_written(scene: Scene, saved: Path) -> None:
    assert_equal(Scene.load(saved), scene)


def test_the_same_scene_gives_the_same_bytes(scene: Scene, saved: Path, tmp_path: Path) -> None:
    assert scene.save(tmp_path / "again.scene").read_bytes() == saved.read_bytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=30),
    numbers=arrays.arrays(np.float32, 4, elements=st.floats(width=32)),
    pixels=arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))),
)
def test_any_names_numbers_and_pixels_survive_the_way_through_a_file(
    scene: Scene, tmp_path: Path, text: str, numbers: Any, pixels: Any
) -> None:
    manifest = {**scene.manifest, "image": {**scene.manifest["image"], "name": text}, "notes": [text]}
    changed = Scene(manifest, {**scene.arrays, "logits": numbers, "photo": pixels})
    assert_equal(Scene.load(changed.save(tmp_path / "any.scene")), changed)


def rewritten(saved: Path, path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of the archive with its members changed."""
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def manifest_with(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, bytes]], None]:
    def apply(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        change(manifest)
        members["manifest.json"] = json.dumps(manifest).encode()

    return apply


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


BAD_MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another version": (lambda m: m.update(schema="convscope.scene/2"), "has the schema 'convscope.scene/2'"),
    "no version": (lambda m: m.pop("schema"), "has the schema 'None'"),
    "no nodes": (lambda m: m.pop("nodes"), "has no proper 'nodes'"),
    "nodes of text": (lambda m: m.update(nodes="many"), "has no proper 'nodes'"),
    "a node that is a list": (lambda m: m["nodes"].__setitem__(1, []), "node 1 is not a table"),
    "a truth for a number": (
        lambda m: m["nodes"][1].update(channels=True),
        "node 1 has no proper 'channels'",
    ),
    "a wrong number of channels": (
        lambda m: m["nodes"][1].update(channels=7),
        "stats/1 has the shape|maps/1 has",
    ),
    "an unknown view": (lambda m: m["nodes"][1].update(view="hologram"), "the view 'hologram'"),
    "an input from the future": (lambda m: m["nodes"][1].update(inputs=[3]), "does not come before"),
    "an array of another node": (
        lambda m: m["nodes"][1]["arrays"].update(maps="maps/2"),
        "node 1 lacks its maps",
    ),
    "a strongest channel too many": (lambda m: m["nodes"][1]["strongest"].append(99), "strongest channels"),
    "a group past the end": (lambda m: m["groups"][0].update(last=99), "does not fit the nodes"),
    "a group without a parent": (lambda m: m["groups"][0].update(parent="gone"), "does not fit the nodes"),
    "a node in no group": (lambda m: m["nodes"][0].update(groups=["gone"]), "a group that is not there"),
    "a field of words": (
        lambda m: m["nodes"][1].update(field={"size": ["a", 1], "stride": [1, 1], "start": [0, 0]}),
        "damaged field",
    ),
    "a field with a part missing": (lambda m: m["nodes"][1].update(field={}), "wrong form"),
    "a photo that is not there": (lambda m: m["image"].pop("photo"), "disagree about the photo"),
    "other classes": (lambda m: m.update(softmax_of=3), "logits has the shape"),
    "unknown scores": (lambda m: m.update(scores_are="odds"), "says that the scores are 'odds'"),
    "a proof without its table": (
        lambda m: m["nodes"][1]["proof"]["columns"].pop(),
        "lacks its proof|lacks what its rule needs",
    ),
    "a proof of an unknown rule": (
        lambda m: m["nodes"][1]["proof"].update(rule="guess"),
        "lacks what its rule needs",
    ),
    "a proof that reads what comes later": (
        lambda m: m["nodes"][1]["proof"]["operands"][0].update(node=5),
        "does not come before it",
    ),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_damaged_manifest_is_refused_with_a_sentence(saved: Path, tmp_path: Path, name: str) -> None:
    change, message = BAD_MANIFESTS[name]
    path = rewritten(saved, tmp_path / "bad.scene", manifest_with(change))
    with pytest.raises(SceneError, match=message):
        Scene.load(path)


BAD_MEMBERS: dict[str, tuple[Callable[[dict[str, bytes]], Any], str]] = {
    "no manifest": (lambda m: m.pop("manifest.json"), "it has no manifest.json"),
    "a manifest that is no JSON": (lambda m: m.update({"manifest.json": b"{"}), "not a scene, or damaged"),
    "a manifest that is a list": (lambda m: m.update({"manifest.json": b"[]"}), "has the schema 'None'"),
    "a manifest with NaN": (lambda m: m.update({"manifest.json": b'{"a": NaN}'}), "the manifest holds NaN"),
    "a manifest too deep": (lambda m: m.update({"manifest.json": b"[" * 100_000}), "not a scene, or damaged"),
    "a manifest that is no text": (lambda m: m.update({"manifest.json": b"\xff\xfe\xff"}), "not a scene"),
    "a foreign part": (lambda m: m.update({"evil.py": b"print()"}), "not of a scene: 'evil.py'"),
    "a part outside": (lambda m: m.update({"../photo.npy": b""}), "not of a scene: '../photo.npy'"),
    "a part of an unknown node": (
        lambda m: m.update({"stats/99.npy": npy(np.zeros((1, 8), "f4"))}),
        "is not there",
    ),
    "a missing array": (lambda m: m.pop("maps/1.npy"), "node 1 lacks its maps"),
    "pickled objects": (lambda m: m.update({"photo.npy": npy(np.array([{}], object))}), "not what it says"),
    "other numbers": (lambda m: m.update({"logits.npy": npy(np.zeros(4))}), "logits is not what it says"),
    "a cut array": (lambda m: m.update({"logits.npy": m["logits.npy"][:-1]}), "logits is not what it says"),
    "an array by columns": (
        lambda m: m.update({"photo.npy": npy(np.asfortranarray(np.zeros((4, 5, 3), "u1")))}),
        "photo is not what it says",
    ),
    "an array without a header": (
        lambda m: m.update({"logits.npy": b"12345678"}),
        "logits is not what it says",
    ),
    "a huge array promised": (
        lambda m: m.update(
            {"logits.npy": m["logits.npy"].replace(b"(4,), }" + b" " * 12, b"(4000000000000,), }")}
        ),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_a_damaged_archive_is_refused_with_a_sentence(saved: Path, tmp_path: Path, name: str) -> None:
    change, message = BAD_MEMBERS[name]
    path = rewritten(saved, tmp_path / "bad.scene", change)
    with pytest.raises(SceneError, match=message):
        Scene.load(path)


def test_every_cut_and_many_flipped_bytes_end_in_a_scene_error_or_the_same_scene(
    scene: Scene, saved: Path, tmp_path: Path
) -> None:
    data = saved.read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "bad.scene"
    for cut in random.integers(0, len(data), 60):
        path.write_bytes(data[:cut])
        with pytest.raises(SceneError, match="bad"):
            Scene.load(path)
    refused = 0
    for place in random.integers(0, len(data), 200):
        changed = bytearray(data)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            assert_equal(Scene.load(path), scene)
        except SceneError:
            refused += 1
    assert refused > 100


def test_a_zip_bomb_is_refused_before_it_is_unpacked(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.scene"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", "{}")
        with archive.open("photo.npy", "w") as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(SceneError, match="unpacks to 67 MB, more than the 50 MB allowed"):
        Scene.load(path, limit=50_000_000)


def test_the_same_name_twice_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.scene"
    path.write_bytes(saved.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(SceneError, match="two parts of the same name"):
        Scene.load(path)


def test_files_that_are_not_scenes_are_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="there is no scene"):
        Scene.load(tmp_path / "gone.scene")
    with pytest.raises(SceneError, match="cannot be read"):
        Scene.load(tmp_path)
    (tmp_path / "text.scene").write_text("hello")
    with pytest.raises(SceneError, match="is not a scene, or damaged"):
        Scene.load(tmp_path / "text.scene")


def test_a_scene_that_cannot_be_written_leaves_nothing_behind(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        scene.save(tmp_path / "no folder" / "a.scene")
    with pytest.raises(OutputError, match="is a folder, not a file"):
        scene.save(tmp_path)
    old = tmp_path / "old.scene"
    old.write_text("old")
    broken = Scene({**scene.manifest, "notes": [float("nan")]}, scene.arrays)
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.save(old)
    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.scene"]


def test_a_saved_scene_is_read_without_torch(saved: Path) -> None:
    code = (
        "import sys; from convscope import Scene; "
        f"scene = Scene.load({str(saved)!r}); print(len(scene.manifest['nodes']), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["5", "False"]


def test_the_room_offers_its_names_in_order() -> None:
    import convscope.scene as room

    assert room.__all__ == sorted(room.__all__)
    assert {"Scene", "make_scene"} <= set(dir(room))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        room.nothing  # noqa: B018
