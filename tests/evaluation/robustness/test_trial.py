"""An inspector on perturbed images: rates by perturbation and strength, and their report."""

import csv
import io

import image_rows
import numpy as np
import pytest
import rich.console

from inspection_tf import decision, errors, plots
from inspection_tf.datasets import records
from inspection_tf.evaluation import robustness
from inspection_tf.evaluation.robustness import Plan

ONE = Plan(strengths=(0.5, 1.0), perturbations=("illumination", "scale"))


class Source:
    def __init__(self, level, template=None):
        self.level = level
        self.template = template
        self.has_template = template is not None

    def read_image(self, *, orientation="apply"):
        return np.full((6, 9), self.level, np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((6, 9), bool)

    def read_template(self, *, orientation="apply"):
        return np.full((6, 9), self.template, np.uint8)

    def identity(self):
        return b""


class Inspector:
    """Calls what is brighter than 100 on average NG."""

    task, context = image_rows.SEGMENTATION, image_rows.context()

    def __init__(self):
        self.seen = []

    def inspect(self, source, /, *, template=None):
        self.seen.append((source, template))
        score = float(source.mean()) / 200
        return decision.Verdict("NG" if score >= 0.5 else "OK", score, 0.5)


LABELLED = records.Records.of(
    [records.Record(f"{n}", n > 1, Source(level)) for n, level in enumerate((60, 95, 105, 250))]
)
ROWS = [
    image_rows.of_map(r.id, is_ng=r.is_defect, outcome="NG" if r.is_defect else "OK")
    for r in LABELLED
]


def tried(plan=ONE, **options):
    return robustness.trial(Inspector(), LABELLED, ROWS, plan=plan, **options)


def test_each_perturbation_begins_with_the_images_as_they_are():
    points = tried()
    assert [(point.perturbation, point.strength) for point in points] == [
        (name, strength) for name in ("illumination", "scale") for strength in (0.0, 0.5, 1.0)
    ]
    assert {point.images for point in points} == {4}
    # As measured, all four are right; an even image stays even however it is scaled.
    for point in (points[0], *points[3:]):
        assert point.rates[robustness.ACCURACY].value == 1.0
        assert point.rates["escape_rate"].value == point.rates["overkill_rate"].value == 0.0
    # Zero of two: one-sided 97.5 % of the binomial, 1 - 0.025 ** 0.5.
    assert points[3].rates["escape_rate"].high == pytest.approx(1 - 0.025**0.5)
    # Light takes the two images near the threshold over it, or under it.
    assert points[2].rates[robustness.ACCURACY].value in (0.5, 0.75)


def test_what_is_drawn_depends_on_seed_image_and_perturbation_alone():
    def images(plan):
        inspector = Inspector()
        robustness.trial(inspector, LABELLED, ROWS, plan=plan)
        return [source for source, _ in inspector.seen]

    whole = images(Plan(strengths=(0.5, 1.0)))
    assert len(whole) == 4 * 7 * 2
    part = images(Plan(strengths=(1.0,), perturbations=("illumination", "within_class")))
    # Per image 14; illumination is the fifth and the last one the seventh.
    expected = [whole[14 * image + place] for image in range(4) for place in (9, 13)]
    assert all((one == other).all() for one, other in zip(part, expected, strict=True))
    other = images(Plan(strengths=(0.5, 1.0), seed=1))
    assert any((one != two).any() for one, two in zip(whole, other, strict=True))
    assert tried() == tried()


def test_a_template_stays_as_it_is():
    labelled = records.Records.of([records.Record("a", False, Source(60, template=80))])
    inspector = Inspector()
    row = image_rows.of_map("a", is_ng=False)
    robustness.trial(inspector, labelled, [row], plan=ONE)
    assert len(inspector.seen) == 4
    assert all((template == 80).all() for _, template in inspector.seen)
    assert (inspector.seen[1][0] != 60).any()


def test_progress_counts_inspections():
    steps = []
    tried(progress=lambda done, of: steps.append((done, of)))
    assert steps == [(n, 16) for n in range(1, 17)]


def test_a_report_has_a_line_for_each_point(tmp_path):
    points = tried()
    path = robustness.write(tmp_path, points)
    first = path.read_bytes()
    lines = list(csv.DictReader(path.read_text().splitlines()))
    assert len(lines) == 6
    assert lines[0]["perturbation"] == "illumination"
    assert list(lines[0])[:6] == [
        "perturbation", "strength", "images", "ok_ng_accuracy", "ok_ng_accuracy_low",
        "ok_ng_accuracy_high",
    ]  # fmt: skip
    assert float(lines[5]["ok_ng_accuracy"]) == 1.0
    assert (lines[5]["strength"], lines[5]["escape_rate"]) == ("1.0", "0.0")
    robustness.write(tmp_path, tried())
    assert path.read_bytes() == first
    stream = io.StringIO()
    rich.console.Console(file=stream, width=120, markup=False).print(robustness.table(points))
    assert stream.getvalue().splitlines()[-1].split()[:4] == ["scale", "1.000", "1.000", "1.000"]


def test_a_picture_has_a_panel_for_each_perturbation():
    figure = plots.robustness_curves(tried())
    assert [axes.get_title() for axes in figure.axes] == ["illumination", "scale"]
    line = figure.axes[1].lines[0]
    assert list(line.get_xdata()) == [0.0, 0.5, 1.0]
    assert list(line.get_ydata()) == [1.0, 1.0, 1.0]
    with pytest.raises(errors.DataError, match="at least one point"):
        plots.robustness_curves(())


def test_only_good_images_have_no_escapes(tmp_path):
    good = LABELLED[:2]
    points = robustness.trial(Inspector(), good, ROWS[:2], plan=ONE)
    assert points[0].rates["escape_rate"].value is None
    robustness.write(tmp_path, points)
    lines = list(csv.DictReader((tmp_path / "robustness.csv").read_text().splitlines()))
    assert lines[0]["escape_rate"] == ""
    plots.save(plots.robustness_curves(points), tmp_path / "robustness.png")


def test_what_cannot_be_tried_is_refused():
    for plan in (
        Plan(strengths=()),
        Plan(strengths=(0.0, 0.5)),
        Plan(strengths=(0.5, 0.2)),
        Plan(perturbations=("fog",)),
        Plan(perturbations=()),
    ):
        with pytest.raises(errors.ConfigError, match="A plan must name"):
            tried(plan)
    with pytest.raises(errors.DataError, match="Got 4 records and 3 rows"):
        robustness.trial(Inspector(), LABELLED, ROWS[:3])
    with pytest.raises(errors.DataError, match="Got 0 records"):
        robustness.trial(Inspector(), LABELLED[:0], [])
    with pytest.raises(errors.DataError, match="at least one point"):
        robustness.table(())
