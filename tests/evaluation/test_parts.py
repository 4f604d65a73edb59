"""Reports on images of which several show one part."""

import math

import image_rows
import numpy as np
import pytest

from inspection_tf import evaluation
from inspection_tf.evaluation import intervals
from inspection_tf.tasks.segmentation.measures import MEASURES


def row(name, group, *, is_ng, outcome):
    return image_rows.of_map(name, group=group, is_ng=is_ng, outcome=outcome, score=0.5)


# Parts a and b are defective, c and d are good; one image of a shows its good side.
ROWS = [
    row("a1", "a", is_ng=True, outcome="NG"),
    row("a2", "a", is_ng=True, outcome="OK"),
    row("a3", "a", is_ng=False, outcome="OK"),
    row("b1", "b", is_ng=True, outcome="OK"),
    row("b2", "b", is_ng=True, outcome="OK"),
    row("c1", "c", is_ng=False, outcome="OK"),
    row("c2", "c", is_ng=False, outcome="NG"),
    row("d1", "d", is_ng=False, outcome="REVIEW"),
]


def test_rates_of_parts_count_each_part_once():
    found = evaluation.summarize(ROWS, resamples=50)
    assert found["escape_rate"].value == 3 / 4  # of images, as ever
    assert found["escape_rate_parts_any"].value == 2 / 2
    assert found["escape_rate_parts_each"].value == 1 / 2  # b alone
    assert found["overkill_rate_parts"].value == 1 / 3  # c, of a, c and d
    one_of_two = intervals.clopper_pearson(1, 2, confidence=0.95)
    assert found["escape_rate_parts_each"] == one_of_two
    assert all(evaluation.meanings(MEASURES)[name] for name in found)


def test_a_report_and_its_table_say_how_many_parts_there_are():
    report = evaluation.report(ROWS, split="test", operating_point=None, dataset_sha256="0")
    assert report["counts"] == {"images": 8, "defective": 4, "groups": 4, "defective_groups": 2}
    assert "test split: 8 images, 4 defective; 4 parts, 2 defective" in str(
        evaluation.table(report, MEASURES).title
    )


def test_where_each_image_is_a_part_nothing_is_added():
    single = [row(r.id, r.id, is_ng=r.is_ng, outcome=r.outcome) for r in ROWS]
    found = evaluation.summarize(single, resamples=50)
    assert not [name for name in found if "parts" in name]
    assert found["escape_rate"] == intervals.clopper_pearson(3, 4, confidence=0.95)
    report = evaluation.report(single, split="test", operating_point=None, dataset_sha256="0")
    assert report["counts"] == {"images": 8, "defective": 4}


def test_an_interval_of_images_that_agree_is_as_wide_as_that_of_their_parts():
    # Twelve parts of six equal images: as much is known as from twelve images, not from 72.
    event = np.repeat([True] * 3 + [False] * 9, 6)
    group, every = np.repeat(np.arange(12), 6), np.ones(72, bool)
    found = intervals.clustered_rate(event, every, group, confidence=0.95)
    # The design effect reaches its bound, 6: Wilson's interval of 3 of 12, z = 1.959964:
    # (0.25 + z^2 / 24 +- z sqrt(0.25 * 0.75 / 12 + z^2 / 576)) / (1 + z^2 / 12).
    z = 1.959964
    half = z * math.sqrt(0.25 * 0.75 / 12 + z**2 / 576)
    low, high = ((0.25 + z**2 / 24 + side * half) / (1 + z**2 / 12) for side in (-1, 1))
    assert found.value == 0.25
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    alone = intervals.clopper_pearson(18, 72, confidence=0.95)
    assert found.high - found.low > 1.9 * (alone.high - alone.low)


def test_no_event_and_nothing_but_events_reach_the_ends():
    group, every = np.repeat(np.arange(10), 6), np.ones(60, bool)
    none = intervals.clustered_rate(~every, every, group, confidence=0.95)
    # No event says nothing of how images agree: ten parts, z^2 / (10 + z^2) at the upper end.
    assert (none.value, none.low) == (0.0, 0.0)
    assert 0.06 < none.high <= 1.959964**2 / (10 + 1.959964**2) + 1e-6
    full = intervals.clustered_rate(every, every, group, confidence=0.95)
    assert (full.high, full.low) == (1.0, pytest.approx(1 - none.high))


def test_images_that_cannot_show_the_event_do_not_count():
    group = np.array([0, 0, 1, 2])
    among = np.array([True, False, True, True])
    event = np.array([True, True, False, False])
    found = intervals.clustered_rate(event, among, group, confidence=0.95)
    assert found == intervals.clopper_pearson(1, 3, confidence=0.95)  # one image a part
    empty = intervals.clustered_rate(event, ~(among | ~among), group, confidence=0.95)
    assert empty == evaluation.Estimate(None)


def test_changes_of_rates_are_compared_part_by_part():
    after = [row(r.id, r.group, is_ng=r.is_ng, outcome="NG") for r in ROWS]
    found = evaluation.changes(ROWS, after, resamples=50)
    assert found["escape_rate"].value == -3 / 4
    assert found["overkill_rate"].value == 3 / 4  # one of four before, four of four after
