import dataclasses

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.datasets import records
from inspection_tf.datasets.drawn import surfaces as drawn_surfaces
from inspection_tf.synthesis import surface

SPEC = surface.SurfaceSpec(size=(40, 56))


def surfaces(**changes):
    options = {"count": 8, "defective_fraction": 0.5, "spec": SPEC, "seed": 3, **changes}
    return drawn_surfaces.surfaces(**options)


def compose(good, **changes):
    options = {"per_image": 2, "spec": SPEC, "seed": 5, "weak_labels": False, **changes}
    return drawn_surfaces.compose(good, **options)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_labels_agree_with_the_pixels_that_are_drawn(fraction):
    found = surfaces(count=10, defective_fraction=fraction)
    assert found.counts()["defective"] == round(10 * fraction)
    for record in found:
        assert record.read_mask().any() == record.is_defect


def test_a_record_is_the_sample_of_its_index():
    found = surfaces()
    sample = surface.draw(5, seed=3, spec=SPEC, defective_fraction=0.5)
    np.testing.assert_array_equal(found[5].read_image(), sample.image)
    np.testing.assert_array_equal(found[5].read_mask(), sample.mask)
    np.testing.assert_array_equal(surfaces(weak_labels=True)[5].read_mask(), sample.ellipse)


def test_the_hash_follows_from_what_is_drawn():
    base = surfaces().sha256()
    assert surfaces().sha256() == base
    others = [
        surfaces(seed=4),
        surfaces(weak_labels=True),
        surfaces(count=7),
        surfaces(spec=surface.SurfaceSpec(size=(40, 56), max_defects=1)),
    ]
    assert len({base, *(other.sha256() for other in others)}) == 5


def test_composed_defects_change_labelled_pixels_of_their_base_only():
    good = surfaces(defective_fraction=0.0, count=3)
    made = compose(good, weak_labels=True)
    assert len(made) == 6
    assert made.is_defect.all()
    for record in made:
        base = next(r for r in good if r.id == record.group)
        changed = record.read_image() != base.read_image()
        assert changed.any()
        # The ellipse covers the mask, which leaves out the faint rim of a defect.
        assert (changed & record.read_mask()).sum() > 0.5 * changed.sum()


def test_composed_defects_follow_from_seed_and_id_alone():
    good = surfaces(defective_fraction=0.0, count=4)
    every, alone = compose(good), compose(good[2:3])
    again = every.select(alone.ids)
    for one, other in zip(alone, again, strict=True):
        np.testing.assert_array_equal(one.read_image(), other.read_image())
    assert compose(good).sha256() == every.sha256()
    assert compose(good, seed=6).sha256() != every.sha256()
    assert compose(good, weak_labels=True).sha256() != every.sha256()


def test_where_classes_are_told_apart_each_is_drawn_from_its_own_families():
    good = dataclasses.replace(
        surfaces(defective_fraction=0.0, count=12, spec=surface.SurfaceSpec(size=(64, 96))),
        classes=("Hole", "Crack", "Dent"),
    )
    families = {"Crack": ("crack", "scratch"), "Hole": ("pit",)}
    made = compose(good, per_image=2, weak_labels=False, classes=families)
    assert made.classes == good.classes
    names = {record.id: good.classes[record.class_id - 1] for record in made}
    assert set(names.values()) == {"Crack", "Hole"}
    for record in made:
        sample = record.source._sample("apply")
        assert set(sample.defects) <= set(families[names[record.id]])
        np.testing.assert_array_equal(record.read_classes(), record.class_id * sample.mask)
    with pytest.raises(errors.DataError, match=r"of Hole, Crack, Dent in .*\. Got Fray\. Name"):
        compose(good, classes={"Fray": ("bare",)})


def test_a_share_of_the_good_images_is_composed_onto():
    good = surfaces(defective_fraction=0.0, count=200)
    some = compose(good, per_image=0.3, seed=6)
    assert 40 <= len(some) <= 80
    assert set(some.ids) <= set(compose(good, per_image=1).ids)
    assert len(compose(good, per_image=1.3, seed=6)) == 200 + len(some)


def test_composed_defects_stay_in_the_group_of_their_base(make_record):
    good = records.Records.of(
        [make_record("a", group="g"), make_record("b"), make_record("bad", is_defect=True)]
    )
    made = compose(good, per_image=1)
    assert made.ids == ("a+defect0", "b+defect0")
    assert made.groups == ("g", "b")


def test_defects_do_not_go_onto_images_that_are_too_small(make_records):
    made = compose(make_records(1, 0))
    with pytest.raises(errors.ImageError, match="at least 32 px"):
        made[0].read_image()
