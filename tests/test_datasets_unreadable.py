"""What lies among the pictures of a folder or zip and is none: damaged, locked, linked, lying."""

from __future__ import annotations

import os
import socket
import stat
import zipfile

import numpy as np
import pytest

from convscope.datasets import load_dataset
from convscope.errors import DatasetError
from dataset_writers import pets, picture, pictures_of, png, problems_of, write, zipped


def test_a_corrupt_file_among_many_is_counted_and_named_and_the_rest_is_read(tmp_path):
    files = pets(40)
    files["cat/007.png"] = png(picture(1))[:-30]
    files["dog/011.png"] = b""
    files["dog/012.jpg"] = b"<html>not found</html>"
    dataset = load_dataset(write(tmp_path, files))
    problem = problems_of(dataset)["unreadable"]
    assert problem.count == 3
    assert set(problem.names) == {"cat/007.png", "dog/011.png", "dog/012.jpg"}
    assert problem.message.startswith("3 pictures cannot be read; left out: ")
    found = pictures_of(dataset)
    assert len(found) == len(files) - 3
    for name, (_, image) in found.items():
        np.testing.assert_array_equal(image, files[name])


def test_strict_stops_at_a_corrupt_file(tmp_path):
    write(tmp_path, {**pets(), "cat/007.png": b"\x89PNG\r\n\x1a\n"})
    with pytest.raises(DatasetError, match=r"`cat/007\.png` .* \(asked to be strict\)") as caught:
        load_dataset(tmp_path, strict=True)
    assert caught.value.code == "unreadable"
    assert caught.value.exit_code == 1


def test_files_that_are_no_pictures_are_left_out_and_named(tmp_path):
    strangers = {
        "cat/notes.txt": b"hello",
        "readme.md": b"# pets",
        "cat/.DS_Store": b"x",
        "dog/Thumbs.db": b"x",
    }
    dataset = load_dataset(write(tmp_path, {**pets(), **strangers}))
    problems = problems_of(dataset)
    assert problems["not_a_picture"].names == ("cat/notes.txt",)
    assert problems["outside_classes"].names == ("readme.md",)
    assert len(problems) == 2
    assert len(pictures_of(dataset)) == 30


def test_a_link_to_the_folder_itself_ends(tmp_path):
    write(tmp_path, pets())
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    (tmp_path / "dog" / "up").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    dataset = load_dataset(tmp_path)
    assert len(pictures_of(dataset)) == 30
    problems = problems_of(dataset)
    assert set(problems["linked_twice"].names) == {"cat/again", "dog/up"}
    assert problems["not_a_file"].names == ("loop",)


def test_linked_class_folders_and_pictures_are_followed(tmp_path):
    elsewhere = write(tmp_path / "elsewhere", pets())
    here = write(tmp_path / "here", {"cat/1.png": picture(1), "cat/2.png": picture(2)})
    (here / "dog").symlink_to(elsewhere / "dog")
    (here / "cat" / "linked.png").symlink_to(elsewhere / "cat" / "003.png")
    dataset = load_dataset(here)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.train) + len(dataset.test) == 13
    assert dataset.problems == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_sockets_among_the_pictures_are_skipped(tmp_path, monkeypatch):
    write(tmp_path, pets())
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    monkeypatch.chdir(tmp_path / "dog")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.png")
        dataset = load_dataset(tmp_path)
    problem = problems_of(dataset)["not_a_file"]
    assert set(problem.names) == {"cat/pipe.png", "dog/socket.png"}
    assert len(pictures_of(dataset)) == 30


def test_names_that_are_no_text_are_read_and_shown_escaped(tmp_path):
    write(tmp_path, pets())
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    for number in range(3):
        name = os.fsencode(tmp_path) + b"/caf\xe9/\x1b[2J%d.png" % number
        with open(name, "wb") as file:
            file.write(png(picture(number + 900)) if number else b"")
    dataset = load_dataset(tmp_path)
    assert "caf\\xe9" in dataset.classes
    assert problems_of(dataset)["unreadable"].names == ("caf\\xe9/\\x1b[2J0.png",)
    assert all(text.isprintable() for text in (problem.message for problem in dataset.problems))


def test_a_zip_is_never_unpacked_and_names_that_lead_out_of_it_are_left_out(tmp_path):
    files = dict(pets())
    bad = ["../evil.png", "/etc/evil.png", "cat/../../evil.png", "C:/evil.png", "..\\evil.png"]
    (tmp_path / "in").mkdir()
    archive = zipped(tmp_path / "in" / "pets.zip", {**files, **{name: picture(1) for name in bad}})
    dataset = load_dataset(archive)
    assert set(problems_of(dataset)["unsafe_name"].names) == set(bad)
    assert set(pictures_of(dataset)) == set(files)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "pets.zip"]
    with pytest.raises(DatasetError, match=r"5 names lead out of the archive.* \(asked to be strict\)"):
        load_dataset(archive, strict=True)


