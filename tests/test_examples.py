"""The gallery scripts run, and their pictures hold what the articles show."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import convscope
from convscope.errors import DownloadError
from convscope.exhibits.sheets import png_bytes

EXAMPLES = Path(__file__).parents[1] / "examples"


def _run(name: str, folder: Path, *words: str) -> tuple[Path, str]:
    """The folder with its pictures, and what the script printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("sys.argv", [name, "--output", str(folder), "--weights", "none", *words])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return folder, printed.getvalue()


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def _grid(pixels: np.ndarray, tile: int) -> tuple[int, int]:
    """Rows and columns of a sheet's tiles, told by the paper between them."""
    paper = pixels[0, 0]
    inked = (pixels != paper).any(axis=2)
    counts = []
    for axis in (1, 0):
        runs = np.diff(np.flatnonzero(np.diff(np.r_[0, inked.sum(axis=axis) > inked.shape[axis] * 0.4, 0])))
        counts.append(int((runs[::2] == tile).sum()))
    return counts[0], counts[1]


def _reaches(pixels: np.ndarray, tile: int) -> tuple[int, int]:
    """Rows and columns of a sheet's tiles, told by how far anything coloured reaches above the legend."""
    coloured = (pixels.max(axis=2) - pixels.min(axis=2)) > 20
    filled = np.flatnonzero(coloured.any(axis=1))
    # The legend is the last run of coloured rows, the tiles before it are a label's height apart.
    legend = filled[np.flatnonzero(np.diff(filled) > 15)[-1] + 1]
    tiles = coloured[: legend - 15]
    rows, columns = (np.flatnonzero(tiles.any(axis=axis)) for axis in (1, 0))
    return round((np.ptp(rows) + 1) / (tile + 15)), round((np.ptp(columns) + 1) / (tile + 3))


@pytest.fixture(scope="module")
def resnet18() -> convscope.Trace:
    return convscope.trace(convscope.load_model("resnet18", weights="none"), "sample:cat")


@pytest.fixture(scope="module")
def article_a(tmp_path_factory) -> tuple[Path, str]:
    return _run("plot_article_a.py", tmp_path_factory.mktemp("a"))


def test_article_a_draws_every_stage_of_resnet18(article_a, resnet18):
    folder, text = article_a
    stages = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
    assert {p.name for p in folder.iterdir()} == {f"{s}.png" for s in [*stages, "conv1-filters", "fc"]}
    assert "[1, 3, 224, 224]" in text
    for line in (
        "conv1      64 maps of 112 x 112",
        "maxpool    64 maps of 56 x 56",
        "layer1     64 maps of 56 x 56",
        "layer2    128 maps of 28 x 28",
        "layer3    256 maps of 14 x 14",
        "layer4    512 maps of 7 x 7",
    ):
        assert line in text
    for answer in resnet18.predictions(5):
        assert f"{answer.index:>4}  {answer.label:<24} {answer.probability:.5f}" in text

    # The grids of the article: 8 x 8 maps of 112 x 112, filters 8 a row, 512 values as 32 x 16.
    assert _grid(_pixels(folder / "conv1.png"), 112) == (8, 8)
    assert _grid(_pixels(folder / "conv1-filters.png"), 56) == (8, 8)
    assert _grid(_pixels(folder / "avgpool.png"), 16) == (32, 16)
    for name in ("layer2", "avgpool"):
        drawn = convscope.draw_maps(resnet18, name, limit=None)
        assert (folder / f"{name}.png").read_bytes() == png_bytes(drawn)
    assert _pixels(folder / "fc.png").shape[1] > 2 * _pixels(folder / "fc.png").shape[0]


def test_article_a_shows_what_the_plain_hook_gets_wrong(article_a, resnet18):
    _, text = article_a
    module = resnet18.model.module
    with torch.no_grad():
        computed = module.bn1(module.conv1(resnet18.inputs))
    low, high = float(computed.min()), float(computed.max())
    assert low < 0
    assert f"as computed     {low:+.3f} to {high:+.3f}" in text
    assert f"by a plain hook +0.000 to {high:+.3f}, the maps after the ReLU" in text
    share = float((computed < 0).float().mean())
    assert f"{share:.1%} of the hook's values" in text


def test_article_a_says_what_skipping_the_normalisation_changes(article_a):
    _, text = article_a
    assert "normalisation skipped: the model was trained on (pixel - mean) / std" in text


@pytest.fixture(scope="module")
def article_e(tmp_path_factory) -> tuple[Path, str]:
    return _run("plot_article_e.py", tmp_path_factory.mktemp("e"), "--all")


def test_article_e_counts_and_draws_every_convolution_of_resnet50(article_e):
    folder, text = article_e
    assert "53 convolutions: 49 and 4 in downsample branches" in text
    assert "16 residual blocks, 8 Sequential containers" in text
    assert "1 linear layer" in text
    names = [f"layer-{number:02d}.png" for number in range(49)]
    assert {p.name for p in folder.iterdir()} == {*names, "conv1-filters.png", "layer-10-chained.png"}
    assert _grid(_pixels(folder / "conv1-filters.png"), 56) == (8, 8)
    # Layers 10, 20, 30 and 40 in the order in which the convolutions of the main path are defined.
    module = torchvision.models.resnet50(weights=None)
    convolutions = [
        name
        for name, child in module.named_modules()
        if isinstance(child, torch.nn.Conv2d) and "downsample" not in name
    ]
    for number in (10, 20, 30, 40):
        channels = module.get_submodule(convolutions[number]).out_channels
        assert f"layer {number} {convolutions[number]}: {channels} maps of" in text
        assert _grid(_pixels(folder / names[number]), 56) == (8, 8)
    greys = _pixels(folder / "conv1-filters.png")
    assert (greys.max(axis=2) - greys.min(axis=2)).max() < 30


