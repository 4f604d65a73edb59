"""Masks that could mean something else: read by a rule, or refused with the levels found."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from inspection_tf import errors, images

SIZE = 64
BOX, OTHER_BOX = np.s_[10:30, 10:30], np.s_[40:50, 40:50]  # 400 and 100 px
RED, DARK_RED, VOID = (128, 0, 0), (64, 0, 0), (224, 224, 192)  # of Pascal VOC: 1, 8 and 255


def levels(first=0, other=0, *, dtype=np.uint8, ground=0):
    mask = np.full((SIZE, SIZE), ground, dtype)
    mask[BOX], mask[OTHER_BOX] = first, other
    return mask


def void(mask, value):
    """Draw a rim of 2 px around the first box."""
    mask = mask.copy()
    inner = mask[BOX].copy()
    mask[8:32, 8:32] = value
    mask[BOX] = inner
    return mask


def colours(ground, first, other=None):
    mask = np.zeros((SIZE, SIZE, 3), np.uint8)
    mask[:], mask[BOX], mask[OTHER_BOX] = ground, first, ground if other is None else other
    return mask


def palette(mask):
    """Store ids as the entries of the palette of Pascal VOC."""
    table = np.zeros((256, 3), np.uint8)
    table[[1, 2, 8, 255]] = RED, (0, 128, 0), DARK_RED, VOID
    picture = Image.fromarray(mask)
    picture.putpalette(table.ravel().tolist())
    return picture


def encode(picture, file_format="PNG", **options):
    file = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(file, file_format, **options)
    return file.getvalue()


class TestLevels:
    @pytest.mark.parametrize(
        ("mask", "told"),
        [
            (void(levels(1), 255), r"areas of 1 .*0 \(3520 px\), 1 \(400 px\), 255 \(176 px\)"),
            (levels(255, 100), r"areas of 100 .*255 \(400 px\), 100 \(100 px\)"),
            (levels(100, 255), "areas of 100"),
            (levels(255, 1), "areas of 1 "),
            (levels(127, 255), "areas of 127"),
            (levels(64, 192), "areas of 64"),
        ],
    )
    def test_a_level_that_would_vanish_is_named(self, mask, told):
        with pytest.raises(errors.ImageError, match=told) as caught:
            images.read_mask(encode(mask))
        assert "data.mask_values" in str(caught.value)
        assert caught.value.exit_code == 3

    def test_so_is_one_in_16_bit_and_in_equal_channels(self):
        for mask in (levels(65535, 1, dtype=np.uint16), levels(65535, 25700, dtype=np.uint16)):
            with pytest.raises(errors.ImageError, match=r"areas of (1|25700) among"):
                images.read_mask(encode(mask))
        with pytest.raises(errors.ImageError, match="areas of 100"):
            images.read_mask(np.stack([levels(255, 100)] * 3, axis=-1))

    def test_a_scratch_of_one_pixel_is_a_level_too(self):
        mask = levels(255)
        mask[45, 5:40] = 100
        with pytest.raises(errors.ImageError, match="areas of 100"):
            images.read_mask(encode(mask))

    @pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_AREA])
    def test_so_is_one_whose_edges_were_smoothed(self, interpolation):
        mask = cv2.resize(levels(255, 100), (151, 151), interpolation=interpolation)
        with pytest.raises(errors.ImageError, match="areas of 100"):
            images.read_mask(encode(mask))

    def test_so_is_one_in_a_jpeg(self):
        with pytest.raises(errors.ImageError, match="must hold two levels"):
            images.read_mask(encode(levels(255, 80), "JPEG", quality=90))

    def test_zeros_and_ones_do_not_survive_a_jpeg(self):
        data = encode(levels(1), "JPEG", quality=95)
        assert images.read(data).max() == 1
        with pytest.raises(errors.ImageError, match=r"0 and 255 where its compression is lossy"):
            images.read_mask(data)

    def test_zeros_and_ones_are_read_from_what_is_lossless(self):
        for file_format in ("PNG", "BMP", "TIFF"):
            assert images.read_mask(encode(levels(1, 1), file_format)).sum() == 500
        lossless = encode(levels(1).repeat(3).reshape(SIZE, SIZE, 3), "WEBP", lossless=True)
        assert images.read_mask(lossless).sum() == 400


class TestWhatGoesOnWorking:
    @pytest.mark.parametrize("scale", [0.3, 0.7, 1.3, 3.0])
    @pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC])
    @pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("JPEG", {"quality": 80})])
    def test_edges_that_resampling_left(self, scale, interpolation, file_format, options):
        drawn = levels(255, 255)
        cv2.ellipse(drawn, (45, 20), (12, 5), 30, 0, 360, 255, -1)
        resized = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=interpolation)
        data = encode(resized, file_format, **options)
        np.testing.assert_array_equal(images.read_mask(data), images.read(data) >= 128)

    @pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0, 9.0])
    def test_blurred_masks(self, sigma):
        blurred = cv2.GaussianBlur(levels(255), (0, 0), sigma)
        assert blurred.max() > 127
        np.testing.assert_array_equal(images.read_mask(encode(blurred)), blurred >= 128)

    def test_a_dark_ground_that_is_not_black(self):
        assert images.read_mask(encode(levels(235, 16, ground=16))).sum() == 400

    def test_two_levels_that_are_both_bright(self):
        assert images.read_mask(encode(levels(255, 150))).sum() == 500

    def test_a_few_pixels_of_a_slip(self):
        mask = levels(255)
        mask[60, 60] = mask[2, 2] = 1
        assert images.read_mask(encode(mask)).sum() == 400

    def test_strokes_of_one_colour(self):
        assert images.read_mask(encode(colours(0, (255, 0, 0)))).sum() == 400
        smooth = cv2.resize(colours(0, (255, 0, 0)), (100, 100), interpolation=cv2.INTER_AREA)
        assert images.read_mask(encode(smooth)).sum() == (smooth[..., 0] >= 128).sum()
        jpeg = encode(colours(0, (250, 30, 20), (250, 30, 20)), "JPEG", quality=75)
        assert images.read_mask(jpeg).sum() == (images.read(jpeg).max(axis=2) >= 128).sum()

    def test_two_colours_of_which_one_is_the_dark_ground(self):
        viridis = colours((68, 1, 84), (253, 231, 37))  # as matplotlib's imsave writes a mask
        assert images.read_mask(encode(viridis)).sum() == 400


class TestColours:
    def test_several_entries_of_a_palette_are_named_with_their_colours(self):
        with pytest.raises(
            errors.ImageError,
            match=r"Got several: 0 #000000 \(3596 px\), 1 #800000 \(400 px\), 8 #400000 \(100 px\)",
        ):
            images.read_mask(encode(palette(levels(1, 8))))
        with pytest.raises(errors.ImageError, match=r"255 #e0e0c0 \(176 px\)"):
            images.read_mask(encode(palette(void(levels(1), 255))))

    @pytest.mark.parametrize(
        "mask",
        [
            colours(0, RED, VOID),
            colours(0, RED, DARK_RED),
            colours(0, (255, 0, 0), (0, 255, 0)),
            colours(255, (255, 0, 0)),
            colours((0, 128, 0), (255, 0, 0)),
        ],
        ids=["voc", "two reds", "red and green", "on white", "on green"],
    )
    @pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
    def test_several_colours_are_refused(self, mask, file_format):
        with pytest.raises(errors.ImageError, match=r"one colour on a background\. Got several: #"):
            images.read_mask(encode(mask, file_format))

    def test_so_are_thin_lines_of_two_colours_and_colours_in_a_jpeg(self):
        mask = np.zeros((SIZE, SIZE, 3), np.uint8)
        mask[10, 5:40], mask[30, 5:40] = (255, 0, 0), (0, 0, 255)
        with pytest.raises(errors.ImageError, match="Got several"):
            images.read_mask(encode(mask))
        jpeg = encode(colours(0, (255, 0, 0), (0, 255, 0)), "JPEG", quality=90)
        with pytest.raises(errors.ImageError, match="Got several"):
            images.read_mask(jpeg)

    def test_one_entry_of_a_palette_is_a_mask(self):
        assert images.read_mask(encode(palette(levels(1, 1)))).sum() == 500
        two = palette(levels(1)).quantize(2)
        assert images.read_mask(encode(two, bits=1)).sum() == 400


class TestStoredMasks:
    @pytest.mark.parametrize("bits", [1, 2, 4, 8])
    def test_entries_of_a_palette_are_read_at_every_depth(self, bits):
        ids = np.random.default_rng(bits).integers(0, 2**bits, (5, 7)).astype(np.uint8)
        picture = Image.fromarray(ids)
        picture.putpalette([17, 200, 3, *(n % 251 for n in range(3, 3 * 2**bits))])
        data = encode(picture, bits=bits)
        np.testing.assert_array_equal(images.read_stored(data).index, ids)

    def test_a_palette_of_grays_holds_gray_values(self):
        picture = Image.fromarray(levels(1))
        picture.putpalette([0, 0, 0, 255, 255, 255])
        stored = images.read_stored(encode(picture))
        assert stored.index is None
        assert sorted(np.unique(stored.gray)) == [0, 255]

    def test_colours_have_no_levels(self):
        assert images.read_stored(colours(0, RED)).levels is None
        assert images.read_stored(levels(3)).levels.max() == 3


def alpha(rgb, opaque):
    """Join a colour and (H, W) alpha."""
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    picture[..., :3], picture[..., 3] = rgb, opaque
    return picture


class TestAlpha:
    @pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("rgb", [255, 0, (255, 0, 0), (20, 60, 30)])
    def test_what_is_drawn_in_one_colour_is_marked(self, rgb, file_format):
        options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
        data = encode(alpha(rgb, levels(255)), file_format, **options)
        assert images.read_mask(data).sum() == 400

    def test_black_strokes_on_a_layer_that_hides_white_are_marked(self):
        rgb = np.where(levels(255)[..., None] > 0, 0, 255)
        assert images.read_mask(encode(alpha(rgb, levels(255)))).sum() == 400

    def test_gray_with_alpha_and_arrays_are_read_alike(self):
        gray = np.stack([np.full((SIZE, SIZE), 255, np.uint8), levels(255)], axis=-1)
        assert images.read_mask(gray).sum() == 400
        assert images.read_mask(alpha(0, levels(255))).sum() == 400
        picture = Image.merge("LA", [Image.fromarray(gray[..., k]) for k in (0, 1)])
        assert images.read_mask(encode(picture)).sum() == 400

    def test_a_transparent_entry_of_a_palette_is_not_drawn(self):
        picture = palette(levels(1))
        data = encode(picture, transparency=bytes([0, 255]))
        assert images.read_mask(data).sum() == 400

    def test_soft_strokes_count_from_half(self):
        soft = cv2.GaussianBlur(levels(255), (0, 0), 1.5)
        assert images.read_mask(encode(alpha(0, soft))).sum() == (soft >= 128).sum()

    def test_white_on_black_with_transparent_corners_is_read_by_its_colours(self):
        opaque = np.full((SIZE, SIZE), 255, np.uint8)
        opaque[:8, :8] = 0
        rgb = levels(255, 255)[..., None]
        assert images.read_mask(encode(alpha(rgb, opaque))).sum() == 500
        # White under transparency is nothing.
        opaque[OTHER_BOX] = 0
        assert images.read_mask(encode(alpha(rgb, opaque))).sum() == 400

    def test_opaque_alpha_changes_nothing(self):
        rgb = levels(255)[..., None]
        assert images.read_mask(encode(alpha(rgb, 255))).sum() == 400

    def test_alpha_of_other_levels_is_refused(self):
        with pytest.raises(errors.ImageError, match=r"The alpha channel of .*Got values up to 90"):
            images.read_mask(encode(alpha(0, levels(90))))
        with pytest.raises(errors.ImageError, match=r"The alpha channel of .*areas of 60"):
            images.read_mask(encode(alpha(0, levels(255, 60))))
