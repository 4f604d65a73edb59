import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.tasks.pose.learning import batches

STILL = augment.NONE.model_copy(update={"noise": 2.0, "contrast": 0.05})


def cached(count=6):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (count, 16, 16, 1)).astype(np.uint8)
    mask = np.broadcast_to(np.uint8(0), image.shape)
    pose = np.arange(7.0 * count, dtype=np.float32).reshape(count, 7)
    ids = tuple(f"{index}" for index in range(count))
    return loader.Cache(image, mask, np.zeros(count, bool), ids, pose=pose, label_kind="pose")


def served(**changes):
    given = {"augmentation": STILL, "seed": 1, "epochs": 2, **changes}
    spec = loader.LoaderSpec(batch_size=2, defective_share=None)
    return list(batches.for_training(cached(), spec=spec, **given).as_numpy_iterator())


def test_each_image_comes_with_its_pose_once_an_epoch():
    first, again = served(), served()
    assert len(first) == 6
    for (inputs, targets), (same_inputs, same_targets) in zip(first, again, strict=True):
        np.testing.assert_array_equal(inputs["image"], same_inputs["image"])
        np.testing.assert_array_equal(targets["pose_modes"], same_targets["pose_modes"])
        assert inputs["image"].dtype == np.uint8
    poses = np.concatenate([targets["pose_modes"] for _, targets in first[:3]])
    np.testing.assert_array_equal(np.sort(poses[:, 0]), cached().pose[:, 0])
    for inputs, targets in first:
        for image, pose in zip(inputs["image"], targets["pose_modes"], strict=True):
            was = cached().image[int(pose[0]) // 7].astype(float)
            assert np.corrcoef(image.ravel(), was.ravel())[0, 1] > 0.99


def test_a_later_epoch_is_served_as_if_all_before_it_had_been():
    late = served(first_epoch=1)
    for (inputs, _), (expected, _) in zip(late, served()[3:], strict=True):
        np.testing.assert_array_equal(inputs["image"], expected["image"])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"flips": True}, "flips"),
        ({"right_angles": True}, "right_angles"),
        ({"shift": 0.1}, "shift"),
        ({"resampled_share": 0.5}, "resampled_share"),
    ],
)
def test_an_augmentation_that_would_change_the_pose_is_refused(change, name):
    with pytest.raises(errors.ConfigError, match=f"Got {name}"):
        served(augmentation=STILL.model_copy(update=change))


def test_images_without_poses_are_refused():
    image = cached().image
    other = loader.Cache(image, image * 0, np.zeros(6, bool), cached().ids)
    with pytest.raises(errors.DataError, match=r"labels are poses\. Got masks"):
        batches.for_evaluation(other)
