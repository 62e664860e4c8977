"""CIFAR-10 is read from the release's files, wherever they lie, from a JPEG copy, or fetched."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import tarfile
import zipfile
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from convscope.datasets import describe, load_dataset, release
from convscope.errors import DatasetError
from dataset_writers import picture, write, zipped

EACH = 20


def _string(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def release_pickle(pixels: np.ndarray, labels: list[int], names: list[str], title: str) -> bytes:
    """A pickle as Python 2 wrote the release's, instruction by instruction.

    ``pixels`` is ``uint8 (pictures, 3072)``; numpy's ``_reconstruct`` and ``__setstate__`` make the array.
    """
    data = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
        + b"(K\x01M" + struct.pack("<H", len(pixels)) + b"M\x00\x0c\x86"
        + b"cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + struct.pack("<I", len(data)) + data + b"tb"
    )  # fmt: skip
    return (
        b"\x80\x02}q\x01("
        + _string(b"batch_label") + b"q\x02" + _string(title.encode()) + b"q\x03"
        + _string(b"labels") + b"q\x04]q\x0a(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
        + _string(b"data") + b"q\x0b" + array
        + _string(b"filenames") + b"q\x0c]q\x0d(" + b"".join(_string(name.encode()) for name in names) + b"e"
        + b"u."
    )  # fmt: skip


@pytest.fixture(scope="module")
def known():
    """Pixels ``(pictures, 32, 32, 3)``, labels and contents of a small release, by file name."""
    made = {}
    for number, file in enumerate(release.FILES):
        random_numbers = np.random.default_rng(number)
        rows = random_numbers.integers(0, 256, (EACH, 3072), np.uint8)
        labels = random_numbers.integers(0, 10, EACH).tolist()
        names = [f"{release.CLASSES[label]}_s_{number:03}{row:03}.png" for row, label in enumerate(labels)]
        content = release_pickle(rows, labels, names, f"batch {number}")
        made[file] = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels, content
    return made


@pytest.fixture
def small_release(known, monkeypatch):
    """The small release's checksums in place of the real ones."""
    monkeypatch.setattr(
        release,
        "checksums",
        lambda: {name: md5(content).hexdigest() for name, (_, _, content) in known.items()},
    )
    return {f"cifar-10-batches-py/{name}": content for name, (_, _, content) in known.items()}


