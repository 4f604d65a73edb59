"""What is measured on poses, of the images whose pose was not refused: judged OK or NG.

- `angle_mae_<phi|theta|psi>_deg`  mean absolute error, on a circle: 359.9 and 0.1 are 0.2 apart.
- `angle_p95_<phi|theta|psi>_deg`  its 95th percentile.
- `turn_mean_deg`                  mean angle between the found and the true orientation.
- `position_error_mm`              mean distance of the place, and `position_p95_mm`.
- `within_tenth_deg`               share of them with each angle right to 0.1 degrees.
- `coverage_90_<phi|...|z>`        share of them whose stated interval of 90 % holds the truth.

Of a part that looks alike n times in a turn the error is that from the nearest of its n poses. And
of all images, whatever was decided:

- `network_mae_<phi|theta|psi>_deg`  of the likeliest pose of the network alone.
- `network_within_ten_deg`         share of images with each angle of one of the network's three
                                   likeliest poses right to 10 degrees.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from inspection_tf import evaluation
from inspection_tf.evaluation import columns, intervals
from inspection_tf.evaluation.intervals import Floats, Statistic
from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.pose.settings import ANGLES, NAMES, UNITS

NINETY = 1.6448536
"""Standard deviations on each side that hold 90 % of a normal distribution."""
WITHIN_DEG, NEAR_DEG = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class PoseResult:
    """How far a pose is from the true one.

    Attributes:
        truth: how the part lies.
        found: the pose of the verdict; None: there is none.
        off: (6,), degrees and mm; nan without a pose.
        turn_deg: angle between the orientations.
        stated: (6,), stated standard deviations.
        of_modes: (6,) for each pose of the network, the likeliest first.
    """

    kind: ClassVar[str] = "pose"

    truth: Pose
    found: Pose | None
    off: tuple[float, ...]
    turn_deg: float
    stated: tuple[float, ...]
    of_modes: tuple[tuple[float, ...], ...]

    @property
    def position_error_mm(self) -> float:
        """Distance of the places, by what an image shows of them: no depth in a parallel beam."""
        shown = zip(self.off[3:], self.stated[3:], strict=True)
        return math.hypot(*(off for off, deviation in shown if not math.isinf(deviation)))

    @property
    def nearest_mode_deg(self) -> float:
        """Largest error of an angle, of the one of three poses for which it is smallest."""
        return min((max(map(abs, one[:3])) for one in self.of_modes[:3]), default=180.0)


def results(rows: Sequence[evaluation.ImageResult]) -> list[PoseResult]:
    """Return the poses of rows."""
    return [row.result_as(PoseResult) for row in rows]


def is_told(row: evaluation.ImageResult) -> bool:
    """Return whether the pose of a row counts: it was found, and not left to a person."""
    return row.outcome != "REVIEW" and row.result_as(PoseResult).found is not None


@dataclass(frozen=True, slots=True)
class PoseMeasures:
    """Metrics of poses."""

    lower_is_better: ClassVar[tuple[str, ...]] = ("angle_", "turn_", "position_", "network_mae_")
    # What the poses themselves are bounded by, a hundredth of a degree, bounds these too.
    bounds: ClassVar[dict[str, evaluation.Bound]] = {
        **{f"angle_mae_{name}_deg": "none" for name in ANGLES},
        **{f"angle_p95_{name}_deg": "none" for name in ANGLES},
        "turn_mean_deg": "none",
        "position_error_mm": "none",
        "position_p95_mm": "none",
        "within_tenth_deg": "none",
        **{f"coverage_90_{name}": "none" for name in NAMES},
        **{f"network_mae_{name}_deg": "none" for name in ANGLES},
    }

    def statistics(
        self, rows: Sequence[evaluation.ImageResult], classes: Sequence[str]
    ) -> dict[str, tuple[Statistic, int]]:
        """Return the metrics as statistics of counts of groups."""
        group_of, found = evaluation.groups(rows), results(rows)
        told = np.array([is_told(row) for row in rows])
        off = np.abs([one.off for one in found])
        stated = np.array([one.stated for one in found], np.float64)
        place = np.array([one.position_error_mm for one in found])
        turn = np.array([one.turn_deg for one in found])
        own = group_of[told]

        def mean(values: NDArray[np.generic]) -> tuple[Statistic, int]:
            # By whole runs of groups: those without a pose weigh nothing.
            kept = np.where(told, np.asarray(values, np.float64), 0.0)
            return intervals.ratio_of_sums(kept, told.astype(np.float64), group_of)

        def p95(values: Floats) -> tuple[Statistic, int]:
            return intervals.quantile(values[told], 0.95, own)

        statistics: dict[str, tuple[Statistic, int]] = {}
        if told.any():
            for index, name in enumerate(ANGLES):
                statistics[f"angle_mae_{name}_deg"] = mean(off[:, index])
                statistics[f"angle_p95_{name}_deg"] = p95(off[:, index])
            statistics["turn_mean_deg"] = mean(turn)
            statistics["position_error_mm"] = mean(place)
            statistics["position_p95_mm"] = p95(place)
            statistics["within_tenth_deg"] = mean(off[:, :3].max(axis=1) < WITHIN_DEG)
            for index, name in enumerate(NAMES):
                if np.isfinite(stated[told, index]).any():
                    is_held = off[:, index] <= NINETY * stated[:, index]
                    statistics[f"coverage_90_{name}"] = mean(is_held)
        return statistics | _of_network(found, group_of)

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        """Return every metric in its order and in words."""
        return {
            **{f"angle_mae_{name}_deg": "mean error, not refused" for name in ANGLES},
            **{f"angle_p95_{name}_deg": "95 % of them err less" for name in ANGLES},
            "turn_mean_deg": "mean angle between orientations",
            "position_error_mm": "mean distance of places",
            "position_p95_mm": "95 % of them are nearer",
            "within_tenth_deg": "each angle right to 0.1 deg",
            **{f"coverage_90_{name}": "stated 90 % intervals that hold" for name in NAMES},
            **evaluation.OUTCOMES,
            **{f"network_mae_{name}_deg": "mean error of the network alone" for name in ANGLES},
            "network_within_ten_deg": "one of its three poses within 10 deg",
        }

    def columns(self, classes: Sequence[str]) -> dict[str, evaluation.Column]:
        """Return the columns of the table of images: true and found pose, and how sure that is."""
        return {
            **columns.OUTCOME,
            **columns.REASON,
            **{f"true_{name}_{UNITS[name]}": _true(name) for name in NAMES},
            **{f"found_{name}_{UNITS[name]}": _found(name) for name in NAMES},
            **{
                f"deviation_{name}_{UNITS[name]}": _numbered(place)
                for place, name in enumerate(NAMES)
            },
            "turn_deg": lambda row: _finite(row.result_as(PoseResult).turn_deg),
            "position_error_mm": lambda row: _finite(row.result_as(PoseResult).position_error_mm),
        }

    def class_count(self, row: evaluation.ImageResult) -> int:
        """Return 0: a part is as its model, or it is not."""
        return 0

    def warning(self, rows: Sequence[evaluation.ImageResult]) -> str:
        """Say nothing: every label is a pose."""
        return ""


def _of_network(
    found: Sequence[PoseResult], group_of: NDArray[np.int64]
) -> dict[str, tuple[Statistic, int]]:
    """Return the metrics of the network alone."""
    has_mode = np.array([bool(one.of_modes) for one in found])
    if not has_mode.any():
        return {}
    best = np.abs([one.of_modes[0][:3] if one.of_modes else (0.0,) * 3 for one in found])
    weight = has_mode.astype(np.float64)
    every = np.ones(len(found))
    near = np.array([one.nearest_mode_deg < NEAR_DEG for one in found], np.float64)
    maes = {
        f"network_mae_{name}_deg": intervals.ratio_of_sums(
            best[:, index] * weight, weight, group_of
        )
        for index, name in enumerate(ANGLES)
    }
    return {**maes, "network_within_ten_deg": intervals.ratio_of_sums(near, every, group_of)}


def _true(name: str) -> Callable[[evaluation.ImageResult], evaluation.Cell]:
    return lambda row: float(getattr(row.result_as(PoseResult).truth, name))


def _found(name: str) -> Callable[[evaluation.ImageResult], evaluation.Cell]:
    def cell(row: evaluation.ImageResult) -> evaluation.Cell:
        pose = row.result_as(PoseResult).found
        return None if pose is None else float(getattr(pose, name))

    return cell


def _numbered(place: int) -> Callable[[evaluation.ImageResult], evaluation.Cell]:
    return lambda row: _finite(row.result_as(PoseResult).stated[place])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


MEASURES = PoseMeasures()
