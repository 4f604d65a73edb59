"""A verdict on a pose compared with the true one."""

import math
from dataclasses import dataclass

import numpy as np

from inspection_tf import decision, errors, evaluation
from inspection_tf.datasets.records import Record
from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.pose.measures import MEASURES, PoseResult
from inspection_tf.tasks.pose.results import PoseFound
from inspection_tf.tasks.pose.settings import Settings


@dataclass(frozen=True, slots=True)
class PoseLabel:
    """What is true of an image.

    Attributes:
        pose: of the part.
    """

    pose: Pose


def read_label(record: Record) -> PoseLabel:
    """Return how the part of an image lies.

    Raises:
        errors.DataError: the label is of another kind.
    """
    pose = record.read_pose()
    if pose is None:
        raise errors.DataError(
            f"{record.id}: an inspector that measures poses needs images whose labels are poses. "
            f"Got labels that are {record.label_kind}. Give images with poses, or a bundle of "
            "another task."
        )
    return PoseLabel(pose)


def compare(record: Record, verdict: decision.Verdict, context: Context) -> evaluation.ImageResult:
    """Compare the pose of a verdict with the true one, whatever was decided about it.

    Raises:
        errors.DataError: the label is of another kind.
    """
    settings = context.settings_as(Settings)
    truth, result = read_label(record).pose, verdict.result
    found = result if isinstance(result, PoseFound) else PoseFound(None)
    off, turn = np.full(6, np.nan), math.nan
    if found.pose is not None:
        nearest = truth.nearest_alike(found.pose, settings.symmetry)
        off, turn = found.pose.off_from(nearest), found.pose.turn_to(nearest)
    of_modes = [
        mode.pose.off_from(truth.nearest_alike(mode.pose, settings.symmetry))
        for mode in found.modes
    ]
    return evaluation.ImageResult.of(
        record,
        verdict,
        MEASURES,
        PoseResult(
            truth=truth.first_alike(settings.symmetry),
            found=found.pose,
            off=tuple(off.tolist()),
            turn_deg=turn,
            stated=found.deviations or (math.nan,) * 6,
            of_modes=tuple(tuple(one.tolist()) for one in of_modes),
        ),
        true_class=context.classes[0] if record.is_defect else "",
    )
