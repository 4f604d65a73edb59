import dataclasses

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.readers.located.poses import CLASSES
from inspection_tf.synthesis.xrays import PartSpec, XraySpec

SMALL = XraySpec(size=(48, 48), samples=2)
DATA = data_spec.XraysSpec(
    count=20, tune=0.25, test=0.25, flawed_share=0.5, training_samples=1, xray=SMALL
)


@pytest.fixture(scope="module")
def records():
    return data_spec.read(DATA)


def test_every_image_is_dealt_to_a_split_in_the_shares_that_were_asked_for(records):
    parts = data_spec.split(records, DATA, seed=1)
    assert {name: len(part) for name, part in parts.items()} == {"train": 10, "tune": 5, "test": 5}
    assert records.classes == CLASSES


def test_intact_parts_teach_and_half_of_those_that_are_judged_have_a_flaw(records):
    parts = data_spec.split(records, DATA, seed=1)
    assert not parts["train"].is_defect.any()
    judged = [*parts["tune"].is_defect, *parts["test"].is_defect]
    assert sum(judged) == 5


def test_a_record_is_drawn_again_as_it_was(records):
    one, other = records[0], data_spec.read(DATA)[0]
    np.testing.assert_array_equal(one.read_image(), other.read_image())
    assert one.read_pose() == other.read_pose()
    assert one.source.identity() == other.source.identity()
    assert one.label_kind == "pose"
    assert one.knows_part
    assert not one.read_mask().any()


def test_images_that_teach_may_be_drawn_with_wide_pixels_and_have_the_size_of_all_others():
    many = DATA.model_copy(update={"training_samples": 21})
    wide = data_spec.read(many.model_copy(update={"training_shrink": 2}))
    first = wide[0].read_image()
    assert first.shape == wide[0].read_mask().shape == (48, 48)
    blocks = first.reshape(24, 2, 24, 2).transpose(0, 2, 1, 3).reshape(24, 24, 4)
    assert (blocks == blocks[..., :1]).all()
    fine = data_spec.read(many)[0]
    assert wide[0].read_pose() == fine.read_pose()
    mean = fine.read_image().reshape(24, 2, 24, 2).mean(axis=(1, 3))
    off = (mean - blocks[..., 0]) / SMALL.detector.open_value
    assert off.std() < 0.02  # photons, and rays at other places
    assert abs(off.mean()) < 0.002


def test_in_folds_no_split_is_fixed_and_all_are_judged():
    found = data_spec.read(DATA.model_copy(update={"folds": 4}))
    assert {record.split for record in found} == {None}
    assert {record.source.spec.samples for record in found} == {2}


@pytest.mark.parametrize("changes", [{"count": 0}, {"flawed_share": 1.5}])
def test_a_set_that_cannot_be_is_refused(changes):
    from inspection_tf.datasets.drawn import xrays

    given = {"count": 3, "flawed_share": 0.0, **changes}
    with pytest.raises(errors.ConfigError, match="Correct them"):
        xrays.radiographs(spec=SMALL, taught=SMALL, seed=0, **given)


def test_a_cache_holds_the_first_pose_of_those_that_look_alike():
    hub = SMALL.model_copy(update={"part": PartSpec(design="hub")})
    found = data_spec.read(DATA.model_copy(update={"xray": hub, "count": 8}))
    cached = loader.cache(found, images.Preprocessing(size=(48, 48)))
    assert cached.pose.shape == (8, 7)
    assert cached.label_kind == "pose"
    for row, record in zip(cached.pose, found, strict=True):
        first = record.read_pose().first_alike(4)
        assert row[:6] == pytest.approx(dataclasses.astuple(first), abs=1e-4)
        assert row[6] == 4
        assert first.phi < 95  # a quarter of a turn, and what the tilts add


def test_networks_of_other_tasks_refuse_poses():
    cached = loader.cache(data_spec.read(DATA), images.Preprocessing(size=(48, 48)))
    for target in ("mask", "label"):
        with pytest.raises(errors.DataError, match="Got poses of parts"):
            loader.for_evaluation(cached, target=target)


def test_another_file_under_the_same_name_is_another_set(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    file = tmp_path / "part.stl"
    found = []
    for side in (20.0, 24.0):
        trimesh.creation.box((30.0, side, 16.0)).export(file)
        spec = SMALL.model_copy(update={"part": PartSpec(file=file, unit="mm")})
        data = DATA.model_copy(update={"xray": spec, "count": 4})
        found.append(data_spec.read(data).sha256())
    assert found[0] != found[1]
