"""A film keeps what the network was, leaves the network alone, and outlives whatever ends its making."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import convscope
from convscope.errors import FilmError, OutputError, UsageError
from convscope.filming import next_due, open_film


def network() -> nn.Sequential:
    """Small, with everything that a pass in the wrong mode would change: dropout and running statistics."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 4),
    )


def trained(
    net: nn.Module, steps: int, film: Any = None, seen: dict[int, Any] | None = None
) -> dict[str, Tensor]:
    """A plain loop; ``seen`` gets a copy of the whole network at every step."""
    torch.manual_seed(11)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps + 1):
        if step:
            images, labels = torch.randn(8, 3, 16, 16), torch.randint(0, 4, (8,))
            optimizer.zero_grad()
            functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        if seen is not None:
            seen[step] = copy.deepcopy(net)
        if film is not None:
            film.snap(step, loss=float(step))
    return net.state_dict()


IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, nn.Module]]:
    folder, seen = tmp_path_factory.mktemp("own"), {}
    net = network()
    with convscope.film(net, IMAGES, folder, every=10, labels=[0, 3, 1], classes=list("abcd")) as film:
        trained(net, 37, film, seen)
    return folder, seen


def test_more_of_the_early_steps_are_kept_then_every_epoch_and_the_last(made: Any) -> None:
    assert open_film(made[0]).steps == (0, 1, 2, 3, 4, 6, 8, 10, 20, 30, 37)


def test_the_kept_kernels_are_the_weights_of_that_step_to_the_bit(made: Any) -> None:
    folder, seen = made
    for frame in open_film(folder):
        net = seen[frame.step]
        for layer, place in enumerate((0, 4)):
            kept = frame.kernels[layer]
            assert kept is not None
            assert torch.equal(torch.from_numpy(kept.copy()), net[place].weight.detach()[:, :8])


def test_the_kept_maps_and_answers_are_those_of_a_plain_pass_in_evaluation_mode(made: Any) -> None:
    folder, seen = made
    for frame in open_film(folder):
        net = seen[frame.step].eval()
        with torch.no_grad():
            first = net[0](IMAGES)
            second = net[:5](IMAGES)
            scores = net(IMAGES)
        for layer, true in enumerate((first, second)):
            half = frame.scales[layer][:, :, None, None] / 2 + 1e-6
            assert (np.abs(frame.values(layer) - true.numpy()) <= half).all()
            assert np.allclose(frame.scales[layer] * 127, true.abs().amax((2, 3)).numpy(), rtol=1e-6)
        assert np.allclose(frame.probabilities, scores.softmax(1).numpy(), atol=1e-6)
        assert frame.numbers == {"loss": float(frame.step)}


def test_large_maps_are_means_of_blocks(tmp_path: Path) -> None:
    net = nn.Conv2d(1, 2, 1)
    picture = torch.randn(1, 1, 112, 112)
    convscope.film(net, picture, tmp_path).snap(0)
    blocks = net(picture).detach().reshape(2, 56, 2, 56, 2).mean((2, 4))
    frame = open_film(tmp_path)[0]
    assert np.allclose(frame.values(0)[0], blocks.numpy(), atol=float(frame.scales[0].max()) / 2 + 1e-6)


def test_a_training_ends_with_the_same_weights_with_a_film_as_without(tmp_path: Path) -> None:
    plain = trained(network(), 12)
    net = network()
    net[5].eval()  # A part in a mode of its own must stay in it.
    other = network()
    other[5].eval()
    alone = trained(other, 12)
    modes = [part.training for part in net.modules()]
    with convscope.film(net, IMAGES, tmp_path) as film:
        filmed = trained(net, 12, film)
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(filmed[name], alone[name]) for name in alone)
    assert not all(torch.equal(filmed[name], plain[name]) for name in plain), "the mode of the part counted"


