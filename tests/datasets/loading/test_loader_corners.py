"""Photos whose labels are corners, from records to batches."""

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import records
from inspection_tf.datasets.drawn import photos as drawn_photos
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.synthesis import certificate, photo
from inspection_tf.tasks.fields import closeups
from inspection_tf.tasks.fields.learning import batches as batches_of_corners
from inspection_tf.tasks.fields.learning import closeup_data

SPEC = certificate.CertificateSpec(photo=photo.PhotoSpec(size=(96, 128)), without_field_share=0.25)
SMALL = images.Preprocessing(size=(48, 80), fit="letterbox")


@pytest.fixture(scope="module")
def photos():
    return drawn_photos.certificates(count=8, spec=SPEC, seed=4)


@pytest.fixture(scope="module")
def held(photos):
    return loader.cache(photos, SMALL)


def serve(held, **changes):
    spec = loader.LoaderSpec(batch_size=4, defective_share=None)
    asked = {"augmentation": augment.NONE, "seed": 1, "epochs": 2}
    return list(
        batches_of_corners.for_training(held, spec=spec, **(asked | changes)).as_numpy_iterator()
    )


def test_a_cache_holds_corners_of_the_networks_input(photos, held):
    assert held.corners_xy.shape == (8, 4, 2)
    # 96 x 128 becomes 48 x 64, in the middle of 80: x = 0.5 (x + 0.5) - 0.5 + 8.
    for row, record in enumerate(photos):
        if record.is_defect:
            assert held.label[row] == 1
            continue
        expected = 0.5 * (record.read_corners() + 0.5) - 0.5 + [8, 0]
        np.testing.assert_allclose(held.corners_xy[row], expected, atol=1e-4)
    assert held.is_defect.tolist() == photos.is_defect.tolist()
    assert not held.mask.any()


def test_batches_hold_images_and_targets(held):
    batches = serve(held)
    assert len(batches) == 4  # two epochs of eight
    inputs, targets = batches[0]
    assert inputs["image"].shape == (4, 48, 80, 1)
    assert targets["corners"].shape == (4, 9)
    assert targets["corners"].dtype == np.float32
    shown = np.concatenate([targets["corners"][:, 8] for _, targets in batches[:2]])
    assert shown.sum() == 6  # a quarter of eight shows no field


def test_batches_follow_from_the_seed_and_can_begin_anywhere(held):
    hard = augment.AugmentSpec(perspective=0.2, resampled_share=1.0)
    whole = serve(held, augmentation=hard)
    late = serve(held, augmentation=hard, first_epoch=1, first_step=1)
    for (image, target), (again, same) in zip(whole[3:], late, strict=True):
        np.testing.assert_array_equal(image["image"], again["image"])
        np.testing.assert_array_equal(target["corners"], same["corners"])


def test_evaluation_serves_every_photo_once(held):
    (first, second), (third, fourth) = batches_of_corners.for_evaluation(held, batch_size=5)
    np.testing.assert_array_equal(np.concatenate([first["image"], third["image"]]), held.image)
    found = np.concatenate([second["corners"], fourth["corners"]])
    assert (found[:, 8] == (held.label == 0)).all()


def test_one_target_teaches_several_outputs(held):
    served = batches_of_corners.for_evaluation(held, batch_size=8)
    ((_, targets),) = loader.shared(served, names=("corners", "grid")).as_numpy_iterator()
    assert set(targets) == {"corners", "grid"}
    np.testing.assert_array_equal(targets["corners"], targets["grid"])


def test_masks_are_no_corners():
    bare = loader.Cache(
        np.zeros((1, 4, 4, 1), np.uint8),
        np.zeros((1, 4, 4, 1), np.uint8),
        np.zeros(1, bool),
        ("a",),
    )
    with pytest.raises(errors.DataError, match="labels are corners"):
        serve(bare)


def test_labels_of_two_kinds_are_refused(photos, toy_records):
    both = records.Records.of([*photos, toy_records[0]], classes=("no field",))
    with pytest.raises(errors.DataError, match="all be corners, or all masks, or all classes"):
        loader.cache(both, SMALL)


CLOSE = closeups.CloseupSpec(size_px=16, span=1.0)


def close(photos, **changes):
    sampling = closeup_data.SamplingSpec(**({"per_image": 3, "jitter": 0.1} | changes))
    return closeup_data.cache(photos, SMALL, spec=CLOSE, sampling=sampling)


def test_close_ups_without_jitter_have_their_corner_in_the_middle(photos):
    found = close(photos, jitter=0.0, per_image=1)
    assert found.image.shape == (32, 16, 16, 1)
    shown = found.label == 0
    np.testing.assert_allclose(found.corners_xy[shown], 7.5, atol=1e-4)
    # The four close-ups of a photo without the field show no corner.
    assert shown.sum() == 4 * 6


def test_close_ups_around_corners_that_are_off_know_where_the_true_ones_are(photos):
    found = close(photos)
    assert found.image.shape == (96, 16, 16, 1)
    shown = found.corners_xy[found.label == 0]
    assert ((shown >= -0.5) & (shown <= 15.5)).all()
    # sigma 0.1 of the square root of the area, which 16 px show: 1.6 px along each axis.
    assert 1.0 < (shown - 7.5).std() < 2.2


def test_close_ups_follow_from_the_seed(photos):
    first, again, other = close(photos), close(photos), close(photos, seed=1)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.corners_xy, again.corners_xy)
    assert (first.image != other.image).any()


def test_a_refiner_needs_a_field(photos):
    with pytest.raises(errors.DataError, match="photos that show the field"):
        close(photos.where(is_defect=True))
