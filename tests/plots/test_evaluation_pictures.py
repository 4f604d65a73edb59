import math
import subprocess
import sys

import cv2
import image_rows
import numpy as np
import pytest

from inspection_tf import decision, errors, evaluation, plots, thresholds
from inspection_tf.plots import overlays
from inspection_tf.tasks.segmentation import pictures
from inspection_tf.tasks.segmentation.labels import MaskLabels

POINT = thresholds.OperatingPoint(threshold=0.7, mask_threshold=0.5)
TRUTH, FOUND = np.array(overlays.TRUTH_RGB), np.array(overlays.FOUND_RGB)


row = image_rows.of_map
TASK = image_rows.SEGMENTATION


ROWS = [
    row("a", is_ng=True, outcome="NG", score=0.9, overlap=30, true=40, found=50),
    row("b", is_ng=True, outcome="OK", score=0.3, true=20),
    row("c", is_ng=False, outcome="OK", score=0.1),
    row("d", is_ng=False, outcome="NG", score=0.6, found=10),
    row("e", is_ng=False, outcome="REVIEW", score=math.nan),
]


def show(name):
    image = np.full((20, 31), 90, np.uint8)
    truth = np.zeros((20, 31), bool)
    truth[5:9, 4:10] = name in "ab"
    verdict = decision.decide(np.where(truth, 0.9, 0.1).astype(np.float32), POINT)
    return evaluation.Look(image, MaskLabels(truth.astype(np.uint8)), verdict)


def marked(picture, rgb):
    return np.all(picture == rgb, axis=-1)


def test_outlines_lie_around_the_masks_and_leave_them_visible():
    image = np.arange(9 * 11, dtype=np.uint8).reshape(9, 11)
    found = np.zeros((9, 11), bool)
    found[4, 3:6] = True
    picture = plots.overlay(image, found)
    # One pixel wide: above and below each of 3 pixels, left and right of the ends; no corners.
    assert marked(picture, FOUND).sum() == 3 + 3 + 1 + 1
    assert (picture[found] == image[found][:, None]).all()
    assert (picture[0] == image[0][:, None]).all()
    assert (image == np.arange(9 * 11).reshape(9, 11)).all()


def test_the_truth_shows_around_what_was_found_where_both_coincide():
    mask = np.zeros((9, 11), bool)
    mask[4, 5] = True
    picture = plots.overlay(np.zeros((9, 11, 3), np.uint8), mask, mask)
    assert marked(picture, FOUND).sum() == 4
    assert marked(picture, TRUTH).any()
    assert tuple(picture[4, 7]) == overlays.TRUTH_RGB


def test_zoom_and_16_bits():
    image = np.full((3, 4), 65535, np.uint16)
    picture = plots.overlay(image, np.zeros((3, 4), bool), zoom=5)
    assert picture.shape == (15, 20, 3)
    assert (picture == 255).all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(errors.DataError, match=r"Got \(3, 5\) for \(3, 4\)"):
        plots.overlay(np.zeros((3, 4), np.uint8), np.zeros((3, 5), bool), zoom=2)


def test_a_probability_map_runs_from_black_to_pale_yellow_and_marks_what_is_not_finite():
    picture = plots.probability_map(np.array([[0.0, 0.5, 1.0], [-3.0, 7.0, np.nan]]))
    assert picture.dtype == np.uint8
    assert picture[0, 0].max() < 10
    assert picture[0, 2].min() > 150
    assert picture[0, 2, 0] > picture[0, 2, 2]  # yellow: more red than blue, so RGB, not BGR
    assert (picture[1, :2] == picture[0, [0, 2]]).all()
    assert tuple(picture[1, 2]) == overlays.BROKEN_RGB


def test_the_grid_has_a_line_of_four_pictures_per_example():
    look = show("a")
    image, truth, verdict = look.image, look.labels.ids, look.verdict
    known = plots.Example(image, verdict.probability, truth, verdict.mask(), "first")
    figure = plots.grid([known, plots.Example(image, verdict.probability)], title="epoch 3")
    assert len(figure.axes) == 8
    assert figure.axes[0].get_ylabel() == "first"
    assert figure.axes[3].get_xlabel() == "Dice 1.00"
    assert figure.axes[7].get_xlabel() == "24 px found"  # 4 * 6 pixels of 0.9, over 0.5
    assert figure.axes[5].texts[0].get_text() == "unknown"
    assert figure.get_suptitle() == "epoch 3"
    with pytest.raises(errors.DataError, match="at least one example"):
        plots.grid([])


