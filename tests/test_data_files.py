"""Paths that lead to something else than a picture file, and names that nobody should print raw."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convscope.data import Limits, load_image, printable
from convscope.errors import ImageError
from data_writers import II, encoded, photo, tiff

pytestmark = pytest.mark.timeout(20)


def refused(path: Path | str, match: str) -> ImageError:
    with pytest.raises(ImageError, match=match) as caught:
        load_image(path)
    return caught.value


def test_missing_file_is_named_with_its_nearest_neighbours(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(encoded("JPEG"))
    error = refused(tmp_path / "holidy.jpg", "there is no file `.*holidy.jpg`")
    assert error.code == "missing"
    assert error.hint == "Did you mean holiday.jpg?"


def test_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere" / "cat.jpg", "There is no folder `.*nowhere`")
    assert error.code == "missing"


def test_name_of_a_sample_gets_the_hint_to_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("", "no picture is named").code == "missing"
    assert refused("cat", "there is no file `cat`").hint == "Did you mean sample:cat?"


def test_web_address_is_not_fetched() -> None:
    error = refused("https://example.org/cat.jpg", "there is no file")
    assert error.code == "missing"
    assert error.hint.startswith("Addresses are not fetched")


def test_dangling_link_names_its_target(tmp_path: Path) -> None:
    link = tmp_path / "cat.jpg"
    link.symlink_to("gone.jpg")
    assert refused(link, r"is a link to `gone\.jpg`, which does not exist").code == "missing"


def test_loop_of_links_is_unreadable_and_the_reason_is_kept(tmp_path: Path) -> None:
    link = tmp_path / "loop.jpg"
    link.symlink_to("loop.jpg")
    assert refused(link, os.strerror(errno.ELOOP)).code == "unreadable"


def test_folder_is_not_a_file(tmp_path: Path) -> None:
    error = refused(tmp_path, "is a folder, expected a picture file")
    assert (error.code, error.hint) == ("not_a_file", "Name one picture inside it.")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipe_that_nobody_writes_to_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "cat.jpg"
    os.mkfifo(pipe)
    assert refused(pipe, "is a pipe, expected a picture file").code == "not_a_file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_file_swapped_for_a_pipe_between_look_and_open_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, file = tmp_path / "pipe.jpg", tmp_path / "cat.jpg"
    os.mkfifo(pipe)
    file.write_bytes(encoded("JPEG"))
    before, real = os.stat(file), os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: before if path == pipe else real(path, **more))
    assert refused(pipe, "is a pipe").code == "not_a_file"


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="no /dev/zero on this system")
def test_link_to_an_endless_device_is_not_a_file(tmp_path: Path) -> None:
    link = tmp_path / "cat.png"
    link.symlink_to("/dev/zero")
    assert refused(link, "is a device, expected a picture file").code == "not_a_file"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets on this system")
def test_socket_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("cat.jpg")
        assert refused("cat.jpg", "is a socket").code == "not_a_file"


def test_file_without_permission_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret.png"
    file.write_bytes(encoded("PNG"))

    def deny(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(os, "open", deny)  # the superuser may read everything, so the refusal is staged
    assert refused(file, r"secret\.png` cannot be read: Permission denied").code == "unreadable"


def test_null_character_in_a_path_is_missing() -> None:
    assert refused("cat\0.png", r"there is no file `cat\\x00\.png`").code == "missing"


def test_overlong_path_is_unreadable() -> None:
    assert refused("a" * 5000, os.strerror(errno.ENAMETOOLONG)).code == "unreadable"


def test_empty_file_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "empty.jpg"
    file.touch()
    assert refused(file, "is empty: the file has 0 bytes").code == "empty"


def test_large_file_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    with file.open("wb") as stream:
        stream.truncate(50 * 2**30)
    assert refused(file, r"has 53,687 million bytes, but at most 33\.6 million").code == "too_many_bytes"


def test_growing_file_is_read_up_to_the_limit_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "growing.png"
    file.write_bytes(bytes(5000))
    small = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 10, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: small)
    with pytest.raises(ImageError, match="million bytes") as caught:
        load_image(file, limits=Limits(file_bytes=1000))
    assert caught.value.code == "too_many_bytes"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"two\nlines.png", "two\\nlines.png"),
        (b"<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        (b"caf\xe9.png", "caf\\xe9.png"),
        ("Zürich \u732b.png".encode(), "Zürich \u732b.png"),
        ("evil\u202egnp.exe".encode(), "evil\\u202egnp.exe"),
        (b"\x1b[31mred.png", "\\x1b[31mred.png"),
        (b"--help", "--help"),
        (b" ", " "),
    ],
)
def test_odd_file_name_is_read_and_shown_printable(tmp_path: Path, name: bytes, shown: str) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    try:
        Path(os.fsdecode(path)).write_bytes(encoded("PNG"))
    except (OSError, UnicodeError):
        pytest.skip(f"this file system takes no name like {name!r}")
    for form in (os.fsdecode(path), Path(os.fsdecode(path))):
        picture = load_image(form)
        assert picture.name == shown
        assert picture.name.isprintable()
        picture.name.encode("utf-8")
    Path(os.fsdecode(path)).write_bytes(b"nothing")
    with pytest.raises(ImageError, match="is not a picture") as caught:
        load_image(os.fsdecode(path))
    assert shown in caught.value.message
    assert caught.value.message.isprintable()


def test_printable_leaves_nothing_unprintable_of_any_byte() -> None:
    shown = printable(bytes(range(1, 256)))
    assert shown.isprintable()
    assert shown.isascii()


def test_picture_says_where_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(encoded("PNG"))
    from_path, from_text = load_image(file), load_image(str(file), name="mine")
    from_bytes = load_image(bytearray(file.read_bytes()))
    assert (from_path.name, from_path.origin, from_path.notes) == ("cat.png", "file", ())
    assert (from_text.name, from_text.origin) == ("mine", "file")
    assert (from_bytes.name, from_bytes.origin) == ("image", "bytes")
    for picture in (from_path, from_text, from_bytes, load_image(memoryview(file.read_bytes()))):
        np.testing.assert_array_equal(picture.pixels, photo())
        assert picture.pixels.flags.writeable
        assert picture.pixels.flags.c_contiguous
    assert load_image(from_path) is from_path


def test_what_libtiff_prints_does_not_reach_the_screen(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="descriptor 2 is looked at as on Unix")
    damaged = bytearray(encoded("TIFF", compression="tiff_lzw"))
    damaged[60:90] = b"\xff" * 30
    file = tmp_path / "noisy.tif"
    file.write_bytes(damaged)
    plain = "import sys\nfrom PIL import Image\ntry: Image.open(sys.argv[1]).load()\nexcept OSError: pass"
    ours = (
        "import sys\nfrom convscope.data import load_image\nfrom convscope.errors import ImageError\n"
        "try: load_image(sys.argv[1])\nexcept ImageError as error: print(error.code)\n"
        "print('still here', file=sys.stderr)"
    )

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert run(plain).stderr, "the file is meant to make libtiff print"
    result = run(ours)
    assert result.stderr == "still here\n"
    assert result.stdout in ("damaged\n", "")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not list a process's descriptors")
    good, bad = tmp_path / "good.tif", tmp_path / "bad.tif"
    good.write_bytes(tiff((4, 4), bytes(16), order=II))
    bad.write_bytes(b"II*\0junk")
    before = len(list(folder.iterdir()))
    for _ in range(20):
        load_image(good)
        refused(bad, "TIFF")
        refused(tmp_path, "folder")
    assert len(list(folder.iterdir())) == before


def test_reading_a_picture_imports_neither_torch_nor_scikit_image() -> None:
    code = (
        "import sys, convscope.data\n"
        "heavy = {'numpy', 'PIL', 'torch', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "if 'cat' in convscope.data.samples(): convscope.data.load_image('sample:cat')\n"
        "heavy = {'torch', 'skimage', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
