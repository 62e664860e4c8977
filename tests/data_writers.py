"""Small writers of picture files, good and bad, from the formats' own specifications."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

II, MM = "<", ">"


def photo(width: int = 64, height: int = 48) -> np.ndarray:
    """Smooth colours with a little noise, the same every time."""
    rows, columns = np.mgrid[0:height, 0:width]
    colours = np.stack([rows * 255 / height, columns * 255 / width, (rows + columns) % 256], axis=2)
    noise = np.random.default_rng(0).integers(0, 9, colours.shape)
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def encoded(form: str, pixels: np.ndarray | None = None, **options: object) -> bytes:
    """``pixels`` as a file, by Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(photo() if pixels is None else pixels).save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    size: tuple[int, int],
    rows: Sequence[bytes] | bytes,
    *,
    depth: int = 8,
    colour: int = 2,
    before: bytes = b"",
) -> bytes:
    """PNG of ``size`` (width, height); ``rows`` are packed rows, or the compressed data itself."""
    data = rows if isinstance(rows, bytes) else zlib.compress(b"".join(b"\0" + row for row in rows))
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_bomb(width: int, height: int) -> bytes:
    """Grey PNG of zeros whose data really inflates to the whole size."""
    packer = zlib.compressobj(9)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return png((width, height), first + again * (width * height >> 20), colour=0)


def gif(canvas: tuple[int, int], frames: int = 1) -> bytes:
    """GIF with frames of 1 x 1 pixel, palette black and white."""
    head = b"GIF89a" + struct.pack("<HH", *canvas) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0" + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b";"


def exif(orientation: int) -> bytes:
    """TIFF structure with the orientation tag alone."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def tiff(
    size: tuple[int, int],
    data: bytes,
    *,
    order: str = II,
    bits: Sequence[int] = (8,),
    photometric: int = 1,
    sample_format: int = 1,
    compression: int = 1,
    more: Sequence[tuple[int, Sequence[int]]] = (),
    pages: int = 1,
) -> bytes:
    """TIFF of one strip; ``more`` are further tags with short values; ``pages`` repeats the directory."""
    blob = bytearray(data)
    start = 8

    def shorts(values: Sequence[int]) -> tuple[int, int, bytes]:
        raw = struct.pack(f"{order}{len(values)}H", *values)
        if len(raw) <= 4:
            return 3, len(values), raw.ljust(4, b"\0")
        place = start + len(blob)
        blob.extend(raw + bytes(len(raw) % 2))
        return 3, len(values), struct.pack(f"{order}I", place)

    def long(value: int) -> tuple[int, int, bytes]:
        return 4, 1, struct.pack(f"{order}I", value)

    if len(blob) % 2:
        blob.append(0)
    tags = {
        256: long(size[0]),
        257: long(size[1]),
        258: shorts(bits),
        259: shorts([compression]),
        262: shorts([photometric]),
        273: long(start),
        277: shorts([len(bits)]),
        278: long(size[1]),
        279: long(len(data)),
        339: shorts([sample_format] * len(bits)),
    }
    tags.update({tag: shorts(values) for tag, values in more})
    first = start + len(blob)
    length = 2 + 12 * len(tags) + 4
    directories = b""
    for page in range(pages):
        following = first + (page + 1) * length if page + 1 < pages else 0
        entries = b"".join(
            struct.pack(f"{order}HHI", tag, kind, count) + value
            for tag, (kind, count, value) in sorted(tags.items())
        )
        directories += struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", following)
    mark = b"II*\0" if order == II else b"MM\0*"
    return mark + struct.pack(f"{order}I", first) + bytes(blob) + directories


def bmp(width: int, height: int, data: bytes = b"") -> bytes:
    """BMP header of 24 bits a pixel, with ``data`` after it."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + info + data


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """``jpeg`` whose header claims another size."""
    place = jpeg.index(b"\xff\xc2" if b"\xff\xc2" in jpeg else b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def with_scans(width: int, height: int, extra: int) -> bytes:
    """Progressive JPEG, flat grey, whose last scan is repeated ``extra`` times."""
    flat = np.full((min(height, 2000), min(width, 2000), 3), 90, np.uint8)
    jpeg = with_size(encoded("JPEG", flat, progressive=True), width, height)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * extra + b"\xff\xd9"
