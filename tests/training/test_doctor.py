import re

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.training import doctor


def history(loss, val=None, **more):
    columns = {"loss": loss, **({} if val is None else {"val_loss": val}), **more}
    return [
        {"epoch": epoch + 1.0, **{name: float(values[epoch]) for name, values in columns.items()}}
        for epoch in range(len(loss))
    ]


EPOCHS = np.arange(20)
FALLING = 0.05 + np.exp(-EPOCHS / 3)  # 1.05 to 0.052: over before the last quarter
FLAT = 0.7 + 0.1 * np.exp(-EPOCHS / 3)  # 0.8 to 0.70, 88 % of the start
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("rows", "kind", "evidence"),
    [
        (history(FALLING[:3]), "too short", "3 epochs, of 4"),
        (history(0.693 - 0.0004 * EPOCHS), "not learning", "from 0.693 to 0.685 in 20 epochs"),
        (history(0.69 + 0.01 * RNG.standard_normal(20)), "not learning", "hardly fell"),
        # A straight line: a quarter of the epochs, 5 of 19 steps, is 26 % of the fall.
        (history(1 - 0.04 * EPOCHS), "slow learning", "26% of its whole fall in the last quarter"),
        (history(FALLING, FALLING + 0.02), "sound", "from 1.05 to 0.0518 in 20 epochs"),
        (history(FLAT, FLAT + 0.01), "underfitting", "stopped falling at 0.7, 88%"),
        # The tune loss is lowest at epoch 6 and rises by 0.03 an epoch.
        (
            history(FALLING, 0.3 + np.where(EPOCHS < 5, 5 - EPOCHS, (EPOCHS - 5) * 0.1) * 0.2),
            "overfitting",
            r"rose from 0\.3.*\(epoch [67]\) to 0\.58 while that of training fell",
        ),
        (history(FALLING, 0.2 + FALLING), "overfitting", "times that of training"),
        (
            history(FALLING, 0.3 + FALLING + 0.5 * (-1.0) ** EPOCHS),
            "noisy tune set",
            "jumps by",
        ),
    ],
)
def test_each_finding_is_told_with_its_evidence(rows, kind, evidence):
    found = doctor.diagnose(rows)
    assert (found.kind, found.remedy) == (kind, doctor.REMEDIES[kind])
    assert re.search(evidence, found.evidence), found.evidence
    assert str(found) == f"{kind}: {found.evidence}. {found.remedy}"


def test_a_target_that_is_reached_is_solved_whatever_the_curves():
    rows = history(FLAT, val_error=0.5 - 0.02 * EPOCHS)  # ends at 0.12
    target = doctor.Target("val_error", 0.15)
    assert doctor.diagnose(rows, target=target).kind == "solved"
    higher = doctor.Target("val_error", 0.1, is_lower_better=False)
    assert "asked for >= 0.1" in doctor.diagnose(rows, target=higher).evidence


def test_a_target_that_is_missed_makes_a_plateau_underfitting():
    rows = history(FALLING, FALLING, val_error=np.full(20, 0.3))
    found = doctor.diagnose(rows, target=doctor.Target("val_error", 0.1))
    assert found.kind == "underfitting"
    assert found.evidence.endswith("val_error is 0.3, asked for <= 0.1")


def test_measurements_may_be_rarer_than_epochs():
    rows = history(FALLING)
    for row in rows[4::5]:
        row["val_loss"] = row["loss"] * 4 + 0.3
    assert doctor.diagnose(rows).kind == "overfitting"


def test_a_single_outlier_is_no_finding():
    val = FALLING + 0.02
    val[15] += 0.5
    assert doctor.diagnose(history(FALLING, val)).kind == "sound"


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(errors.DataError, match=r"none called 'iou'. Name one of epoch, loss"):
        doctor.diagnose(history(FALLING), target=doctor.Target("iou", 0.5))


def test_a_history_with_holes_is_refused():
    rows = history(FALLING)
    rows[3]["loss"] = float("nan")
    with pytest.raises(errors.DataError, match="Got 1 of 20 without"):
        doctor.diagnose(rows)