def test_precision_recall_steps_through_every_score():
    axes = plots.precision_recall(ROWS).axes[0]
    curve = axes.lines[0]
    # nan (good), 0.9 (defective), 0.6 (good), 0.3 (defective), 0.1 (good)
    assert curve.get_xdata() == pytest.approx([0, 0, 0.5, 0.5, 1, 1])
    assert curve.get_ydata() == pytest.approx([0, 0, 1 / 2, 1 / 3, 2 / 4, 2 / 5])
    # NG are a and d: one of two defects, one of two right.
    assert axes.lines[2].get_xydata().tolist() == [[0.5, 0.5]]
    assert axes.get_title() == "2 defective, 3 good images"


def test_roc_steps_through_every_score():
    axes = plots.roc(ROWS).axes[0]
    assert axes.lines[0].get_xdata() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1])
    assert axes.lines[0].get_ydata() == pytest.approx([0, 0, 0.5, 0.5, 1, 1])
    assert axes.lines[2].get_xydata().tolist() == [[pytest.approx(1 / 3), 0.5]]


def test_curves_of_one_class_are_refused():
    for draw in (plots.precision_recall, plots.roc):
        with pytest.raises(errors.DataError, match="needs good and defective"):
            draw(ROWS[:2])


def test_precision_recall_without_a_single_ng_has_no_point():
    rows = [row("a", is_ng=True, score=0.2), row("b", is_ng=False, score=0.1)]
    assert len(plots.precision_recall(rows).axes[0].lines) == 2


def test_the_histogram_counts_both_classes_around_the_threshold():
    figure = plots.score_histogram(ROWS, 0.5)
    good, defective = figure.axes
    assert good.get_title(loc="left") == "good, n = 3: 1 under 0.500, 1 at or above"
    assert defective.get_title(loc="left") == "defective, n = 2: 1 under 0.500, 1 at or above"
    assert figure.get_suptitle() == "1 of 5 without a finite score (not shown)"
    assert sum(bar.get_height() for bar in good.patches) == 2
    assert plots.score_histogram(ROWS[:1]).axes[0].get_title(loc="left") == "good, n = 0"
    with pytest.raises(errors.DataError, match="at least one image"):
        plots.score_histogram([], 0.5)


def test_a_threshold_outside_the_scores_is_still_shown():
    axes = plots.score_histogram(ROWS, 1.2).axes[0]
    assert axes.get_xlim()[1] >= 1.2


def test_learning_curves_read_lines_as_csv_gives_them():
    history = [
        {"epoch": "1", "loss": "0.9", "val_loss": "", "learning_rate": "0.1", "dice": "0.2"},
        {"epoch": "2", "loss": "0.5", "val_loss": "0.6", "learning_rate": "0.05", "dice": "0.4"},
    ]
    figure = plots.learning_curves(history)
    names = [axes.get_ylabel() for axes in figure.axes]
    assert names == ["loss", "learning rate (dotted)", "dice"]
    train, validation = figure.axes[0].lines
    assert train.get_xydata().tolist() == [[1, 0.9], [2, 0.5]]
    assert validation.get_xydata().tolist() == [[2, 0.6]]
    assert validation.get_label() == "validation, last 0.6"


def test_learning_curves_join_the_epochs_that_were_measured():
    # As of the default run, which validates every sixth of 18 epochs.
    history = [{"epoch": e, "loss": 1 / e} for e in range(1, 19)]
    for row, value in zip(history[5::6], (1.0, 0.2, 0.1), strict=True):
        row["val_loss"] = value
    train, validation = plots.learning_curves(history).axes[0].lines
    assert len(train.get_xydata()) == 18
    assert validation.get_xydata().tolist() == [[6, 1.0], [12, 0.2], [18, 0.1]]
    assert validation.get_linestyle() == "-"
    assert validation.get_marker() == "."


