import dataclasses

import numpy as np
import pytest
from pose_images import FREE, near
from xray_parts import PART, POSE, SETUP, image

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Cylinder, Pose, setup_files
from inspection_tf.tasks import once
from inspection_tf.tasks.pose import DifferenceRules, Settings, measuring

FILE = setup_files.dumped(SETUP)
SETTINGS = Settings(refinement=FREE)
START = near(POSE, np.random.default_rng(1), turn=0.5, mm=0.2)
DRILLED = dataclasses.replace(
    SETUP, part=Assembly([*PART.bodies, Body(Cylinder(1.5, 60.0), None, Pose(x=3.0, y=-8.0))])
)


def job(pixels, settings=SETTINGS, start=START):
    return measuring.Job(pixels, FILE, [start], settings)


def found(pixels, settings=SETTINGS):
    return job(pixels, settings).done()


@pytest.fixture(scope="module")
def intact():
    return found(image(POSE))


@pytest.fixture(scope="module")
def drilled():
    return found(image(POSE, setup=DRILLED))


def test_an_intact_part_is_as_its_model(intact):
    assert intact.refused == ()
    assert intact.regions == ()
    assert intact.most_significant < SETTINGS.difference.min_significance
    assert intact.pose.turn_to(POSE) < 0.1
    assert intact.light.shape == SETUP.scanner.size


def test_a_bore_too_many_is_a_region_with_less_material_and_the_pose_is_measured_by_the_rest(
    drilled,
):
    assert drilled.refused == ()
    worst = drilled.regions[0]
    assert worst.depth_mm < -1
    assert worst.significance > 10
    assert drilled.pose.turn_to(POSE) < 0.1


def test_what_differs_too_much_of_the_image_is_not_left_out():
    strict = SETTINGS.model_copy(update={"difference": DifferenceRules(max_left_out=0.0)})
    whole = found(image(POSE, setup=DRILLED), strict)
    assert whole.refused != ()


def test_within_a_block_an_image_is_measured_once(monkeypatch):
    asked = []
    refine = measuring.refine
    monkeypatch.setattr(measuring, "refine", lambda *given: asked.append(1) or refine(*given))
    one = job(image(POSE))
    with once.keeping(10**7):
        (first,), (again, twin) = once.results([one]), once.results([one] * 2)
        assert first is again is twin
    assert len(asked) == 1
    once.results([one])
    assert len(asked) == 2  # outside of it nothing is kept


def test_processes_measure_what_one_does(intact, drilled):
    jobs = [job(image(POSE)), job(image(POSE, setup=DRILLED))]
    with once.keeping(10**7, processes=2):
        results = once.results(jobs)
    for one, alone in zip(results, (intact, drilled), strict=True):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(alone, field.name))
        for array in (one.differs, one.significance, one.light):
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 1


def test_what_changes_a_result_gives_another_key():
    one = job(image(POSE))
    settings = {
        "refinement": SETTINGS.refinement.model_copy(update={"starts": 2}),
        "refusals": SETTINGS.refusals.model_copy(update={"max_chi2": 2.0}),
        "compare": False,
        "difference": DifferenceRules(min_significance=9.0),
        "symmetry": 2,
    }
    others = [
        job(image(POSE), SETTINGS.model_copy(update={name: value}))
        for name, value in settings.items()
    ]
    others += [job(image(Pose(phi=1))), job(image(POSE), start=Pose(phi=1))]
    others.append(dataclasses.replace(one, part=FILE + b" "))
    keys = [other.key for other in (one, *others)]
    assert len(set(keys)) == len(keys)
    scaled = SETTINGS.model_copy(update={"deviation_scale": (2.0,) * 6})
    assert job(image(POSE), scaled).key == one.key


def test_a_result_cannot_be_changed(intact):
    for array in (intact.differs, intact.significance, intact.light):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_without_a_comparison_nothing_differs():
    alone = found(image(POSE), SETTINGS.model_copy(update={"compare": False}))
    assert alone.most_significant == 0
    assert alone.regions == ()


def test_a_start_beyond_the_source_is_said():
    away = Pose(z=-2 * SETUP.scanner.source_part_mm)
    told = job(image(POSE), start=away).done()
    assert isinstance(told, str)
    assert "source" in told


def test_a_file_that_is_none_is_refused():
    with pytest.raises(errors.BundleError, match=r"part\.npz must hold a part"):
        measuring.setup_of(b"nothing")
