import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.drawn import inserts as drawn_inserts
from inspection_tf.synthesis import inserts

SIZE = (65, 91)
SPEC = inserts.InsertSpec(size=SIZE)


def section(**changes):
    values = {"format": "inserts", "count": 12, "seed": 3, "insert": {"size": SIZE}}
    return data_spec.DataSpec(**(values | changes))


def test_labelled_by_breakage_the_class_is_all_there_is():
    found = data_spec.read(section())
    assert found.classes == ("broken",)
    assert found.is_defect.tolist() == [False, True] * 6
    for index, record in enumerate(found):
        assert record.source.label_kind == "classes"
        assert record.class_ids() == ((1,) if index % 2 else ())
        mask = record.read_mask()
        assert mask.shape == SIZE
        assert not mask.any()


def test_labelled_by_wear_the_masks_are_the_land():
    found = data_spec.read(section(labels="wear", insert={"size": SIZE, "unworn_share": 0.5}))
    assert found.classes == ("flank_wear",)
    assert 0 < found.is_defect.sum() < 12
    for record in found:
        assert record.source.label_kind == "masks"
        assert record.read_mask().any() == record.is_defect
        np.testing.assert_array_equal(record.read_mask(), record.source.sample().wear_mask)


def test_both_label_the_same_photos():
    for one, other in zip(data_spec.read(section()), data_spec.read(section(labels="wear")),
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one.read_image(), other.read_image())


def test_a_record_is_the_sample_of_its_index():
    found = data_spec.read(section(broken_share=0.25))
    expected = inserts.draw(7, seed=3, spec=SPEC, broken_share=0.25)
    assert expected.is_broken
    np.testing.assert_array_equal(found[7].read_image(), expected.image)
    assert found[7].source.sample().vb_mean_um == expected.vb_mean_um
    assert found[7].is_defect


@pytest.mark.parametrize("labels", ["breakage", "wear"])
def test_they_are_split_by_class(labels):
    spec = section(labels=labels, count=20, tune=0.25, test=0.25)
    parts = data_spec.split(data_spec.read(spec), spec, seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 10, "tune": 5, "test": 5}
    assert all(part.is_defect.sum() > 0 for part in parts.values())
    # Each photo shows its own insert.
    assert all(part.parts == part.ids for part in parts.values())


def test_the_hash_follows_from_what_is_drawn():
    changes = [
        {},
        {"seed": 4},
        {"labels": "wear"},
        {"count": 11},
        {"broken_share": 0.25},
        {"insert": {"size": SIZE, "dirt": 0}},
    ]
    hashes = [data_spec.read(section(**change)).sha256() for change in changes]
    assert len(set(hashes)) == len(changes)
    assert data_spec.read(section()).sha256() == hashes[0]


@pytest.mark.parametrize("changes", [{"count": 0}, {"broken_share": -0.1}])
def test_numbers_out_of_range_are_refused(changes):
    options = {"count": 3, "broken_share": 0.5, "spec": SPEC, "seed": 0, "labels": "wear"}
    with pytest.raises(errors.ConfigError, match="count must be at least 1"):
        drawn_inserts.photos(**(options | changes))


def test_photos_are_split_alike_whatever_their_labels_are():
    split = {}
    for labels in ("breakage", "wear", "damage"):
        spec = data_spec.InsertsSpec(count=21, labels=labels, tune=0.2, test=0.3)
        parts = data_spec.split(data_spec.read(spec), spec, seed=len(labels))
        split[labels] = {name: part.ids for name, part in parts.items()}
    assert split["breakage"] == split["wear"] == split["damage"]
    assert set().union(*split["wear"].values()) == {f"insert/{k:06d}" for k in range(21)}


def test_damage_tells_the_wear_land_from_what_is_chipped_away():
    spec = data_spec.InsertsSpec(count=8, labels="damage", folds=2)
    for record in data_spec.read(spec):
        sample, ids = record.source.sample(), record.read_classes()
        np.testing.assert_array_equal(ids == 1, sample.wear_mask)
        assert (ids == 2).any() == sample.is_broken
        assert not ((ids == 2) & ~sample.chip_mask).any()
        assert record.class_ids() == tuple(np.unique(ids[ids > 0]))
        assert record.is_defect == bool(ids.any())
        assert record.split is None  # folds part them