def test_article_e_counts_what_chaining_the_convolutions_gets_wrong(article_e):
    folder, text = article_e
    module = torchvision.models.resnet50(weights=None).eval()
    shapes: list[tuple[int, ...]] = []
    chained = value = torch.zeros(1, 3, 224, 224)
    convolutions = [
        m for n, m in module.named_modules() if isinstance(m, torch.nn.Conv2d) and "down" not in n
    ]
    handles = [m.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape))) for m in convolutions]
    with torch.no_grad():
        module(value)
        for handle in handles:
            handle.remove()
        right = 0
        for convolution, shape in zip(convolutions, shapes, strict=True):
            chained = convolution(chained)
            right += tuple(chained.shape) == shape
    assert f"chained: {right} of 49 layers have the right shape, 1 the right values" in text
    assert _grid(_pixels(folder / "layer-10-chained.png"), 112) == (8, 8)


@pytest.fixture(scope="module")
def article_c(tmp_path_factory) -> tuple[Path, str]:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    folder = tmp_path_factory.mktemp("c")
    return _learn("plot_article_c.py", folder, "--data", "digits:0,1,7", "--epochs", "2")


def test_article_c_measures_rightly_and_draws_both_convolutions(article_c):
    folder, text = article_c
    layers = ["conv1", "act1", "conv2", "act2"]
    assert {p.name for p in folder.iterdir()} == {f"{s}.png" for s in [*layers, "conv1-as-the-article"]}
    assert "4,210,090 parameters" in text
    for layer in layers:
        assert f"{layer:<6} 32 maps of 32 x 32" in text
        assert _reaches(_pixels(folder / f"{layer}.png"), 32) == (4, 8)
    shares = [float(share) for share in re.findall(r"^ *([\d.]+) %", text, re.MULTILINE)]
    assert len(shares) == 3
    assert shares[2] > 60


def test_article_d_counts_trains_and_draws(tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    folder, text = _learn("plot_article_d.py", tmp_path / "d", "--epochs", "3")
    assert "3,738,506  [3145728, 1024, 524288, 512, 65536, 128, 1280, 10]" in text
    assert text.count("18,354  [432, 16, 1152, 8, 16384, 32, 320, 10]") == 3
    assert "written as functions: 11 ops, the same scores: yes" in text
    assert _reaches(_pixels(folder / "conv1.png"), 32) == (2, 8)
    assert {"filters.png", "pool1.png", "conv2.png", "pool2.png"} <= {p.name for p in folder.iterdir()}


@pytest.mark.slow
def test_articles_c_and_d_run_on_the_pictures_of_the_articles(shared, tmp_path):
    """Whole but for the number of epochs."""
    root = ("--root", str(shared / "data" / "cifar10-jpeg.zip"), "--epochs", "1")
    _, text = _learn("plot_article_d.py", tmp_path, "--data", "cifar10:airplane,automobile,ship", *root)
    loss = float(re.search(r"epoch   1: loss ([\d.]+)", text)[1])
    # The article says 1.232: ten outputs of which three are right, so it begins near log(10).
    assert 1.1 < loss < 1.4


def _learn(name: str, folder: Path, *words: str) -> tuple[Path, str]:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("sys.argv", [name, "--output", str(folder), "--threads", "1", *words])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return folder, printed.getvalue()


def test_where_trained_weights_cannot_be_had_the_galleries_say_so_and_go_on(capsys, monkeypatch):
    real = convscope.load_model

    def load(name: str, *, weights: str) -> convscope.Model:
        if weights != "none":
            raise DownloadError("the weights could not be fetched: no network")
        return real(name, weights=weights)

    monkeypatch.setattr(convscope, "load_model", load)
    for script in ("plot_article_a.py", "plot_article_e.py"):
        namespace = runpy.run_path(str(EXAMPLES / script))
        assert namespace["load"]("tutorial_tanh", "default").card.random
        assert "going on with random weights" in capsys.readouterr().out
        with pytest.raises(DownloadError, match="could not be fetched"):
            namespace["load"]("tutorial_tanh", "own.pt")


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("plot_*.py")))
def test_a_gallery_script_has_a_title_and_numbered_steps(script):
    text = (EXAMPLES / script).read_text()
    title, rule = text.split('"""')[1].strip().splitlines()[:2]
    assert rule == "=" * len(title)
    steps = [
        line.split("# ")[1][0]
        for line in text.splitlines()
        if line.strip()[:3] in {f"# {i}" for i in range(10)}
    ]
    assert steps == [str(i + 1) for i in range(len(steps))]
    assert len(steps) >= 3
    assert len(text.splitlines()) <= 110
