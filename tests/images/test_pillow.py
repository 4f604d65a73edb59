"""Images of Pillow come out as the files they would be saved in."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from inspection_tf import errors, images

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (37, 51), np.uint8)
COLOUR = RNG.integers(0, 256, (37, 51, 3), np.uint8)
L, RGB = Image.fromarray(GRAY), Image.fromarray(COLOUR)
DEEP = Image.fromarray(GRAY.astype(np.uint16) * 200)


def encode(image, file_format, **options):
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("image", "file_format", "tolerance"),
    [
        (L.convert("1"), "PNG", 0),
        (L, "PNG", 0),
        (L, "JPEG", 0),
        (RGB.quantize(16), "PNG", 0),
        (RGB, "PNG", 0),
        (RGB, "BMP", 0),
        (RGB, "TIFF", 0),
        (RGB.convert("RGBA"), "PNG", 0),
        (RGB.convert("CMYK"), "TIFF", 2),  # within 2 counts, as for files
        (RGB.convert("CMYK"), "JPEG", 2),
        (DEEP, "PNG", 0),
        (DEEP, "TIFF", 0),
    ],
)
def test_an_image_is_read_as_its_file(image, file_format, tolerance):
    data = encode(image, file_format)
    expected = images.read(data)
    for given in (
        (Image.open(io.BytesIO(data)), image)
        if file_format != "JPEG"
        else (Image.open(io.BytesIO(data)),)
    ):
        found = images.read(given)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=tolerance)


@pytest.mark.parametrize("mode", ["LA", "La"])
def test_gray_with_alpha_stays_gray(mode):
    np.testing.assert_array_equal(images.read(L.convert("LA").convert(mode)), GRAY)


def test_palettes_become_their_colours_and_alpha_is_dropped():
    few = RGB.quantize(8)
    colours = np.asarray(few.convert("RGB"))
    np.testing.assert_array_equal(images.read(few), colours)
    np.testing.assert_array_equal(images.read(few.convert("PA")), colours)
    see_through = RGB.convert("RGBA")
    see_through.putalpha(3)
    np.testing.assert_array_equal(images.read(see_through), COLOUR)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_sixteen_bit_stays_sixteen_bit(mode):
    values = GRAY.astype(np.uint16) * 200
    stored = values.astype({"I": "<i4", "I;16B": ">u2"}.get(mode, "<u2")).tobytes()
    image = Image.frombytes(mode, L.size, stored)
    found = images.read(image)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("F", (4, 4)), r"must be of mode 1, L.*Got F\."),
        (Image.new("LAB", (4, 4)), r"Got LAB\."),
        (Image.fromarray(np.full((4, 4), -1, np.int32)), "counts from 0 to 65535. Got -1 to -1"),
        (Image.fromarray(np.full((4, 4), 65536, np.int32)), "Got 65536 to 65536"),
        (Image.new("L", (0, 0)), "not empty"),
        (Image.new("1", (20000, 6000)), "at most 100000000 pixels. Got 20000 x 6000"),
    ],
)
def test_what_is_no_image_of_counts_is_refused(image, said):
    with pytest.raises(errors.ImageError, match=said):
        images.read(image)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_as_it_turns_files(file_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(RGB, file_format, exif=exif)
    for how in ("apply", "ignore"):
        found = images.read(Image.open(io.BytesIO(data)), orientation=how)
        expected = images.read(data, orientation=how)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=3)


def test_a_tiff_that_pillow_has_turned_is_not_turned_again():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(RGB, "TIFF", exif=exif)
    np.testing.assert_array_equal(images.read(Image.open(io.BytesIO(data))), images.read(data))


def test_an_image_that_cannot_be_loaded_is_refused():
    data = encode(RGB, "PNG")
    with pytest.raises(errors.ImageError, match=r"that Pillow can load\. Got: .*truncated"):
        images.read(Image.open(io.BytesIO(data[:-3000])))
    closed = Image.open(io.BytesIO(data))
    closed.close()
    with pytest.raises(errors.ImageError, match=r"that Pillow can load\. Got: .*closed image"):
        images.read(closed)


def test_a_snapshot_is_the_frame_of_that_moment():
    grays = [Image.fromarray(np.full((20, 20), value, np.uint8)) for value in (10, 100, 200)]
    data = encode(grays[0], "GIF", save_all=True, append_images=grays[1:])
    frames = ImageSequence.Iterator(Image.open(io.BytesIO(data)))  # one object, for each frame
    assert [int(images.snapshot(frame).max()) for frame in frames] == [10, 100, 200]


def test_pillow_is_not_imported_to_find_out():
    code = (
        "import sys, numpy; from inspection_tf import images\n"
        "images.read(numpy.zeros((4, 4), numpy.uint8)); sys.exit('PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# As masks

MARKED = np.zeros((32, 32), np.uint8)
MARKED[4:14, 4:14] = 1  # 100 px


def test_a_mask_of_pillow_is_read_as_its_file():
    strokes = np.zeros((32, 32, 4), np.uint8)
    strokes[..., 3] = MARKED * 255  # black strokes on an empty layer
    palette = Image.fromarray(MARKED, "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    whole = [Image.fromarray(MARKED.astype(bool)), Image.fromarray(MARKED * 255)]
    for mask in (*whole, Image.fromarray(MARKED), Image.fromarray(strokes), palette):
        np.testing.assert_array_equal(images.read_mask(mask), MARKED == 1)


def test_entries_of_a_palette_of_pillow_are_levels():
    mask = Image.fromarray(MARKED * 2, "P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    assert np.unique(images.read_stored(mask).levels).tolist() == [0, 2]


def test_a_mask_of_pillow_that_means_something_else_is_refused():
    lossy = Image.open(io.BytesIO(encode(Image.fromarray(MARKED), "JPEG", quality=95)))
    with pytest.raises(errors.ImageError, match="lossy"):
        images.read_mask(lossy)
    with pytest.raises(errors.ImageError, match="mode"):
        images.read_mask(Image.fromarray(MARKED.astype(np.float32)))