@pytest.mark.parametrize("gap", [None, "", math.nan, math.inf, "nan"])
def test_learning_curves_tell_the_last_value_that_was_measured(gap):
    columns = {
        "loss": [3, 2, gap, 1, gap],
        "val_loss": [gap, 4, gap, 5, gap],
        "lr": [1, gap, 3, 4, 5],
    }
    loss, rate = plots.learning_curves(columns).axes
    assert [line.get_xdata().tolist() for line in loss.lines] == [[1, 2, 4], [2, 4]]
    assert [line.get_label() for line in loss.lines] == ["train, last 1", "validation, last 5"]
    assert rate.lines[0].get_xdata().tolist() == [1, 3, 4, 5]


def test_learning_curves_of_a_quantity_that_was_never_measured_stay_empty():
    first, second = plots.learning_curves({"loss": [3, 2], "dice": [None, ""]}).axes
    assert (len(first.lines), len(second.lines)) == (1, 0)
    assert second.get_legend() is None


def test_learning_curves_read_columns_and_choose_among_them():
    figure = plots.learning_curves({"loss": [3, 2, 1], "seconds": [9, 9, 9]}, names=["loss"])
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss"]
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3]
    for empty in ([], {"loss": []}, {"epoch": [1]}):
        with pytest.raises(errors.DataError, match="need a history"):
            plots.learning_curves(empty)


def test_worst_cases_show_escapes_first_then_overkills_then_reviews_then_dice():
    seen = []

    def watch(name):
        seen.append(name)
        return show(name)

    figure = pictures.worst_cases(ROWS, watch, count=3)
    assert seen == ["b", "d", "e"]  # c is good and OK
    assert figure.axes[0].get_title() == "b\nescape: OK, score 0.300, Dice 0.00"
    assert figure.axes[1].get_title() == "d\noverkill: NG, score 0.600"
    assert len(pictures.worst_cases(ROWS, show).axes) == 4
    with pytest.raises(errors.DataError, match="1 good images, all OK"):
        pictures.worst_cases([ROWS[2]], show)


def test_equal_figures_give_equal_files(tmp_path):
    for name in ("one.png", "two.png"):
        plots.save(plots.roc(ROWS), tmp_path / name)
    data = (tmp_path / "one.png").read_bytes()
    assert data == (tmp_path / "two.png").read_bytes()
    assert cv2.imread(str(tmp_path / "one.png")).shape == (484, 550, 3)  # 4.4 x 5 inch at 110 dpi
    with pytest.raises(errors.StorageError, match="must be writable"):
        plots.save(plots.roc(ROWS), tmp_path / "absent" / "one.png")


def test_an_evaluation_leaves_out_what_is_not_defined_and_says_so(tmp_path, caplog):
    caplog.set_level("INFO", logger="inspection_tf")
    written = plots.write_evaluation(tmp_path, [ROWS[2]], task=TASK, threshold=0.5, show=show)
    assert [path.name for path in written] == ["scores.png"]
    for name in ("pr.png", "roc.png", "worst.png"):
        assert f"{name} is left out" in caplog.text
    written = plots.write_evaluation(tmp_path, ROWS, task=TASK, threshold=None, show=show)
    assert written == [tmp_path / name for name in ("pr.png", "roc.png", "scores.png", "worst.png")]
    assert all(cv2.imread(str(path)) is not None for path in written)


def test_pictures_of_pixels_do_not_load_matplotlib():
    code = (
        "import sys, numpy as np; from inspection_tf import plots; "
        "plots.overlay(np.zeros((4, 5), np.uint8), np.ones((4, 5), bool)); "
        "plots.probability_map(np.ones((4, 5))); "
        "sys.exit('matplotlib' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_outlines_need_an_image_and_stand_under_their_headings():
    case = plots.Outlined(np.zeros((20, 31), np.uint8), np.zeros((20, 31), bool), heading="one")
    figure = plots.outlined([case, case], title="two")
    assert [axes.get_title() for axes in figure.axes] == ["one", "one"]
    assert figure.get_suptitle() == "two"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["found"]  # no truth
    with pytest.raises(errors.DataError, match="at least one image"):
        plots.outlined([])