def archived(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_the_pickles_written_here_are_what_pickle_and_torchvision_read(known, tmp_path):
    import pickle

    for file in ("data_batch_1", "test_batch"):
        pixels, labels, content = known[file]
        by_pickle = pickle.loads(content, encoding="latin1")
        assert by_pickle["labels"] == labels
        np.testing.assert_array_equal(by_pickle["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), pixels)


@pytest.mark.parametrize("form", ["root", "folder", "archive", "folder of the archive"])
def test_the_release_is_read_wherever_it_lies(known, small_release, tmp_path, form):
    if form.endswith("archive"):
        # As in the release, files of no interest lie beside; here the order is turned as well.
        files = {"cifar-10-batches-py/readme.html": b"<p>", **dict(reversed(small_release.items()))}
        place = archived(tmp_path / "cifar-10-python.tar.gz", files)
        root = place if form == "archive" else tmp_path
    else:
        write(tmp_path, small_release)
        root = tmp_path if form == "root" else tmp_path / "cifar-10-batches-py"
    dataset = load_dataset("cifar10", root=root)
    assert dataset.classes == release.CLASSES
    assert dataset.split == "given"
    train = [known[file] for file in release.TRAIN_FILES]
    np.testing.assert_array_equal(dataset.train.images, np.concatenate([pixels for pixels, _, _ in train]))
    assert dataset.train.labels.tolist() == [label for _, labels, _ in train for label in labels]
    np.testing.assert_array_equal(dataset.test.images, known["test_batch"][0])
    assert dataset.train.names[EACH + 3].endswith("_s_001003.png")
    assert dataset.notes == ()


def test_classes_are_taken_in_the_order_they_are_named(known, small_release, tmp_path):
    write(tmp_path, small_release)
    dataset = load_dataset("cifar10:ship,airplane,automobile", root=tmp_path)
    assert dataset.classes == ("ship", "airplane", "automobile")
    wanted = {8: 0, 0: 1, 1: 2}
    pairs = [
        (pixels[row], wanted[label])
        for file in release.TRAIN_FILES
        for pixels, labels, _ in [known[file]]
        for row, label in enumerate(labels)
        if label in wanted
    ]
    assert dataset.train.labels.tolist() == [label for _, label in pairs]
    np.testing.assert_array_equal(dataset.train.images, np.stack([image for image, _ in pairs]))


def test_a_changed_or_missing_file_of_the_release_is_refused(small_release, tmp_path):
    name = "cifar-10-batches-py/data_batch_3"
    changed = {**small_release, name: small_release[name][:-1] + b"x"}
    with pytest.raises(
        DatasetError, match="`data_batch_3` is not the file of the CIFAR-10 release"
    ) as caught:
        load_dataset("cifar10", root=write(tmp_path / "changed", changed))
    assert caught.value.code == "checksum"
    fewer = {key: content for key, content in small_release.items() if key != name}
    with pytest.raises(DatasetError, match="CIFAR-10 is incomplete: there is no `data_batch_3`"):
        load_dataset("cifar10", root=archived(tmp_path / "cifar-10-python.tar.gz", fewer))
    with pytest.raises(DatasetError, match="holds no CIFAR-10"):
        load_dataset("cifar10", root=write(tmp_path / "fewer", fewer))


@pytest.mark.parametrize("cut", [40, 5000, -20])
def test_a_cut_archive_of_the_release_is_refused(small_release, tmp_path, cut):
    archive = archived(tmp_path / "cifar-10-python.tar.gz", small_release)
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(DatasetError, match="is not an archive of CIFAR-10 that can be read") as caught:
        load_dataset("cifar10", root=archive)
    assert "--root" in caught.value.hint


def test_a_pickle_that_is_no_part_of_cifar10_is_refused_and_none_of_it_is_run():
    class Evil:
        def __reduce__(self):
            return print, ("run!",)

    import pickle

    for content in (b"", b"\x80\x02}.", pickle.dumps(Evil()), b"T\xff\xff\xff\xff" + bytes(5000)):
        with pytest.raises(DatasetError, match="`data_batch_1` is not a part of CIFAR-10"):
            release.read_batch(content, "data_batch_1")


def test_the_real_checksums_are_those_of_torchvision():
    known = release.checksums()
    assert set(known) == set(release.FILES)
    assert all(len(digest) == 32 for digest in known.values())


@pytest.mark.parametrize(
    ("files", "message"),
    [(None, "there is no `.*` to read CIFAR-10 from"), ({"notes.txt": b"x"}, "holds no CIFAR-10")],
)
def test_a_root_without_cifar10_says_what_is_looked_for(tmp_path, files, message):
    root = tmp_path / "place"
    if files is not None:
        write(root, files)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset("cifar10", root=root)
    assert caught.value.code == "missing"
    assert "cifar-10-python.tar.gz" in caught.value.hint


def _copy():
    return {
        f"{part}/{name}/{number}.png": picture(number + 10 * place + 1000 * (part == "test"), (32, 32))
        for part in ("train", "test")
        for place, name in enumerate(release.CLASSES)
        for number in range(2)
    }


def test_a_copy_as_pictures_is_read_from_a_folder_a_zip_or_the_folder_of_the_zip(tmp_path):
    folder = load_dataset("cifar10", root=write(tmp_path / "folder", _copy()))
    archive = zipped(tmp_path / "cifar10-copy.zip", _copy())
    for root in (archive, tmp_path):
        other = load_dataset("cifar10", root=root)
        np.testing.assert_array_equal(other.train.images, folder.train.images)
        np.testing.assert_array_equal(other.test.labels, folder.test.labels)
        assert other.classes == release.CLASSES
    assert folder.notes == ()


def test_another_data_set_is_not_taken_for_cifar10(tmp_path):
    others = {name: content for name, content in _copy().items() if "/frog/" not in name}
    with pytest.raises(DatasetError, match="is not CIFAR-10: it has no class folder frog"):
        load_dataset("cifar10", root=write(tmp_path, others))


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A user's cache of our own, and torchvision's download replaced by one that fails."""
    from torchvision.datasets import utils

    asked = []

    def download(url: str, root: str, filename: str, digest: str) -> None:
        asked.append((filename, digest))
        Path(root, filename).write_bytes(b"half of it")
        raise OSError("no route to host")

    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(utils, "download_url", download)
    return asked


def test_a_failed_download_says_what_failed_and_what_to_do_and_leaves_nothing(no_network, tmp_path):
    with pytest.raises(DatasetError, match="could not be downloaded: no route to host") as caught:
        load_dataset("cifar10")
    assert caught.value.code == "download"
    assert "--root" in caught.value.hint
    assert "digits" in caught.value.hint
    assert [name for name, _ in no_network] == ["cifar-10-python.tar.gz"]
    assert list((tmp_path / "cache" / "cifar10").iterdir()) == []


def test_what_was_downloaded_once_is_read_from_the_cache(small_release, no_network, monkeypatch, tmp_path):
    from torchvision.datasets import utils

    monkeypatch.setattr(
        utils,
        "download_url",
        lambda url, root, filename, digest: archived(Path(root, filename), small_release),
    )
    first = load_dataset("cifar10")
    monkeypatch.setattr(utils, "download_url", lambda *words: pytest.fail("asked again"))
    again = load_dataset("cifar10")
    np.testing.assert_array_equal(first.train.images, again.train.images)
    assert [path.name for path in (tmp_path / "cache" / "cifar10").iterdir()] == ["cifar-10-python.tar.gz"]


@pytest.mark.slow
def test_the_shared_jpeg_copy_is_read_whole(shared):
    dataset = load_dataset("cifar10", root=shared / "data" / "cifar10-jpeg.zip")
    assert dataset.classes == release.CLASSES
    assert dataset.train.images.shape == (50_000, 32, 32, 3)
    assert dataset.test.images.shape == (10_000, 32, 32, 3)
    found = describe(dataset)
    assert all(
        (counts == count).all() for counts, count in zip(found.counts.values(), (5000, 1000), strict=True)
    )
    # Close to the release's 0.4914 0.4822 0.4465 and 0.2470 0.2435 0.2616, which lose a little as JPEG.
    np.testing.assert_allclose(found.mean, [0.4913, 0.4821, 0.4465], atol=5e-5)
    np.testing.assert_allclose(found.std, [0.2452, 0.2428, 0.2606], atol=5e-5)
    plain = dataset.train.images.reshape(-1, 3)[::97].astype(np.float64) / 255
    np.testing.assert_allclose(plain.mean(0), found.mean, atol=1e-3)
    np.testing.assert_allclose(plain.std(0), found.std, atol=1e-3)
    assert found.problems == ()
    assert "a JPEG copy of CIFAR-10, which is harder than the release" in dataset.notes[0]
    with zipfile.ZipFile(shared / "data" / "cifar10-jpeg.zip") as archive:
        from PIL import Image

        for index in (0, 12_345, 49_999):
            with Image.open(io.BytesIO(archive.read(dataset.train.names[index]))) as image:
                np.testing.assert_array_equal(dataset.train.images[index], np.asarray(image))


MEMORY = """
import resource, sys
from convscope.datasets import load_dataset
import numpy, PIL.JpegImagePlugin
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_dataset("cifar10", root=sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units there")
def test_cifar10_takes_at_most_250_megabytes(shared):
    import subprocess

    root = shared / "data" / "cifar10-jpeg.zip"
    done = subprocess.run([sys.executable, "-c", MEMORY, root], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 250e6


def test_gzip_of_something_else_named_like_the_release_is_refused(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(gzip.compress(b"hello" * 1000))
    with pytest.raises(DatasetError, match="is not an archive of CIFAR-10 that can be read"):
        load_dataset("cifar10", root=tmp_path)
