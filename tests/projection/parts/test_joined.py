import numpy as np
import pytest
from xray_parts import PART, POSE, SCANNER

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Sphere
from inspection_tf.projection.parts import Joined

BALL = Assembly([Body(Sphere(3.0), "iron")])


def test_each_part_adds_what_it_takes():
    found = Joined([PART, BALL, BALL]).path_lengths(SCANNER, POSE, samples=2)
    alone = PART.path_lengths(SCANNER, POSE, samples=2)["aluminium"]
    of_ball = BALL.path_lengths(SCANNER, POSE, samples=2)["iron"]
    np.testing.assert_array_equal(found["aluminium"], alone)
    np.testing.assert_array_equal(found["iron"], 2 * of_ball)


def test_it_is_as_wide_as_the_widest_and_of_all_their_materials():
    joined = Joined([PART, BALL])
    assert joined.reach == PART.reach
    assert joined.materials == ("aluminium", "iron")
    assert joined.is_sharp


def test_nothing_is_no_part():
    with pytest.raises(errors.DataError, match="Got none"):
        Joined([])
