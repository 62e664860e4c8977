"""The report as a file: what is in it, how it is escaped and how it is written."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import os
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import convscope
from convscope import files
from convscope.errors import OutputError
from convscope.exhibits import report_data
from convscope.exhibits.report import report_bytes, write_report
from convscope.exhibits.report_coding import finer, from_residuals, planes_decoded, statistics_decoded
from convscope.exhibits.report_data import escaped_json
from convscope.exhibits.report_derive import derivable
from convscope.exhibits.report_proofs import expected_columns, proof_coded, proof_decoded
from convscope.exhibits.report_text import ALPHABET, from_text, to_text
from viewer.synthetic import HOSTILE, SyntheticScene, synthetic_scene


@pytest.fixture(scope="module")
def scene() -> SyntheticScene:
    return synthetic_scene(width=0.0625)


class Reader(HTMLParser):
    """Reads a page as a browser would: elements, attributes, and the raw text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self.inside = True

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def text(self, tag: str, **attributes: str) -> str:
        found = [
            text
            for (name, given), text in zip(self.elements, self.texts, strict=True)
            if name == tag and all(given.get(key) == value for key, value in attributes.items())
        ]
        assert len(found) == 1, f"{len(found)} {tag} elements with {attributes}"
        return found[0]


def sha256(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_the_policy_names_exactly_the_script_and_the_style_in_the_page(scene: SyntheticScene) -> None:
    page = Reader(report_bytes(scene).decode())
    policy = next(given["content"] for _, given in page.elements if "http-equiv" in given)
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules == {
        "default-src": ["'none'"],
        "script-src": [sha256(page.text("script", type="module"))],
        "style-src": [sha256(page.text("style"))],
        "img-src": ["blob:", "data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_the_policy_comes_before_anything_that_could_load(scene: SyntheticScene) -> None:
    page = Reader(report_bytes(scene).decode())
    order = [tag if "http-equiv" not in given else "policy" for tag, given in page.elements]
    assert order.index("policy") < min(order.index(tag) for tag in ("style", "script", "noscript"))


def test_nothing_in_the_page_points_outside_it(scene: SyntheticScene) -> None:
    text = report_bytes(scene).decode()
    page = Reader(text)
    for tag, said in page.elements:
        assert not {"src", "href", "action", "srcset", "style", "onerror", "onload"} & said.keys(), (
            tag,
            said,
        )
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
    assert set(re.findall(r"https?:[^\"'\s)]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text


def unpacked(page: Reader) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Index of a report and every array in it, decoded."""
    index = json.loads(zlib.decompress(from_text(page.text("script", id="convscope-index")), wbits=31))
    back: dict[str, NDArray[Any]] = {}
    for name, arrays in index["chunks"].items():
        packed = from_text(page.text("script", **{"data-chunk": name}))
        data = zlib.decompress(packed, wbits=31)
        for array, place in arrays.items():
            shape = tuple(place["shape"])
            count = int(np.prod(shape))
            size = place.get("bytes", count * np.dtype(place["dtype"]).itemsize)
            raw = np.frombuffer(data, np.uint8, size, place["offset"])
            assert place["offset"] % 8 == 0
            coding = place.get("coding")
            if coding == "residuals":
                back[array] = finer(from_residuals(raw.reshape(shape)), place.get("step", 1))
            elif coding == "pixels":
                planes = raw.reshape(shape[2], *shape[:2])
                back[array] = np.moveaxis(from_residuals(planes), 0, 2)
            elif coding == "statistics":
                back[array] = statistics_decoded(np.ascontiguousarray(planes_decoded(raw, "uint32", shape)))
            elif coding == "planes":
                back[array] = planes_decoded(raw, place["dtype"], shape)
            elif coding == "jpeg":
                picture = Image.open(io.BytesIO(data[place["offset"] : place["offset"] + place["bytes"]]))
                back[array] = np.asarray(picture)
            else:
                back[array] = raw.view(place["dtype"]).reshape(shape)
    return index, back


def test_every_array_comes_back_bit_for_bit(scene: SyntheticScene) -> None:
    page = Reader(report_bytes(scene).decode())
    index, back = unpacked(page)
    assert index["step"] == 1
    for name, array in scene.arrays.items():
        kind, _, number = name.partition("/")
        rule = index["derived"].get(number) if kind == "maps" else None
        if rule is None:
            assert back[name].dtype == array.dtype
            # The photo is there to be looked at; all numbers are kept exactly.
            if name == "photo":
                assert np.abs(back[name].astype(int) - array).mean() < 3
                continue
            np.testing.assert_array_equal(back[name], array)
        elif rule["own"]:
            np.testing.assert_array_equal(back[f"own/{number}"], array[rule["own"]])
    for node in scene.manifest["nodes"]:
        if f"strip/{node['id']}" in scene.arrays:
            scales = scene.arrays[f"stats/{node['id']}"][node["strongest"], 7]
            np.testing.assert_array_equal(back[f"strip_scales/{node['id']}"], scales)
    assert json.loads(page.text("script", id="convscope-manifest")) == scene.manifest


@pytest.fixture(scope="module")
def proven() -> Any:
    """A scene with the terms of its peaks, of every rule there is."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)

    class Net(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(8)
            torch.nn.init.uniform_(self.norm.weight, 0.2, 2)
            torch.nn.init.uniform_(self.norm.bias, -1, 1)
            self.narrow = torch.nn.Conv2d(8, 16, 1, bias=False)
            self.head = torch.nn.Linear(24, 5)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.norm(self.conv(x)))
            wide = self.narrow(x)
            x = torch.cat([x * x.sigmoid(), wide - 0.5 * wide.flip(3)], 1)
            return self.head(torch.nn.functional.max_pool2d(x, 3).mean((2, 3)))

    return convscope.make_scene(convscope.trace(Net(), torch.randn(1, 3, 12, 12)))


def test_the_terms_of_the_peaks_come_back_bit_for_bit(proven: Any) -> None:
    index, back = unpacked(Reader(report_bytes(proven).decode()))
    nodes = proven.manifest["nodes"]
    assert {node["proof"]["rule"] for node in nodes} >= {"sum", "pick", "norm", "cells", "function", "joined"}
    for node in nodes:
        number = node["id"]
        assert index["proofs"][str(number)] == node["proof"]
        coded, stats = back[f"proof/{number}"].view(np.uint32), proven.arrays[f"stats/{number}"]
        np.testing.assert_array_equal(
            proof_decoded(coded, node["proof"], stats).view(np.uint32),
            proven.arrays[f"proof/{number}"].view(np.uint32),
        )
        for name, array in proven.arrays.items():
            if name.startswith("proof_") and name.endswith(f"/{number}"):
                np.testing.assert_array_equal(back[name], array)


def test_what_follows_from_the_rest_is_written_as_next_to_nothing(proven: Any) -> None:
    for node in proven.manifest["nodes"]:
        number, entry = node["id"], node["proof"]
        stats = proven.arrays[f"stats/{number}"]
        coded = proof_coded(proven.arrays[f"proof/{number}"], entry, stats)
        for column in expected_columns(entry):
            if entry["rule"] == "function" and node["kind"] != "relu":
                continue
            # Rounding leaves a few last bits, a sign rarely.
            assert np.median(coded[:, column]) < 1000, (node["name"], entry["columns"][column])


def test_a_report_too_large_keeps_fewer_terms_of_sums(proven: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sum(map(len, report_data.pack_scene(proven)[1].values()))
    monkeypatch.setattr(report_data, "MANY_CHARACTERS", whole - 500)
    index, texts = report_data.pack_scene(proven)
    assert sum(map(len, texts.values())) <= whole - 500
    name = f"proof_places/{proven.node('head')['id']}"
    shape = next(chunk[name]["shape"] for chunk in index["chunks"].values() if name in chunk)
    assert shape[1] < proven.arrays[name].shape[1] == 24
    monkeypatch.setattr(report_data, "MANY_CHARACTERS", 1000)
    assert sum(map(len, report_data.pack_scene(proven)[1].values())) == whole


def test_a_scene_with_many_maps_keeps_them_in_seven_bits(
    scene: SyntheticScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_data, "MANY_CELLS", 1000)
    index, back = unpacked(Reader(report_bytes(scene).decode()))
    assert index["step"] == 2
    for name in (name for name in back if name.startswith("maps/") and back[name].shape[-1] > 1):
        assert np.abs(back[name].astype(int) - scene.arrays[name]).max() <= 1
        np.testing.assert_array_equal(back[name] == 128, np.abs(scene.arrays[name].astype(int) - 128) <= 1)


def test_maps_are_left_out_only_where_they_follow_from_others(scene: SyntheticScene) -> None:
    rules = derivable(scene)
    kinds = {scene.manifest["nodes"][number]["kind"] for number in rules}
    assert kinds == {"batch_norm", "relu", "add"}
    number = next(number for number in rules if scene.manifest["nodes"][number]["kind"] == "relu")
    maps = scene.arrays[f"maps/{number}"]
    changed = {**scene.arrays, f"maps/{number}": maps[:, ::-1]}
    own = derivable(SyntheticScene(scene.manifest, changed)).get(number, {"own": None})["own"]
    assert own is None or len(own) > len(rules[number]["own"])


def test_channels_that_do_not_follow_are_kept(scene: SyntheticScene) -> None:
    rules = derivable(scene)
    number = next(n for n in rules if scene.manifest["nodes"][n]["kind"] == "relu" and not rules[n]["own"])
    maps = scene.arrays[f"maps/{number}"].copy()
    maps[2] = 255 - maps[2] // 2
    changed = derivable(SyntheticScene(scene.manifest, {**scene.arrays, f"maps/{number}": maps}))
    assert changed[number]["own"] == [2]


def test_the_same_scene_gives_the_same_bytes(scene: SyntheticScene) -> None:
    assert report_bytes(scene) == report_bytes(scene)


def test_hostile_names_add_no_element_to_the_page(scene: SyntheticScene) -> None:
    hostile = synthetic_scene(width=0.0625, hostile=True)
    plain, attacked = (Reader(report_bytes(each).decode()) for each in (scene, hostile))
    assert [tag for tag, _ in attacked.elements] == [tag for tag, _ in plain.elements]
    assert json.loads(attacked.text("script", id="convscope-manifest"))["model"]["name"] == HOSTILE
    assert attacked.text("title").startswith(f"{HOSTILE}.png · {HOSTILE}")


def test_a_file_name_that_is_not_unicode_does_not_stop_the_report(scene: SyntheticScene) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    manifest = {**scene.manifest, "image": {**scene.manifest["image"], "name": name}}
    page = Reader(report_bytes(SyntheticScene(manifest, scene.arrays)).decode())
    assert page.text("title").startswith("caf\\udce9.png")


def test_numbers_that_are_not_finite_become_null() -> None:
    text = escaped_json({"mean": float("nan"), "max": [np.float32("inf"), 1.5], "count": np.int64(3)})
    assert json.loads(text) == {"mean": None, "max": [None, 1.5], "count": 3}


def test_a_report_is_written_with_ordinary_permissions_and_nothing_beside_it(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    path = write_report(scene, tmp_path / "report.html")
    assert path.read_bytes() == report_bytes(scene)
    assert os.listdir(tmp_path) == ["report.html"]
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_a_folder_in_place_of_the_file_is_named(scene: SyntheticScene, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        write_report(scene, tmp_path)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, r"disk full at .*report\.html, \d+ MB needed"),
        (errno.EROFS, r"cannot write .*report\.html: the disk is read-only"),
    ],
)
def test_a_write_that_fails_leaves_the_old_report_and_no_part(
    scene: SyntheticScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OutputError, match=sentence):
        write_report(scene, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


@given(st.binary(max_size=200))
def test_bytes_written_as_text_come_back_and_hold_no_html(data: bytes) -> None:
    text = to_text(data)
    assert from_text(text) == data
    assert not set(text) & set("<>& \r\n\t\0")
    assert len(text) == 1 + 16 * -(-len(data) // 13)


def test_the_alphabet_has_91_signs_in_order() -> None:
    assert len(ALPHABET) == 91
    assert "".join(sorted(set(ALPHABET))) == ALPHABET
