"""Reading: every format, depth and colour by its one rule; every damaged file by one sentence."""

import io
import re
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from inspection_tf import errors, images
from inspection_tf.images import sources

RNG = np.random.default_rng(3)
COLOUR = cv2.GaussianBlur(RNG.integers(0, 256, (37, 51, 3), dtype=np.uint8), (7, 7), 0)
GRAY = np.ascontiguousarray(COLOUR[:, :, 0])
RGBA = np.dstack([COLOUR, np.full(GRAY.shape, 0, np.uint8)])  # wholly transparent
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}}
FORMATS = [*LOSSLESS, "JPEG"]


def encode(picture: np.ndarray | Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(buffer, file_format, **{**LOSSLESS.get(file_format, {}), **options})
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth: int, pixels: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + header + data + png_chunk(b"IEND", b"")


def tiff(array: np.ndarray, *, planar: int = 1, **tags: int) -> bytes:
    """Write an uncompressed TIFF by hand, little-endian, one strip, the tags Pillow cannot set."""
    height, width = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    pixels = array.tobytes()
    bits_at = 8 + len(pixels)
    bits = struct.pack(f"<{samples}H", *[8 * array.itemsize] * samples)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (259, 3, 1, 1),
        (258, 3, samples, bits_at if len(bits) > 4 else int.from_bytes(bits, "little")),
        (262, 3, 1, tags.get("photometric", 1 if samples == 1 else 2)), (273, 4, 1, 8),
        (274, 3, 1, tags.get("orientation", 1)), (277, 3, 1, samples), (278, 4, 1, height),
        (279, 4, 1, len(pixels)), (284, 3, 1, planar),
        *([(338, 3, 1, tags["extra"])] if "extra" in tags else []),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    start = bits_at + len(bits)
    head = b"II*\0" + struct.pack("<I", start)
    return head + pixels + bits + struct.pack("<H", len(entries)) + directory + bytes(4)


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_a_lossless_file_gives_its_pixels_as_rgb(file_format):
    np.testing.assert_array_equal(images.read(encode(COLOUR, file_format)), COLOUR)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_a_gray_file_has_two_axes(file_format):
    np.testing.assert_array_equal(images.read(encode(GRAY, file_format)), GRAY)


def test_a_jpeg_is_close_and_rgb():
    difference = images.read(encode(COLOUR, "JPEG", quality=100)).astype(int) - COLOUR
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_alpha_is_dropped_and_leaves_the_colours(file_format):
    np.testing.assert_array_equal(images.read(encode(RGBA, file_format)), COLOUR)


def test_gray_with_alpha_keeps_its_values():
    picture = Image.merge("LA", [Image.fromarray(GRAY), Image.new("L", GRAY.shape[::-1], 0)])
    np.testing.assert_array_equal(images.to_gray(images.read(encode(picture, "PNG"))), GRAY)
    np.testing.assert_array_equal(images.to_gray(images.read(encode(picture, "TIFF"))), GRAY)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_a_palette_is_expanded_to_its_colours(file_format):
    picture = Image.fromarray(COLOUR).quantize(16)
    expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(images.read(encode(picture, file_format)), expected)


def test_a_transparent_palette_entry_keeps_its_colour():
    picture = Image.fromarray(COLOUR).quantize(16)
    expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(images.read(encode(picture, "PNG", transparency=0)), expected)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_one_bit_becomes_0_and_255(file_format):
    picture = Image.fromarray(GRAY > 128)
    np.testing.assert_array_equal(images.read(encode(picture, file_format)), (GRAY > 128) * 255)


def test_two_bit_gray_is_spread_over_0_to_255():
    # 0b00_01_10_11 -> 0, 1, 2, 3 of 3 -> times 85
    data = png(4, 1, depth=2, pixels=bytes([0, 0b00011011]))
    np.testing.assert_array_equal(images.read(data), [[0, 85, 170, 255]])


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb_by_the_stated_product(file_format):
    # C=51 M=102 Y=0 K=85 -> R = 204*170/255 = 136, G = 153*170/255 = 102, B = 255*170/255 = 170
    picture = Image.new("CMYK", (16, 16), (51, 102, 0, 85))
    rgb = images.read(encode(picture, file_format))
    assert np.abs(rgb.astype(int) - (136, 102, 170)).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_is_kept_to_the_count(suffix):
    gray, colour = GRAY.astype(np.uint16) * 251 + 3, COLOUR.astype(np.uint16) * 251 + 3
    np.testing.assert_array_equal(images.read(cv2.imencode(suffix, gray)[1].tobytes()), gray)
    encoded = cv2.imencode(suffix, colour[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(images.read(encoded), colour)


def test_white_is_bright_in_a_tiff_that_stores_it_as_zero():
    counts = np.array([[0, 1000, 65535]], np.uint16)
    np.testing.assert_array_equal(images.read(tiff(counts, photometric=0)), [[65535, 64535, 0]])
    np.testing.assert_array_equal(images.read(tiff(GRAY, photometric=0)), 255 - GRAY)


def test_unassociated_tiff_alpha_does_not_darken_the_colours():
    np.testing.assert_array_equal(images.read(tiff(RGBA, extra=2)), COLOUR)
    deep = RGBA.astype(np.uint16) * 257
    np.testing.assert_array_equal(images.read(tiff(deep, extra=2)), deep[:, :, :3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_orientation_is_applied_as_pillow_does_or_ignored(file_format, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encode(COLOUR, file_format, exif=exif)
    stored = images.read(encode(COLOUR, file_format))
    tagged = Image.fromarray(stored)
    tagged.getexif()[0x112] = orientation

    assert images.read_header(data).orientation == orientation
    np.testing.assert_array_equal(images.read(data, orientation="ignore"), stored)
    np.testing.assert_array_equal(images.read(data), np.asarray(ImageOps.exif_transpose(tagged)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiffs_of_every_depth_turn_alike(orientation):
    expected = images.read(tiff(GRAY, orientation=orientation))
    deep = images.read(tiff(GRAY.astype(np.uint16), orientation=orientation))
    np.testing.assert_array_equal(deep, expected)
    ignored = images.read(tiff(GRAY, orientation=orientation), orientation="ignore")
    np.testing.assert_array_equal(ignored, GRAY)


def test_damaged_exif_counts_as_none():
    data = encode(GRAY, "JPEG")
    segment = b"Exif\0\0II*\0\xff\xff\xff\xff"
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert images.read(data).shape == (37, 51)


def test_the_first_page_of_a_tiff_is_read_and_the_others_must_be_whole():
    pages = encode(COLOUR, "TIFF", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])])
    np.testing.assert_array_equal(images.read(pages), COLOUR)
    with pytest.raises(errors.ImageError, match="cut off"):
        images.read(pages[: len(pages) * 3 // 4])


def test_an_animated_webp_is_refused():
    frames = encode(COLOUR, "WEBP", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])])
    with pytest.raises(errors.ImageError, match=r"animation\. Save the frame"):
        images.read(frames)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("picture", [GRAY, COLOUR], ids=["gray", "colour"])
def test_a_truncated_file_is_refused_wherever_it_ends(file_format, picture, capfd):
    data = encode(picture, file_format)
    assert images.read(data).shape[:2] == (37, 51)
    for length in [*range(1, len(data), max(1, len(data) // 60)), len(data) - 1]:
        with pytest.raises(errors.ImageError, match="The image must be"):
            images.read(data[:length])
        with pytest.raises(errors.ImageError, match="The image must be"):
            images.read_header(data[:length])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_the_message_about_a_truncated_file_names_file_and_format(file_format, tmp_path):
    path = tmp_path / "part.dat"
    path.write_bytes(encode(GRAY, file_format)[:-1])
    message = f"^{re.escape(str(path))} must be a complete {file_format} file.*truncated.*again.$"
    with pytest.raises(errors.ImageError, match=re.compile(message, re.IGNORECASE)):
        images.read(path)


def test_a_flipped_byte_in_a_png_is_refused_without_noise(capfd):
    data = bytearray(encode(GRAY, "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(errors.ImageError, match="damaged IDAT chunk"):
        images.read(bytes(data))
    assert capfd.readouterr().err == ""


def test_pixel_data_that_does_not_decode_is_refused():
    # Two rows are promised (each a filter byte and 3 pixels); one is there.
    with pytest.raises(errors.ImageError, match="does not decode"):
        images.read(png(3, 2, depth=8, pixels=bytes([0, 1, 2, 3])))


def test_zero_bytes_and_text_are_refused_by_name(tmp_path):
    empty, text = tmp_path / "empty.png", tmp_path / "text.png"
    empty.write_bytes(b"")
    text.write_text("not an image")
    with pytest.raises(errors.ImageError, match=r"empty\.png must hold an image. Got 0 bytes"):
        images.read(empty)
    with pytest.raises(errors.ImageError, match=r"text\.png must be a PNG, JPEG.*b'not an i'"):
        images.read(str(text))


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(errors.ImageError, match=r"gone\.png must be a readable file"):
        images.read(tmp_path / "gone.png")


def test_a_huge_png_is_refused_from_its_header(tmp_path):
    # The header alone decides: what follows is whole, though far too short for 400 million pixels.
    data = png(20000, 20000, depth=8, pixels=bytes(20001))
    (tmp_path / "huge.png").write_bytes(data)
    begin = time.perf_counter()
    with pytest.raises(errors.ImageError, match=r"huge\.png.*20000 x 20000 = 400000000"):
        images.read(tmp_path / "huge.png")
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_limit_of_pixels_is_inclusive(file_format):
    data = encode(GRAY, file_format)
    assert images.read(data, max_pixels=37 * 51).shape[:2] == (37, 51)
    with pytest.raises(errors.ImageError, match=r"at most 1886 pixels\. Got 51 x 37 = 1887"):
        images.read(data, max_pixels=37 * 51 - 1)


def test_the_limit_of_bytes_is_checked_before_reading(tmp_path, monkeypatch):
    (tmp_path / "long.png").write_bytes(encode(GRAY, "PNG"))
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    with pytest.raises(errors.ImageError, match=r"long\.png must have at most 100 bytes"):
        images.read(tmp_path / "long.png")


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_header_tells_format_and_size(file_format):
    header = images.read_header(encode(COLOUR, file_format))
    assert (header.format.upper(), header.width, header.height) == (file_format, 51, 37)


@pytest.mark.parametrize("array", [GRAY.astype(np.float32), GRAY.astype(np.int32)])
def test_float_and_signed_pixels_are_refused(array):
    with pytest.raises(errors.ImageError, match="32 bits"):
        images.read(encode(array, "TIFF"))
    with pytest.raises(errors.ImageError, match=r"must be uint8 or uint16\. Got (float|int)32"):
        images.read(array)


def test_sixteen_bit_planes_that_cv2_would_scramble_are_refused():
    planes = np.moveaxis(COLOUR.astype(np.uint16), 2, 0).reshape(37, 51, 3)
    with pytest.raises(errors.ImageError, match="planar 2"):
        images.read(tiff(planes, planar=2))


def test_arrays_pass_uncopied_and_lose_alpha_and_single_axes():
    assert images.read(GRAY) is GRAY or np.shares_memory(images.read(GRAY), GRAY)
    np.testing.assert_array_equal(images.read(GRAY[:, :, None]), GRAY)
    np.testing.assert_array_equal(images.read(RGBA), COLOUR)
    swapped = GRAY.astype(">u2")
    assert images.read(swapped).dtype == np.uint16
    np.testing.assert_array_equal(images.read(swapped), GRAY)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (2, 4, 4, 3), (4, 4, 5)])
def test_arrays_that_are_no_image_are_refused(shape):
    with pytest.raises(errors.ImageError, match="must be gray"):
        images.read(np.zeros(shape, np.uint8))


def test_importing_pulls_in_neither_training_nor_plotting():
    heavy = "{'tensorflow', 'keras', 'scipy', 'sklearn', 'matplotlib', 'PIL', 'tyro', 'rich'}"
    code = f"import sys, inspection_tf.images; sys.exit(bool({heavy} & set(sys.modules)))"
    root = Path(images.__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
