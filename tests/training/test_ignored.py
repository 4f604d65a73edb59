"""A training whose masks have pixels that count for nothing."""

import dataclasses

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets.records import IGNORED
from inspection_tf.models import unet
from inspection_tf.training import fit


@pytest.fixture
def ignoring(teach):
    """The training images, on a quarter of which nobody knows what is there."""
    mask = teach.mask.copy()
    mask[:, :8, :8] = IGNORED
    marked = ((mask > 0) & (mask != IGNORED)).any(axis=(1, 2, 3))
    return dataclasses.replace(teach, mask=mask, is_defect=marked, has_ignored=True)


@pytest.mark.parametrize("loss", ["bce_dice", "focal"])
def test_loss_and_metric_leave_them_out(train, ignoring, tmp_path, loss):
    model, rows = train(
        tmp_path / "run", shown=ignoring, watched=ignoring, loss=loss, epochs=3, pictures=2
    )
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert model.loss["probability"].ignored_id == IGNORED
    found = model.evaluate(
        {"image": ignoring.image}, {"probability": ignoring.mask}, verbose=0, return_dict=True
    )
    # As if what the network says there were right.
    guess = model.predict({"image": ignoring.image}, verbose=0)["probability"] >= 0.5
    counted = ignoring.mask != IGNORED
    truth, guess = (ignoring.mask > 0) & counted, guess & counted
    overlap, areas = (a.sum(axis=(1, 2, 3)) for a in (truth & guess, truth.astype(int) + guess))
    dice = (2 * overlap / areas.clip(1))[truth.any(axis=(1, 2, 3))].mean()
    assert found["dice_defective"] == pytest.approx(dice, abs=1e-6)
    assert (tmp_path / "run" / "validation" / "epoch_0003.png").is_file()


def test_only_the_watched_images_may_have_them(train, teach, ignoring, tmp_path):
    model, _ = train(tmp_path / "run", shown=teach, watched=ignoring, epochs=1, validate_every=1)
    assert model.loss["probability"].ignored_id == IGNORED


def test_where_all_pixels_count_nothing_is_added(train, tmp_path):
    model, _ = train(tmp_path / "run", epochs=1)
    assert model.loss["probability"].ignored_id is None
    assert "ignored_id" not in model.loss["probability"].get_config()


def test_a_loss_that_has_no_such_option_says_so():
    model = unet.build(image_size=(16, 16), filters=(4, 8))
    spec = fit.TrainSpec(loss_options={"no_such": 1.0})
    with pytest.raises(errors.ConfigError, match=r"Got \{'no_such': 1\.0\}"):
        fit.compile_model(model, spec, steps_per_epoch=1, ignored_id=IGNORED)
