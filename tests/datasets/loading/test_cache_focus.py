"""A cache of images of which the network sees a window."""

import dataclasses

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import records
from inspection_tf.datasets.loading import loader
from inspection_tf.tasks import preparation

PREPROCESSING = images.Preprocessing(
    size=(32, 40), fit="stretch", focus={"method": "edge_corner", "size": (64, 80)}
)


@dataclasses.dataclass(frozen=True)
class Insert:
    """Bright to the right of and below a tip, worn at its tip and below."""

    tip: tuple[int, int]
    template: np.ndarray | None = None

    def read_image(self, *, orientation="apply"):
        image = np.random.default_rng(1).normal(50, 4, (201, 243))
        image[self.tip[1] :, self.tip[0] :] += 130
        return np.rint(image).astype(np.uint8)

    def read_mask(self, *, orientation="apply"):
        mask = np.zeros((201, 243), np.uint8)
        x, y = self.tip
        mask[y : y + 10, x : x + 10] = 1
        mask[190:, 230:] = 1  # outside of every window
        return mask

    def read_template(self, *, orientation="apply"):
        return self.template

    def class_ids(self):
        return (1,)

    def identity(self):
        return repr(self.tip).encode()


def inserts(*tips, template=None):
    return records.Records.of(
        [records.Record(f"{tip}", True, Insert(tip, template)) for tip in tips],
        classes=("flank_wear",),
    )


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_a_training_sees_the_pixels_that_the_runtime_sees(storage):
    found = inserts((90, 70), (120, 110), (60, 90))
    held = loader.cache(found, PREPROCESSING, spec=loader.LoaderSpec(cache=storage))
    assert held.image.shape == (3, 32, 40, 1)
    for row, record in enumerate(found):
        prepared = preparation.one_image(record.read_image(), PREPROCESSING)
        np.testing.assert_array_equal(held.image[row], prepared.image[0])
        assert prepared.placement.view.is_found


def test_masks_go_through_the_same_window():
    held = loader.cache(inserts((90, 70)), PREPROCESSING)
    # 10 x 10 px of the source are 5 x 5 of the input, and what lies outside of the window is gone.
    # Where the window begins at an odd pixel half covered rows and columns count too.
    rows, columns = np.nonzero(held.mask[0, ..., 0])
    assert 5 <= np.ptp(rows) + 1 <= 6
    assert 5 <= np.ptp(columns) + 1 <= 6
    bright, dark = held.image[0][held.mask[0] > 0], held.image[0, 0]
    assert np.median(bright) > 150 > 100 > dark.max()


def test_templates_are_refused_before_a_training_begins():
    found = inserts((90, 70), template=np.zeros((201, 243), np.uint8))
    with pytest.raises(errors.ConfigError, match="focus must be none where images are compared"):
        loader.cache(found, PREPROCESSING)
