import re
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.config import bases
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


# Few measurements


def measured(loss, tune, **more):
    """A history with `tune`, a dict from epoch to tune loss."""
    rows = history(loss, **more)
    for epoch, value in tune.items():
        rows[epoch - 1]["val_loss"] = value
    return rows


@pytest.mark.parametrize(
    ("tune", "evidence"),
    [
        # Training falls from 0.19 in epoch 7 to 0.052: what counts is 15 % of the lowest, 0.045.
        (
            {7: 0.3, 20: 0.36},
            r"rose from 0\.3 \(epoch 7\) to 0\.36 while .* from 0\.185 to 0\.0518",
        ),
        ({6: 0.4, 12: 0.25, 20: 0.34}, r"rose from 0\.25 \(epoch 12\) to 0\.34"),
        # Of a network whose average lagged at first, which makes the tune loss fall a lot.
        ({6: 1.0, 12: 0.2, 20: 0.3}, r"rose from 0\.2 \(epoch 12\) to 0\.3"),
        ({5: 0.4, 10: 0.2, 15: 0.28, 20: 0.36}, r"rose from 0\.2 \(epoch 10\) to 0\.36"),
        ({20: 0.3}, r"at the end the tune loss is 0\.3, 5\.8 times that of training"),
    ],
)
def test_few_measurements_tell_overfitting_beside_the_training_loss(tune, evidence):
    found = doctor.diagnose(measured(FALLING, tune))
    assert found.kind == "overfitting"
    assert re.search(evidence, found.evidence), found.evidence


@pytest.mark.parametrize(
    "tune",
    [
        {7: 0.3, 20: 0.08},
        {7: 0.1, 20: 0.1},
        {12: 0.09, 20: 0.1},  # 11 % more
        {6: 1.0, 12: 0.1, 20: 0.09},
    ],
)
def test_a_tune_loss_that_hardly_rises_is_no_overfitting(tune):
    assert doctor.diagnose(measured(FALLING, tune)).kind == "sound"


def test_a_rise_within_the_jitter_of_the_training_loss_is_no_finding():
    loss = FALLING + 0.3 + 0.05 * np.random.default_rng(0).standard_normal(20)
    tune = {7: 0.4, 20: 0.52}  # 30 %, but about 2 deviations
    assert doctor.diagnose(measured(FALLING + 0.3, tune)).kind == "overfitting"
    assert doctor.diagnose(measured(loss, tune)).kind == "sound"


@pytest.mark.parametrize(
    "tune",
    [
        {6: 0.3, 12: 0.8, 20: 0.2},
        {5: 0.4, 10: 0.8, 15: 0.3, 20: 0.7},  # which rises at the end, but has done so before
        {4: 0.5, 8: 0.2, 12: 0.6, 16: 0.2, 20: 0.2},
    ],
)
def test_a_measurement_far_above_both_beside_it_is_noise(tune):
    found = doctor.diagnose(measured(FALLING, tune))
    assert found.kind == "noisy tune set"
    assert re.search(r"is 0\.[68] in epoch \d+, between 0\.\d and 0\.\d at", found.evidence)


@pytest.mark.parametrize(
    ("tune", "phases"),
    [
        # An average that has learned nothing yet gets worse before it gets better.
        ({1: 1.0, 2: 1.4, 20: 0.1}, None),
        # So does one that begins again, with another phase.
        ({5: 0.4, 8: 0.9, 20: 0.1}, [1.0] * 5 + [2.0] * 15),
    ],
)
def test_what_a_beginning_brings_is_no_noise(tune, phases):
    rows = measured(FALLING, tune, **({} if phases is None else {"phase": phases}))
    assert doctor.diagnose(rows).kind == "sound"


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({}, "; the tune loss was not measured, so that nothing is known of overfitting"),
        (
            {20: 0.06},
            "; 1 measurement of the tune loss is too few to tell a rise, which takes 2, or",
        ),
        ({10: 0.1, 20: 0.06}, "; 2 measurements of the tune loss are too few to tell noise, which"),
        ({5: 0.3, 10: 0.1, 20: 0.06}, "the training loss"),
    ],
)
@pytest.mark.parametrize(("loss", "kind"), [(FALLING, "sound"), (FLAT, "underfitting")])
def test_what_cannot_be_told_from_so_few_measurements_is_said(loss, kind, tune, said):
    found = doctor.diagnose(measured(loss, tune))
    assert found.kind == kind
    assert said in found.evidence
    assert ("lower train.validate_every" in found.evidence) == (len(tune) in (1, 2))


def test_of_a_last_phase_with_one_measurement_noise_is_unknown_but_not_a_rise():
    rows = measured(FALLING, {5: 0.3, 20: 0.1}, phase=[1.0] * 5 + [2.0] * 15)
    said = "; 1 measurement of the tune loss is too few to tell noise, which takes 3"
    assert said in doctor.diagnose(rows).evidence
    rows[-1]["val_loss"] = 0.5
    assert doctor.diagnose(rows).kind == "overfitting"


def test_a_history_without_a_row_is_too_short():
    assert doctor.diagnose([]).kind == "too short"


def test_healthy_curves_are_rarely_called_ill():
    rng = np.random.default_rng(5)
    epochs = np.arange(1, 31)
    course = 0.12 + 0.9 * np.exp(-epochs / 8)
    kinds = [
        doctor.diagnose(
            measured(
                course + 0.02 * rng.standard_normal(30),
                {e: course[e - 1] + 0.02 * rng.standard_normal() for e in (10, 20, 30)},
            )
        ).kind
        for _ in range(300)
    ]
    assert kinds.count("sound") >= 297


def stages(values, path=()):
    """Every stage of a configuration that trains, by its name."""
    if {"epochs", "validate_every"} <= set(values):
        yield ".".join(path), values
    for name, value in values.items():
        if isinstance(value, dict):
            yield from stages(value, (*path, name))


SHIPPED = [
    pytest.param(stage, id=f"{path.stem} {name}")
    for path in sorted((Path(__file__).parents[2] / "pipelines").glob("*.yaml"))
    for name, stage in stages(bases.read(path).values)
]


def measured_epochs(stage):
    ends = np.cumsum([phase["epochs"] for phase in stage.get("phases", ())]).tolist()
    every = range(stage["validate_every"], stage["epochs"] + 1, stage["validate_every"])
    return sorted({*every, *ends, stage["epochs"]})


@pytest.mark.parametrize("stage", SHIPPED)
def test_the_doctor_can_speak_of_every_configuration_that_is_shipped(stage):
    count, at = stage["epochs"], measured_epochs(stage)
    loss = 0.1 + np.exp(-np.arange(count) / (count / 6))
    phases = [
        p for p, phase in enumerate(stage.get("phases", ()), 1) for _ in range(phase["epochs"])
    ]
    more = {"phase": phases} if phases else {}

    def kind(tune):
        return doctor.diagnose(measured(loss, dict(zip(at, tune, strict=True)), **more)).kind

    healthy = [loss[epoch - 1] + 0.02 for epoch in at]
    assert kind(healthy) == "sound"
    middle = (len(at) - 1) // 2
    rise = np.clip(np.arange(len(at)) - middle, 0, None) / (len(at) - 1 - middle)
    assert kind(healthy + 0.8 * rise) == "overfitting"
    found = doctor.diagnose(measured(loss, dict(zip(at, healthy, strict=True)), **more)).evidence
    steady = sum(not phases or phases[epoch - 1] == phases[-1] for epoch in at)
    assert ("too few to tell noise" in found) == (steady < 3)
