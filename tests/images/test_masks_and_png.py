"""Masks in, PNG files out."""

import errno
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspection_tf import errors, images

RNG = np.random.default_rng(3)
COLOUR = cv2.GaussianBlur(RNG.integers(0, 256, (37, 51, 3), dtype=np.uint8), (7, 7), 0)
GRAY = np.ascontiguousarray(COLOUR[:, :, 0])


class TestMasks:
    def test_half_of_full_scale_is_the_threshold(self):
        mask = images.read_mask(np.array([[0, 127, 128, 255]], np.uint8))
        assert mask.tolist() == [[False, False, True, True]]
        deep = images.read_mask(np.array([[0, 32767, 32768]], np.uint16))
        assert deep.tolist() == [[False, False, True]]

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
    def test_zeros_and_ones_are_a_mask_too(self, dtype):
        assert images.read_mask(np.array([[0, 1, 0]], dtype)).tolist() == [[False, True, False]]

    def test_an_empty_mask_is_empty(self):
        assert not images.read_mask(np.zeros((3, 5), np.uint8)).any()

    def test_a_pure_colour_counts_by_its_brightest_channel(self):
        assert images.read_mask(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)).tolist() == [
            [True, False]
        ]

    def test_a_mask_whose_defects_would_vanish_is_refused(self):
        with pytest.raises(errors.ImageError, match=r"0 and 255, or 0 and 1. Got values up to 3"):
            images.read_mask(np.array([[0, 2, 3]], np.uint8))

    def test_a_mask_of_another_size_is_refused_by_name(self, tmp_path):
        images.write_png(tmp_path / "0001_label.png", np.ones((3, 5), np.bool_))
        assert images.read_mask(tmp_path / "0001_label.png", size=(3, 5)).all()
        with pytest.raises(errors.ImageError, match=r"0001_label\.png must be 5 x 3.*Got 3 x 5"):
            images.read_mask(tmp_path / "0001_label.png", size=(5, 3))

    def test_masks_are_not_turned(self):
        exif = Image.Exif()
        exif[0x112] = 6
        file = io.BytesIO()
        Image.fromarray(GRAY > 128).save(file, "PNG", exif=exif)
        np.testing.assert_array_equal(images.read_mask(file.getvalue()), GRAY > 128)


class TestWriting:
    @pytest.mark.parametrize(
        "array", [GRAY, COLOUR, GRAY.astype(np.uint16) * 257, COLOUR.astype(np.uint16) * 257]
    )
    def test_what_is_written_is_read_back(self, array, tmp_path):
        images.write_png(tmp_path / "a.png", array)
        np.testing.assert_array_equal(images.read(tmp_path / "a.png"), array)
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    def test_a_full_disk_leaves_the_old_file_and_no_other(self, tmp_path, monkeypatch):
        images.write_png(tmp_path / "a.png", GRAY)

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(errors.StorageError, match=r"a\.png must be writable. Got: No space"):
            images.write_png(tmp_path / "a.png", COLOUR)
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
        np.testing.assert_array_equal(images.read(tmp_path / "a.png"), GRAY)

    def test_a_missing_folder_is_a_storage_error(self, tmp_path):
        with pytest.raises(errors.StorageError, match="must be writable"):
            images.write_png(tmp_path / "none" / "a.png", GRAY)

    def test_floats_are_not_written(self, tmp_path):
        with pytest.raises(errors.ImageError, match="uint8 or uint16"):
            images.write_png(tmp_path / "a.png", GRAY / 255)

    def test_the_digest_depends_on_pixels_shape_and_type_only(self):
        reference = images.digest(GRAY)
        assert images.digest(np.asfortranarray(GRAY)) == reference
        assert images.digest(GRAY.astype(np.uint16)) != reference
        assert images.digest(GRAY.reshape(51, 37)) != reference
        assert images.digest(GRAY + 1) != reference
        deep = GRAY.astype(np.uint16)
        assert images.digest(deep) == images.digest(deep.astype(">u2"))
