"""How far two outputs of the networks that locate a field are from each other."""

import math

import numpy as np
import pytest

from inspection_tf import images, tasks, thresholds
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.fields.refinement import FieldCorners
from inspection_tf.tasks.fields.settings import Settings
from inspection_tf.tasks.fields.task import FieldOutput

SIZE = (100, 200)  # height, width
SPEC = images.Preprocessing(size=SIZE)
CONTEXT = Context(
    classes=("no field",),
    preprocessing=SPEC,
    settings=Settings(),
    operating_point=thresholds.OperatingPoint(threshold=0.5),
)
PREPARED = Prepared(np.zeros((1, *SIZE, 1), np.uint8), None, images.placement(SIZE, SPEC))
FLAT = (0.25, 0.25, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75)
TASK = tasks.get("corners")


def corners(moved=0.0, confidence=0.9):
    """Return corners of which the first one lies aside by a share of the width."""
    return FieldCorners.from_row(np.array([FLAT[0] + moved, *FLAT[1:], confidence], np.float32))


def distance(first, second):
    (found,) = TASK.distances(first, second, PREPARED, CONTEXT).values()
    return found


@pytest.mark.parametrize("network", ["coarse", "located"])
def test_the_distance_is_that_of_the_corner_that_is_furthest_off_whichever_network_says_it(network):
    plain = {"coarse": corners(), "located": corners()}
    # 0.01 of 200 px
    aside = FieldOutput(**{**plain, network: corners(0.01)})
    assert distance(FieldOutput(**plain), aside) == pytest.approx(2.0, abs=1e-3)


def test_where_neither_finds_a_field_there_is_no_distance():
    none, other = (FieldOutput(*[corners(moved, confidence=0.1)] * 2) for moved in (0.0, 0.1))
    assert distance(none, other) == 0.0
    assert distance(none, FieldOutput(corners(0.1), corners(0.1))) == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize("network", ["coarse", "located"])
def test_an_output_that_is_not_finite_is_far_from_one_with_a_field(network):
    plain = {"coarse": corners(), "located": corners()}
    undefined = FieldOutput(**{**plain, network: FieldCorners.undefined()})
    assert distance(FieldOutput(**plain), undefined) == math.inf


def test_the_record_is_that_of_the_last_network_and_scores_are_of_both():
    output = FieldOutput(corners(confidence=0.8), corners(0.01, confidence=0.6))
    np.testing.assert_array_equal(
        TASK.as_array(output, PREPARED, CONTEXT), corners(0.01, confidence=0.6).as_row()
    )
    scores = TASK.scores(output, PREPARED, CONTEXT)
    assert scores == pytest.approx({"score": 0.4, "coarse_score": 0.2})
