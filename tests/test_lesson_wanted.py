"""Runs of lessons that are given up on the way: they end early, and leave nothing wrong behind."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from convscope.data import load_image
from convscope.desk.lessons import run_bytes
from convscope.desk.passes import Passes
from convscope.errors import GivenUp
from convscope.lesson import LESSONS, Tools, convolve
from convscope.lesson.photos import Previews
from convscope.lesson.wanted import still_wanted, until
from convscope.page.lesson_jobs import LessonJobs

BOX = (30, 40, 20, 24)
#: Large enough that kernels of ``BOX`` go through Fourier transforms.
PHOTO = load_image(np.random.default_rng(3).integers(0, 256, (200, 180, 3), dtype=np.uint8))


class Impatient:
    """Gives up when it is asked for the last time; counts how often it is, and torch's threads then."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.threads: list[int] = []

    @property
    def asked(self) -> int:
        return len(self.threads)

    def cancelled(self) -> bool:
        self.threads.append(torch.get_num_threads())
        return self.asked == self.last

    def emit(self, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        raise AssertionError("lessons say nothing before their answer")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def tools(preview: bool, previews: Previews | None = None) -> Tools:
    return Tools(picture=lambda source: PHOTO, preview=preview, previews=previews)


@pytest.mark.parametrize("preview", [False, True])
def test_wherever_a_run_is_given_up_it_ends_there_and_the_next_gives_the_same_bytes(preview: bool) -> None:
    expected = run_bytes(LESSONS["cut"], {"box": BOX}, tools(preview))
    kept, last = Previews(), 0
    while True:
        last += 1
        impatient = Impatient(last)
        with until(impatient.cancelled):
            try:
                found = run_bytes(LESSONS["cut"], {"box": BOX}, tools(preview, kept))
            except GivenUp:
                assert impatient.asked == last
                continue
        break
    assert found == expected
    assert last > 20, "too far from one question to the next"


def test_between_two_questions_there_is_no_more_than_one_fourier_transform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are what takes long in a large photo; those of a kernel, across and down, count as one."""
    whole = ("rfft2", "irfft2", "ifft", "irfft", "fft", "rfft")
    done: list[str] = []
    for name in whole:
        plain = getattr(torch.fft, name)

        def counted(*given: Any, plain: Any = plain, name: str = name, **more: Any) -> Any:
            done.append(name)
            return plain(*given, **more)

        monkeypatch.setattr(torch.fft, name, counted)
    between: list[tuple[str, ...]] = []

    def ask() -> bool:
        between.append(tuple(done))
        done.clear()
        return False

    with until(ask):
        LESSONS["cut"].run(tools(False), box=BOX)
        LESSONS["threshold"].run(tools(False), box=BOX)
        convolve(np.ones((2, 300, 300)), np.ones((2, 2, 20, 20)), method="fft")
    seen = {some for some in between if some}
    assert {"rfft2", "irfft2", "fft", "irfft"} <= {name for some in seen for name in some}
    assert all(len(some) <= 2 for some in seen), seen


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(
    ("groups", "more"),
    [
        (1, {}),
        (1, {"stride": (3, 2), "padding": (2, 1)}),
        (2, {"dilation": (2, 3), "padding": 4, "padding_mode": "reflect"}),
        (4, {"stride": 2, "flip": True, "bias": [1.0, -2.0, 0.5, 3.0]}),
    ],
)
def test_in_bands_torchs_own_convolution_gives_the_same_maps_and_can_be_given_up(
    monkeypatch: pytest.MonkeyPatch, one_thread: None, rows: int, groups: int, more: dict[str, Any]
) -> None:
    rng = np.random.default_rng(5)
    image, kernel = rng.normal(size=(4, 19, 23)), rng.normal(size=(4, 4 // groups, 4, 3))

    def maps() -> Any:
        return convolve(image, kernel, groups=groups, method="direct", **more).maps

    before, whole = Impatient(), maps()
    with until(before.cancelled):
        maps()
    monkeypatch.setattr(
        import_module("convscope.lesson.convolve"), "BAND_WORK", rows * whole.shape[2] * kernel.size
    )
    banded = Impatient()
    with until(banded.cancelled):
        np.testing.assert_allclose(maps(), whole, rtol=1e-12, atol=1e-12)
    assert banded.asked - before.asked == -(-whole.shape[1] // rows) - 1


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_can_be_given_up(name: str) -> None:
    impatient = Impatient(1)
    with until(impatient.cancelled), pytest.raises(GivenUp, match="given up"):
        LESSONS[name].run()
    still_wanted()  # outside nobody gives up


def test_an_animation_is_given_up_between_two_frames() -> None:
    jobs, line = LessonJobs(Passes(0)), Impatient(6)
    payload = {"lesson": "steps", "values": {}, "task": "file", "what": "gif", "step": 0}
    with pytest.raises(GivenUp, match="given up"):
        jobs.handle(Passes(0), {**payload, "language": "en", "per_second": 4}, b"", line)
    assert line.asked == 6


def test_a_preview_and_fourier_transforms_work_in_one_thread_and_all_is_as_before(two_threads: None) -> None:
    jobs = LessonJobs(Passes(0))
    small, whole = Impatient(), Impatient()
    photo = {"id": "a", "name": "noise", "width": PHOTO.width, "height": PHOTO.height, "notes": []}
    payload = {"lesson": "cut", "values": {"box": list(BOX)}, "task": "run", "known": [], "photo": photo}
    jobs.handle(Passes(0), {**payload, "preview": True}, PHOTO.pixels.tobytes(), small)
    assert set(small.threads) == {1}
    assert torch.get_num_threads() == 2
    jobs.handle(Passes(0), payload, b"", whole)
    assert set(whole.threads) == {1, 2}
    with pytest.raises(GivenUp, match="given up"):
        jobs.handle(Passes(0), {**payload, "preview": True}, b"", Impatient(3))
    assert torch.get_num_threads() == 2
