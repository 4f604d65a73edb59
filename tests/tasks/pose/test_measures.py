import dataclasses
import math

import numpy as np
import pytest

from inspection_tf import errors, evaluation, images, thresholds
from inspection_tf.datasets.records import Record
from inspection_tf.decision import Verdict
from inspection_tf.projection import Pose
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.pose import Settings, comparison, measures, pictures
from inspection_tf.tasks.pose.modes import Mode
from inspection_tf.tasks.pose.results import PoseFound

SIZE = (24, 32)


class Posed:
    """A source that knows a pose."""

    def __init__(self, pose):
        self.pose = pose

    def read_pose(self):
        return self.pose


def row(name, truth, found, *, outcome="OK", is_ng=False, sd=0.05, symmetry=1, modes=None):
    context = Context(
        ("deviation",),
        images.Preprocessing(size=SIZE),
        Settings(symmetry=symmetry),
        thresholds.OperatingPoint(threshold=0.5),
    )
    guesses = tuple(Mode(pose, 0.5, (1.0,) * 6) for pose in (modes or [truth]))
    result = PoseFound(found, (sd,) * 6 if found else (), guesses)
    verdict = Verdict(outcome, 0.1, 0.5, ("why",), result, image_size=SIZE, classes=("deviation",))
    return comparison.compare(Record(name, is_ng, Posed(truth)), verdict, context)


def metrics(rows):
    report = evaluation.report(
        rows,
        split="test",
        operating_point=thresholds.OperatingPoint(threshold=0.5),
        dataset_sha256="",
        classes=("deviation",),
    )
    return {name: value["value"] for name, value in report["metrics"].items()}


ROWS = [
    row("a", Pose(0.1, 1, 0, 3, 4, 0), Pose(359.9, 1, 0, 0, 0, 0)),
    row("b", Pose(10, 0, 0), Pose(10.02, 0.15, 0)),
    row("c", Pose(90, 0, 0), Pose(90.0, 0, -0.3), is_ng=True, outcome="NG"),
    row("d", Pose(90, 0, 0), Pose(140.0, 0, 0), outcome="REVIEW", modes=[Pose(270.0)]),
    row("e", Pose(90, 0, 0), None, outcome="REVIEW", modes=[Pose(200.0), Pose(92, 9, 0)]),
]


def test_errors_are_means_over_the_poses_that_are_not_refused():
    found = metrics(ROWS)
    assert found["angle_mae_phi_deg"] == pytest.approx((0.2 + 0.02 + 0) / 3)
    assert found["angle_mae_theta_deg"] == pytest.approx(0.05)
    assert found["angle_mae_psi_deg"] == pytest.approx(0.1)
    assert found["angle_p95_psi_deg"] == pytest.approx(0.3)
    assert found["position_error_mm"] == pytest.approx(5 / 3)
    assert found["within_tenth_deg"] == pytest.approx(0 / 3)
    assert found["turn_mean_deg"] == pytest.approx(
        (0.2 + Pose(10).turn_to(Pose(10.02, 0.15)) + 0.3) / 3, rel=1e-3
    )


def test_stated_intervals_hold_or_do_not():
    # 1.645 * 0.05 = 0.082: of phi 0.2 is outside, 0.02 and 0 are inside.
    found = metrics(ROWS)
    assert found["coverage_90_phi"] == pytest.approx(2 / 3)
    assert found["coverage_90_z"] == 1.0


def test_of_the_network_all_images_count():
    found = metrics(ROWS)
    assert found["network_mae_phi_deg"] == pytest.approx((0 + 0 + 0 + 180 + 110) / 5)
    # The last has one within 10 degrees, that of `d` has none.
    assert found["network_within_ten_deg"] == pytest.approx(4 / 5)


def test_of_a_part_that_looks_alike_the_nearest_pose_counts():
    tilted = Pose(300.0, 8.0, -2.0)
    same = tilted.alike(4)[1]
    found = row("a", tilted, same, symmetry=4)
    assert max(map(abs, found.result.off)) < 1e-9
    assert found.result.turn_deg == pytest.approx(0, abs=1e-5)
    alone = row("a", tilted, same)
    assert alone.result.turn_deg > 80


def test_where_none_is_told_nothing_of_poses_is_measured():
    found = metrics([ROWS[3], ROWS[4]])
    assert not [name for name in found if name.startswith("angle")]
    assert "network_mae_phi_deg" in found


def test_every_metric_has_words_and_every_row_its_columns():
    words = measures.MEASURES.meanings(("deviation",))
    assert set(metrics(ROWS)) <= set(words)
    assert max(map(len, words.values())) <= 40
    columns = measures.MEASURES.columns(())
    cells = {name: column(ROWS[0]) for name, column in columns.items()}
    assert cells["true_phi_deg"] == pytest.approx(0.1)
    assert cells["found_phi_deg"] == pytest.approx(359.9)
    assert cells["deviation_z_mm"] == 0.05
    empty = {name: column(ROWS[4]) for name, column in columns.items()}
    assert empty["found_phi_deg"] is empty["turn_deg"] is empty["deviation_x_mm"] is None


def test_labels_of_another_kind_are_refused():
    class Plain:
        pass

    record = Record("a", False, Plain())
    with pytest.raises(errors.DataError, match="labels are poses"):
        comparison.read_label(record)


def test_pictures_are_drawn_of_what_there_is(tmp_path):
    shown = evaluation.Look(
        np.full(SIZE, 200, np.uint8),
        comparison.PoseLabel(Pose()),
        Verdict("OK", 0.1, 0.5, (), PoseFound(None), image_size=SIZE),
    )
    drawn = pictures.draw(ROWS, lambda name: shown)
    assert sorted(drawn) == ["errors.png", "poses.png", "worst.png"]
    for draw in drawn.values():
        figure = draw()
        figure.savefig(tmp_path / "x.png")
    assert drawn["errors.png"]().axes[0].get_title().startswith("phi: mean")
    few = pictures.draw([ROWS[4]], lambda name: shown)
    assert few["errors.png"] is None


def test_a_result_has_no_distance_without_a_pose():
    assert math.isnan(ROWS[4].result.turn_deg)
    assert dataclasses.asdict(ROWS[4].result)["found"] is None