def test_a_film_that_is_gone_on_with_has_each_step_once_and_as_if_never_broken_off(
    made: Any, tmp_path: Path
) -> None:
    net = network()
    with convscope.film(net, IMAGES, tmp_path, every=10, labels=[0, 3, 1], classes=list("abcd")) as film:
        trained(net, 33, film)
    # Its training goes on from step 20, where it was saved: 30 and 33 are made anew.
    seen: dict[int, Any] = made[1]
    with convscope.film(
        seen[21], IMAGES, tmp_path, every=10, labels=[0, 3, 1], classes=list("abcd"), resume=True
    ) as film:
        for step in range(21, 38):
            film._model = convscope.load_model(seen[step])
            film.snap(step, loss=float(step))
    again, whole = open_film(tmp_path), open_film(made[0])
    assert again.steps == whole.steps
    for one, other in zip(again, whole, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))


def test_a_film_of_another_network_is_not_gone_on_with(made: Any) -> None:
    with pytest.raises(FilmError, match="is of another network"):
        convscope.film(nn.Conv2d(3, 2, 3), IMAGES, made[0], resume=True)
    assert open_film(made[0]).steps[-1] == 37
    with pytest.raises(FilmError, match="holds a film already"):
        convscope.film(network(), IMAGES, made[0])


def test_a_process_that_is_killed_leaves_whole_frames(tmp_path: Path) -> None:
    code = (
        "import sys, torch, convscope\n"
        "net = torch.nn.Conv2d(3, 32, 7)\n"
        "film = convscope.film(net, torch.ones(4, 3, 64, 64), sys.argv[1])\n"
        "for step in range(10**6): film.snap(step, force=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    folder = tmp_path / "film"
    until = time.monotonic() + 60
    while len(list(folder.glob("step-*.npz"))) < 5:
        assert time.monotonic() < until, "no frames come"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    strip = open_film(tmp_path)
    assert len(strip) >= 5
    assert strip.steps == tuple(range(len(strip)))
    assert [frame.step for frame in strip] == list(strip.steps)
    net = nn.Conv2d(3, 32, 7)
    with convscope.film(net, torch.ones(4, 3, 64, 64), tmp_path, resume=True) as film:
        film.snap(3)
    assert open_film(tmp_path).steps == (0, 1, 2, 3)
    assert not [p for p in folder.iterdir() if p.name.endswith("convscope-tmp")]


def test_frames_that_cannot_be_written_leave_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nn.Conv2d(3, 2, 3)
    film = convscope.film(net, IMAGES, tmp_path)
    film.snap(0)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.warns(UserWarning, match="a frame of the film is left out: disk full"):
        assert not film.snap(1)
    assert not film.snap(2), "and that is told once"
    strict = convscope.film(net, IMAGES, tmp_path, resume=True, strict=True)
    with pytest.raises(OutputError, match="disk full"):
        strict.snap(1)
    monkeypatch.undo()
    assert open_film(tmp_path).steps == (0,)
    assert film.snap(3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: np.savez(path, kernels_0=np.zeros(3)), "cannot be read"),
        (lambda path: np.savez(path, maps_0=np.array([{}], dtype=object)), "cannot be read"),
    ],
)
def test_a_damaged_frame_is_said_to_be_damaged(tmp_path: Path, change: Any, match: str) -> None:
    film = convscope.film(nn.Conv2d(3, 2, 3), IMAGES, tmp_path)
    film.snap(0)
    film.snap(1)
    change(tmp_path / "film" / "step-000000001.npz")
    strip = open_film(tmp_path)
    assert strip[0].step == 0
    with pytest.raises(FilmError, match=match):
        _ = strip[1]


def test_what_is_no_film_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="holds no film"):
        open_film(tmp_path)
    (tmp_path / "film").mkdir()
    for text in ("{}", "[1]", "not json", '{"schema": "convscope.film/9"}'):
        (tmp_path / "film" / "film.json").write_text(text)
        with pytest.raises(FilmError, match=r"should be of schema|cannot be read"):
            open_film(tmp_path)
    (tmp_path / "film" / "film.json").write_text('{"schema": "convscope.film/1"}')
    (tmp_path / "film" / "step-000000001.npz").write_bytes(b"")
    with pytest.raises(FilmError, match="damaged"):
        open_film(tmp_path)


