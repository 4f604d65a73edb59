"""Files that decoders read in several ways: animations, gray with alpha, TIFFs of every kind."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inspection_tf import errors, images

RNG = np.random.default_rng(5)
FRAMES = [RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8) for _ in range(3)]
GRAY = FRAMES[0][..., 0]
SMOOTH = np.kron(GRAY[:4, :4], np.ones((8, 8), np.uint8))


def encode(picture, file_format, **options):
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def animated(convert, *, is_outside):
    """Write frames; the still picture is the first of them, or stands outside of the animation."""
    first, *others = (convert(Image.fromarray(frame)) for frame in FRAMES)
    return first, encode(
        first, "PNG", save_all=True, append_images=others, default_image=is_outside, duration=40
    )


class TestAnimatedPng:
    @pytest.mark.parametrize("is_outside", [False, True], ids=["first frame", "outside"])
    @pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P"])
    def test_the_still_picture_is_read(self, mode, is_outside):
        still, data = animated(lambda frame: frame.convert(mode), is_outside=is_outside)
        assert b"acTL" in data
        expected = np.asarray(still.convert("L" if mode in ("L", "LA") else "RGB"))
        np.testing.assert_array_equal(images.read(data), expected)

    @pytest.mark.parametrize("is_outside", [False, True])
    def test_so_it_is_in_16_bit(self, is_outside):
        first, second = (Image.fromarray(f[..., 0].astype(np.uint16) * 251) for f in FRAMES[:2])
        data = encode(first, "PNG", save_all=True, append_images=[second], default_image=is_outside)
        np.testing.assert_array_equal(images.read(data), np.asarray(first))

    def test_a_mask_is_its_still_picture_too(self):
        marks = [Image.fromarray((frame[..., 0] > 99).astype(np.uint8) * 255) for frame in FRAMES]
        data = encode(marks[0], "PNG", save_all=True, append_images=marks[1:], default_image=True)
        np.testing.assert_array_equal(images.read_mask(data), np.asarray(marks[0]) > 0)

    def test_one_that_is_cut_off_is_refused(self):
        _, data = animated(lambda frame: frame, is_outside=True)
        with pytest.raises(errors.ImageError, match="truncated"):
            images.read(data[:-20])


def png_of_gray_and_alpha(gray, alpha):
    """Write a PNG by hand: Pillow writes no 16-bit gray with alpha."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = gray.shape
    bits = 8 * gray.dtype.itemsize
    pixels = np.stack([gray, alpha], axis=-1).astype(gray.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bits, 4, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


class TestGrayWithAlpha:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_a_png_stays_gray(self, dtype):
        gray = RNG.integers(0, np.iinfo(dtype).max + 1, (12, 16)).astype(dtype)
        alpha = RNG.integers(0, np.iinfo(dtype).max + 1, (12, 16)).astype(dtype)
        found = images.read(png_of_gray_and_alpha(gray, alpha))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, gray)

    def test_so_do_arrays_and_tiffs(self):
        picture = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1].copy())])
        np.testing.assert_array_equal(images.read(encode(picture, "TIFF")), GRAY)
        np.testing.assert_array_equal(images.read(np.asarray(picture)), GRAY)

    def test_equal_channels_of_colour_stay_colour(self):
        picture = Image.fromarray(np.stack([GRAY] * 3, axis=-1))
        assert images.read(encode(picture, "PNG")).shape == (12, 16, 3)

    def test_the_network_sees_what_it_saw(self):
        spec = images.Preprocessing(size=(12, 16), channels="rgb")
        data = png_of_gray_and_alpha(GRAY, GRAY)
        seen, _ = images.preprocess(images.read(data), spec)
        np.testing.assert_array_equal(seen, np.stack([GRAY] * 3, axis=-1))


def tiff(compression, **options):
    return encode(Image.fromarray(SMOOTH), "TIFF", compression=compression, **options)


def renamed(data, compression):
    """Say that a TIFF is compressed otherwise than it is."""
    changed = bytearray(data)
    place = data.index(struct.pack("<HHI", 259, 3, 1))
    changed[place + 8 : place + 10] = struct.pack("<H", compression)
    return bytes(changed)


class TestTiff:
    @pytest.mark.parametrize(
        "compression", ["raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits"]
    )
    def test_usual_compressions_are_read(self, compression):
        np.testing.assert_array_equal(images.read(tiff(compression)), SMOOTH)

    @pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
    def test_so_are_those_of_fax(self, compression):
        black = Image.fromarray(SMOOTH > 127)
        found = images.read(encode(black, "TIFF", compression=compression))
        np.testing.assert_array_equal(found > 0, SMOOTH > 127)

    @pytest.mark.parametrize(
        ("compression", "name"), [("lzma", r"34925 \(LZMA\)"), ("zstd", r"50000 \(Zstandard\)")]
    )
    def test_one_that_does_not_decode_here_is_named(self, compression, name):
        try:
            found = images.read(tiff(compression))
        except errors.ImageError as problem:
            told = str(problem)
        else:  # a build of cv2 that has it
            np.testing.assert_array_equal(found, SMOOTH)
            return
        assert "Got the compression" in told
        with pytest.raises(errors.ImageError, match=name):
            images.read(tiff(compression))
        assert "LZW or deflate" in told

    @pytest.mark.parametrize(
        ("number", "name"),
        [
            (33003, "JPEG 2000"),
            (34712, "JPEG 2000"),
            (50002, "JPEG XL"),
            (65000, "Kodak DCR"),
            (99, "unknown"),
        ],
    )
    def test_one_of_which_cv2_makes_noise_is_refused_by_name(self, number, name):
        # Without an error it returns a picture, of something.
        with pytest.raises(errors.ImageError, match=rf"compression {number} \({name}\)\. Save it"):
            images.read(renamed(tiff("raw"), number))
        with pytest.raises(errors.ImageError, match=rf"compression {number}"):
            images.read_header(renamed(tiff("raw"), number))

    @pytest.mark.parametrize("start", [b"II+\0", b"MM\0+"])
    def test_a_bigtiff_is_named(self, start, tmp_path):
        data = start + tiff("raw", big_tiff=True)[4:]
        (tmp_path / "large.tif").write_bytes(data)
        with pytest.raises(
            errors.ImageError, match=r"large\.tif must be a readable TIFF file\. Got a BigTIFF"
        ) as caught:
            images.read(tmp_path / "large.tif")
        assert "Save it as a TIFF" in str(caught.value)

    def test_damaged_pixels_are_not_blamed_on_their_compression(self):
        with pytest.raises(errors.ImageError, match=r"Got pixel data that does not decode\. Copy"):
            images.read(renamed(tiff("raw"), 7))


@pytest.mark.parametrize(
    ("file_format", "options", "is_lossy"),
    [
        ("JPEG", {}, True),
        ("PNG", {}, False),
        ("BMP", {}, False),
        ("WEBP", {}, True),
        ("WEBP", {"lossless": True}, False),
        ("TIFF", {"compression": "jpeg"}, True),
        ("TIFF", {"compression": "tiff_lzw"}, False),
    ],
)
def test_a_header_says_whether_pixels_are_what_was_saved(file_format, options, is_lossy):
    data = encode(Image.fromarray(FRAMES[0]), file_format, **options)
    assert images.read_header(data).is_lossy is is_lossy
