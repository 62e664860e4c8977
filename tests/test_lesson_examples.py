"""The gallery of lessons runs, writes its pictures and prints what is true."""

from __future__ import annotations

import contextlib
import io
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.lesson import LESSONS

EXAMPLES = Path(__file__).parents[1] / "examples"

# What each prints, and the pictures it writes.
GALLERY: dict[str, tuple[list[str], list[str]]] = {
    "steps": (
        ["cell (0, 0): 0 + 0 + -9 + 0 + 0 + 0 + 0 + 0 + -9 = -18", "{'stride': 2}                    (2, 2)"],
        ["colour.gif", "colour.png", "depthwise.gif", "depthwise.png", "numbers.gif", "numbers.png"],
    ),
    "flip": (
        [
            "turning the kernel by hand gives the convolution: True",
            "convolution: exchanging image and kernel changes it by at most 0",
            "exchanged and turned, it is the same: True",
        ],
        ["numbers.png", "symmetric.png"],
    ),
    "detectors": (
        ["sobel-x      sum +0.00", "box          sum +1.00", "normalised as the network's input is"],
        ["all.png", "edge.png", "emboss.png", "laplacian.png", "learned.png", "typed.png"],
    ),
    "cut": (
        [
            "normalised  brightest at [168, 188], finds the cut: True",
            "raw         brightest at [",
            "with a white patch at the corner, raw         is brightest at [0, 0]",
            "with a white patch at the corner, normalised  is brightest at [168, 188]",
            "half as bright: normalised 1.0000 at [168, 188]",
        ],
        ["cut.png", "patch.png"],
    ),
    "stride": (
        [
            "stride  1: 256 x 329  226,394,112 multiply-adds",
            "falls by 3.99 3.98 3.95 4.00",
            "box moved by 8: the peak is found at strides [1, 2, 4, 8, 16]",
        ],
        ["stride.png"],
    ),
    "threshold": (
        ["bias  +500: 100.0% of the cells are left", "bias  -250:  81.5%", "bias -1000:  19.9%"],
        ["bias+500.png", "bias-1000.png", "bias-250.png", "edges.png"],
    ),
    "pooling": (["max      3/2: 254 x 254", "l2       7/4: 126 x 126"], ["pooling.png", "signed.png"]),
    "reach": (
        [
            "tried: rows 0 to 2, columns 0 to 2 of the last map change",
            "5 poolings of 3/2: one cell sees [63, 63]",
        ],
        ["reach.png"],
    ),
    "shift": (["moved by 0: maximum   0.0%, average   0.0%"], ["moved-4.png", "shift.png"]),
    "grid": (
        ["37,636 values among them: True; 100 values among them: True"],
        ["grid-average.png", "grid-max.png"],
    ),
    "counting": (
        [
            "3,738,506 parameters",
            "18,354 parameters",
            "tutorial_mlp: [3145728, 1024, 524288, 512, 65536, 128, 1280, 10]",
        ],
        ["counting.png", "kernel-7.png"],
    ),
    "softmax": (
        ["softmax of 10, 6, 4: 0.9796 0.0179 0.0024", "a wrong score of 16: slopes 1.000000 and 0.000000"],
        ["right.png", "wrong.png"],
    ),
    "transposed": (
        [
            "laying the kernel by hand gives the same: True",
            "kernel 3 x 3, stride 2: an even input becomes 1 to 4",
            "kernel 4 x 4, stride 2: an even input becomes 4 to 4",
        ],
        ["even.png", "transposed.gif", "transposed.png"],
    ),
    "dilated": (
        [
            "zeros put between the kernel's cells by hand give the same: True",
            "one cell reaches 15 columns through dilations (1, 2, 4)",
            "one cell reaches 7 columns through dilations (1, 1, 1)",
        ],
        ["dilated-2.png", "dilated-3.png", "dilated.gif"],
    ),
    "depthwise": (
        [
            "each map is its own channel's: True",
            "64 to 128 channels: 73,728 weights, or 8,768 in two steps: 8.4 times fewer",
        ],
        ["depthwise.gif", "depthwise.png"],
    ),
    "pointwise": (
        [
            "Pillow's grey differs by less than one of 255 shades: True",
            "the same map: True, 39 weights for 108",
        ],
        ["grey.png", "pointwise.gif", "pointwise.png"],
    ),
}


def test_every_lesson_has_a_gallery_script_and_every_script_is_tested():
    scripts = {path.stem.removeprefix("plot_lesson_") for path in EXAMPLES.glob("plot_lesson_*.py")}
    assert scripts == set(GALLERY) == set(LESSONS)


@pytest.mark.parametrize("name", GALLERY)
def test_a_gallery_script_stays_short(name):
    assert len((EXAMPLES / f"plot_lesson_{name}.py").read_text().splitlines()) <= 75


@pytest.mark.parametrize("name", GALLERY)
def test_the_gallery_script_of_a_lesson_writes_its_pictures_and_prints_what_is_true(name, tmp_path):
    printed = io.StringIO()
    script = EXAMPLES / f"plot_lesson_{name}.py"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("sys.argv", [str(script), "--output", str(tmp_path)])
        runpy.run_path(str(script), run_name="__main__")
    lines, pictures = GALLERY[name]
    for line in lines:
        assert line in printed.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(pictures)
    for picture in pictures:
        with Image.open(tmp_path / picture) as image:
            assert np.asarray(image.convert("RGB")).std() > 5
            assert image.width > 400