def test_arguments_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    net = nn.Conv2d(3, 2, 3)
    with pytest.raises(UsageError, match="`every` must be a whole number, at least 1"):
        convscope.film(net, IMAGES, tmp_path, every=0)
    with pytest.raises(UsageError, match="`labels` must be one for each of the 3 images"):
        convscope.film(net, IMAGES, tmp_path, labels=[1])
    with pytest.raises(FilmError, match="at least one image"):
        convscope.film(net, [], tmp_path)
    with pytest.raises(FilmError, match="must be a batch of shape"):
        convscope.film(net, torch.zeros(0, 3, 8, 8), tmp_path)
    with pytest.raises(UsageError, match="`step` must be a whole number, at least 0"):
        convscope.film(net, IMAGES, tmp_path).snap(-1)
    with pytest.raises(FilmError, match="no convolution over pictures"):
        convscope.film(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), IMAGES, tmp_path).snap(0)
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_the_last_state_is_kept_only_while_it_is_that_of_the_last_step_told(tmp_path: Path) -> None:
    for name, after in (("told", 0), ("untold", 2)):
        net = nn.Conv2d(3, 2, 3)
        with convscope.film(net, IMAGES, tmp_path / name, every=4) as film:
            for step in range(6):
                film.snap(step)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            for _ in range(after):
                net(IMAGES).sum().backward()
                optimizer.step()
        assert open_film(tmp_path / name).steps[-1] == (5 if name == "told" else 4)


def test_a_wide_and_deep_network_is_kept_within_bounds(tmp_path: Path) -> None:
    net = convscope.load_model("resnet18", weights="none")
    film = convscope.film(net, torch.randn(8, 3, 128, 128), tmp_path)
    film.snap(0)
    frame = open_film(tmp_path)[0]
    assert sum(maps.nbytes for maps in frame.maps) <= 2 << 20
    assert all(k is not None and k.shape[0] <= 64 and k.shape[1] <= 8 for k in frame.kernels)
    assert np.array_equal(frame.kernels[0], net.module.conv1.weight.detach().numpy())
    assert (tmp_path / "film" / "step-000000000.npz").stat().st_size < 4e6


def test_due_steps_never_repeat_and_end_at_whole_epochs() -> None:
    for every in (1, 2, 7, 45, 391, None):
        steps, step = [], -1
        while step < 3000:
            step = next_due(step, every)
            steps.append(step)
        assert steps == sorted(set(steps))
        assert steps[:2] == [0, 1]
        assert every is None or all(s % every == 0 for s in steps if s >= every)
        assert every is None or every in steps


def test_pictures_are_prepared_as_belongs_to_the_model(tmp_path: Path) -> None:
    model = convscope.load_model("tutorial_tanh", weights="none")
    with convscope.film(model, ["sample:cat", "sample:coffee"], tmp_path) as film:
        film.snap(0)
    strip = open_film(tmp_path)
    assert [image["name"] for image in strip.manifest["images"]] == ["cat", "coffee"]
    for number, name in enumerate(("sample:cat", "sample:coffee")):
        answer = convscope.trace(model, name).logits.softmax(1)[0]
        assert np.allclose(strip[0].probabilities[number], answer.detach().numpy(), atol=1e-6)
        steps = model.card.preprocessing
        assert np.array_equal(strip.pictures[number], steps.cut(convscope.load_image(name).pixels))


def test_the_manifest_says_what_was_kept(made: Any) -> None:
    manifest = json.loads((made[0] / "film" / "film.json").read_text())
    assert manifest["schema"] == "convscope.film/1"
    assert [(layer["name"], layer["maps"]) for layer in manifest["layers"]] == [
        ("0", [6, 12, 12]),
        ("4", [8, 4, 4]),
    ]
    assert manifest["images"][1] == {"name": "image 2", "label": 3}
    assert manifest["outputs"] == 4
