"""Files are whole or absent, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from convscope import files
from convscope.errors import OutputError
from convscope.files import atomic_write, check_writable, remove_abandoned


def test_bytes_and_writers_make_the_same_file_in_new_folders(tmp_path: Path) -> None:
    first = atomic_write(tmp_path / "a" / "b" / "one.bin", b"abc")
    second = atomic_write(str(tmp_path / "two.bin"), lambda file: file.write(b"abc"))
    assert first.read_bytes() == second.read_bytes() == b"abc"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "one.bin", "two.bin"]


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, trouble: type[BaseException]
) -> None:
    target = tmp_path / "report.html"
    target.write_bytes(b"old")

    def writer(file: BinaryIO) -> None:
        file.write(b"half")
        raise trouble("stopped")

    with pytest.raises(trouble, match="stopped"):
        atomic_write(target, writer)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["report.html"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_device_is_reported_with_its_size() -> None:
    with pytest.raises(OutputError, match=r"^disk full at /dev/full, 3 MB needed"):
        atomic_write("/dev/full", bytes(2_500_000))


@pytest.mark.parametrize("hide", [False, True], ids=["honest writer", "writer that hides the error"])
def test_a_disk_that_fills_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hide: bool
) -> None:
    class Full(files._Recorder):
        def write(self, data: object, /) -> int:
            self.fault = OSError(errno.ENOSPC, "No space left on device")
            raise self.fault

    monkeypatch.setattr(files, "_Recorder", Full)

    def writer(file: BinaryIO) -> None:
        try:
            file.write(bytes(3_000_000))
        except OSError:
            if hide:
                raise RuntimeError("unexpected pos 576 vs 534") from None
            raise

    with pytest.raises(OutputError, match=r"^disk full at"):
        atomic_write(tmp_path / "scene.zip", writer)
    with pytest.raises(OutputError, match="1 kB needed"):
        atomic_write(tmp_path / "scene.zip", b"few")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("check", [lambda path: atomic_write(path, b""), check_writable])
def test_places_that_cannot_hold_a_file_are_named(tmp_path: Path, check) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_bytes(b"")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for place, message in [
        (tmp_path, "it is a folder"),
        (tmp_path / ("x" * 300 + ".png"), r"x{37}\.\.\.: the name is too long"),
        (tmp_path / "file" / "report.html", "is a file, not a folder"),
        (loop, "its links go in a circle"),
        ("", "'' is not a file name"),
        ("a\0b", "is not a file name"),
    ]:
        with pytest.raises(OutputError, match=message):
            check(place)
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # the super-user may write everywhere
    with pytest.raises(OutputError, match=r"report\.html: it is read-only"):
        check_writable(target)
    with pytest.raises(OutputError, match=r"report\.html: it is read-only"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"


def test_a_read_only_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files, "_Recorder", refuse)
    with pytest.raises(OutputError, match="the disk is read-only"):
        atomic_write(tmp_path / "a.png", b"")


def test_checking_makes_no_folder_and_leaves_no_file(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "report.html")
    check_writable(tmp_path / "sheets", folder=True)
    check_writable(tmp_path, folder=True)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="it is a file, not a folder"):
        check_writable(tmp_path / "file", folder=True)


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.html"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link = tmp_path / "link.html"
    link.symlink_to(real)
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_may_be_read_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        mode = atomic_write(tmp_path / "a.png", b"").stat().st_mode
    finally:
        os.umask(old)
    assert stat.S_IMODE(mode) == 0o640


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from convscope.files import *; atomic_write('/dev/stdout', b'abc')"],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert run.stdout == b"abc"


def test_a_killed_run_leaves_the_old_file_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_bytes(b"old")
    code = (
        "import sys, time\nfrom convscope.files import atomic_write\n"
        "def slow(file):\n    file.write(b'half'); file.flush(); print('ready', flush=True); time.sleep(60)\n"
        "atomic_write(sys.argv[1], slow)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert remove_abandoned(tmp_path) == []
        process.send_signal(signal.SIGKILL)
    assert target.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    check_writable(target)
    assert os.listdir(tmp_path) == ["report.html"]


def test_only_our_own_abandoned_files_are_removed(tmp_path: Path) -> None:
    old = time.time() - 3 * 24 * 3600
    names = [
        ".report.html.00000000-1-0123abcd.convscope-tmp",
        ".report.html.tmp",
        "x.convscope-tmp",
        ".fresh.00000000-1-0123abcd.convscope-tmp",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"")
        if "fresh" not in name:
            os.utime(tmp_path / name, (old, old))
    assert [path.name for path in remove_abandoned(tmp_path)] == names[:1]
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])


def test_a_picture_is_refused_under_a_name_that_is_no_pictures(tmp_path: Path) -> None:
    import convscope
    from convscope.errors import UsageError

    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    for name in ("maps.txt", "maps", "maps.jpg"):
        with pytest.raises(UsageError, match=rf"a picture is written as \.png; got '{name}'"):
            convscope.save_picture(tmp_path / name, image)
    assert convscope.save_picture(tmp_path / "MAPS.PNG", image).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["MAPS.PNG"]
