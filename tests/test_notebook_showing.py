"""Traces, scenes and pictures show themselves as the last expression of a cell."""

from __future__ import annotations

import html
import io
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convscope
from convscope.exhibits import inline
from convscope.exhibits.report import report_bytes

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def seen() -> Any:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    return convscope.trace(net, np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8))


def framed(text: str) -> str:
    """The page inside the frame."""
    found = re.search(r"srcdoc='([^']*)'></iframe>", text)
    assert found is not None
    return html.unescape(found[1])


def test_a_trace_and_its_scene_show_the_report_itself(seen: Any) -> None:
    scene = convscope.make_scene(seen)
    assert framed(scene._repr_html_()) == report_bytes(scene).decode()
    shown = framed(seen._repr_html_())
    assert [op.name for op in seen.ops] == re.findall(r'"id":\d+,"name":"([^"]+)"', shown)


def test_the_frame_may_run_its_script_and_nothing_else(seen: Any) -> None:
    tag = re.search(r"<iframe [^>]*sandbox=\"([^\"]*)\"", seen._repr_html_())
    assert tag is not None
    assert tag[1].split() == ["allow-scripts", "allow-downloads"]


def test_text_stays_as_it_was(seen: Any) -> None:
    assert repr(seen) == "<Trace of Sequential: 3 ops>"
    assert str(seen).startswith("Sequential: 3 ops, 112 parameters")


def test_a_report_too_large_for_a_notebook_is_not_put_into_it(
    seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "MOST_BYTES", 1000)
    text = seen._repr_html_()
    assert "<iframe" not in text
    assert "more than the 0 MB" in text
    assert "write_report" in text
    assert "Sequential looking at array" in text


def test_what_fails_is_told_in_the_cell_and_raises_nothing(
    seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(scene: Any) -> bytes:
        raise RuntimeError("<b>broken</b>")

    monkeypatch.setattr(inline, "report_bytes", fail)
    text = seen._repr_html_()
    assert "This could not be drawn (RuntimeError: &lt;b&gt;broken&lt;/b&gt;)" in text


def test_names_are_text_and_never_markup() -> None:
    model = {"name": "<script>alert(1)</script>", "random": False}
    manifest = {"model": model, "image": {"name": "' onload='x"}, "predictions": []}
    shown = inline._paragraph(inline.summary(manifest))
    assert "<script" not in shown
    assert "' onload" not in shown


def test_a_picture_shows_itself_small_enough(seen: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    shown = Image.open(io.BytesIO(convscope.load_image(pixels)._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), pixels)
    wide = convscope.load_image(np.zeros((10, 3000, 3), np.uint8))
    assert Image.open(io.BytesIO(wide._repr_png_())).size[0] == 1024


def test_nothing_of_it_is_loaded_before_something_is_shown() -> None:
    code = (
        "import sys, convscope; convscope.trace; "
        "print([m for m in sys.modules if m.startswith(('convscope.exhibits', 'convscope.notebook', "
        "'anywidget'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