def test_links_in_a_zip_are_left_out(tmp_path):
    archive = zipped(tmp_path / "pets.zip", pets())
    with zipfile.ZipFile(archive, "a") as opened:
        link = zipfile.ZipInfo("cat/passwords.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    dataset = load_dataset(archive)
    assert problems_of(dataset)["not_a_file"].names == ("cat/passwords.png",)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    bomb = b"\x89PNG\r\n\x1a\n" + bytes(30 * 2**20)
    archive = zipped(tmp_path / "pets.zip", {**pets(), "cat/bomb.png": bomb}, zipfile.ZIP_DEFLATED)
    assert archive.stat().st_size < 200_000
    dataset = load_dataset(archive)
    problem = problems_of(dataset)["packed_too_tightly"]
    assert problem.message == ("1 entry would unpack to more than 200 times its size; left out: cat/bomb.png")


def test_an_entry_that_lies_about_its_size_is_unreadable(tmp_path):
    archive = zipped(tmp_path / "pets.zip", {**pets(), "cat/lies.png": png(picture(7))})
    data = bytearray(archive.read_bytes())
    at = data.rfind(b"PK\x01\x02", 0, data.rfind(b"cat/lies.png"))
    data[at + 24 : at + 28] = (100 * 2**20).to_bytes(4, "little")
    archive.write_bytes(data)
    dataset = load_dataset(archive)
    names = {name for problem in dataset.problems for name in problem.names}
    assert names == {"cat/lies.png"}
    assert len(pictures_of(dataset)) == 30


def test_an_entry_whose_checksum_is_wrong_is_unreadable(tmp_path):
    grey = np.full((40, 40, 3), 9, np.uint8)
    archive = zipped(tmp_path / "pets.zip", {**pets(20, "cat dog"), "cat/rotten.bmp": b"BM" + grey.tobytes()})
    data = archive.read_bytes()
    at = data.find(b"cat/rotten.bmp") + 2000
    archive.write_bytes(data[:at] + b"\0" + data[at + 1 :])
    problem = problems_of(load_dataset(archive))["unreadable"]
    assert problem.names == ("cat/rotten.bmp",)
    assert "Bad CRC-32" in problem.message


def test_a_locked_entry_is_unreadable(tmp_path):
    archive = zipped(tmp_path / "pets.zip", {**pets(), "cat/secret.png": png(picture(7))})
    data = bytearray(archive.read_bytes())
    local = data.find(b"PK\x03\x04", data.find(b"cat/secret.png") - 30)
    central = data.rfind(b"PK\x01\x02", 0, data.rfind(b"cat/secret.png"))
    data[local + 6] |= 1
    data[central + 8] |= 1
    archive.write_bytes(data)
    problem = problems_of(load_dataset(archive))["unreadable"]
    assert "`cat/secret.png` is locked with a password" in problem.message


@pytest.mark.parametrize("end", [0.3, 0.9, 0.999])
def test_a_cut_zip_is_refused(tmp_path, end):
    archive = zipped(tmp_path / "pets.zip", pets())
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * end)])
    with pytest.raises(
        DatasetError, match=r"`.*pets\.zip` is a damaged or incomplete zip file: its end"
    ) as caught:
        load_dataset(archive)
    assert caught.value.hint == "Get it again."
    with pytest.raises(DatasetError, match="its end is missing"):
        load_dataset("cifar10", root=archive)


def test_when_no_picture_can_be_read_the_first_reason_is_given(tmp_path):
    write(tmp_path, {f"{c}/{n}.png": b"" for c in ("ant", "cat") for n in range(3)})
    with pytest.raises(DatasetError, match=r"none of the 6 pictures .* can be read: `\w+/\d\.png` is empty"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "form", ["./{}/{}", "{}\\{}", "{}//{}", ".\\{}\\{}", "ratio 1:/{}/{}", "pets/./{}/{}"], ids=str
)
def test_names_in_a_zip_may_be_written_in_other_ways(tmp_path, form):
    files = {form.format(*name.split("/")): content for name, content in pets().items()}
    archive = tmp_path / "pets.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            opened.writestr(entry, png(content))
        opened.writestr(zipfile.ZipInfo("./"), b"")
    dataset = load_dataset(archive)
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.problems == ()
    found = {"/".join(name.rsplit("/", 2)[-2:]): image for name, (_, image) in pictures_of(dataset).items()}
    for name, content in pets().items():
        np.testing.assert_array_equal(found[name], content)


def test_where_every_name_is_left_out_the_error_says_how_many_and_why(tmp_path):
    archive = zipped(tmp_path / "pets.zip", {f"../{name}": content for name, content in pets().items()})
    with pytest.raises(DatasetError, match=r"holds no class folders; 30 names lead out of the archive"):
        load_dataset(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_takes_the_place_of_another_is_said(tmp_path):
    archive = zipped(tmp_path / "pets.zip", pets())
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("cat/000.png", png(picture(999)))
        opened.writestr("./dog/000.png", png(picture(998)))
    dataset = load_dataset(archive)
    assert [str(problem) for problem in dataset.problems] == [
        "2 entries have the name of an earlier one, which is not read: cat/000.png, dog/000.png"
    ]
    np.testing.assert_array_equal(pictures_of(dataset)["cat/000.png"][1], picture(999))


def test_a_damaged_entry_packed_by_lzma_is_unreadable(tmp_path):
    files = {name: png(content) for name, content in pets().items()}
    archive = zipped(tmp_path / "pets.zip", files, zipfile.ZIP_LZMA)
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        entry = opened.getinfo("cat/000.png")
    at = entry.header_offset + 30 + len(entry.filename)
    data[at : at + entry.compress_size] = data[at : at + 12] + b"\xff" * (entry.compress_size - 12)
    archive.write_bytes(data)
    assert "cat/000.png" in problems_of(load_dataset(archive))["unreadable"].names


def test_a_zip_that_is_locked_says_what_to_do(tmp_path):
    archive = zipped(tmp_path / "pets.zip", pets())
    data = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(mark, place + 4)
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match=r"none of the 30 pictures .* is locked with a password") as caught:
        load_dataset(archive)
    assert "Unpack the zip file" in caught.value.hint
