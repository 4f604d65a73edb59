import dataclasses
import math

import cv2
import image_rows
import numpy as np
import pytest

from inspection_tf import decision, errors, evaluation, plots, thresholds
from inspection_tf.plots import overlays
from inspection_tf.tasks.segmentation import pictures
from inspection_tf.tasks.segmentation.labels import MaskLabels
from inspection_tf.tasks.segmentation.measures import MEASURES

POINT = thresholds.OperatingPoint(threshold=0.7, mask_threshold=0.5)
CLASSES = ("crack", "fray")
CRACK, FRAY = np.array(plots.class_rgb(1)), np.array(plots.class_rgb(2))


def row(name, *, is_ng, outcome="OK", score=0.0, true=(0, 0), found=(0, 0)):
    names = [name for name, pixels in zip(CLASSES, true, strict=True) if pixels]
    return image_rows.of_map(
        name,
        is_ng=is_ng,
        outcome=outcome,
        score=score,
        true=sum(true),
        found=sum(found),
        true_class=names[0] if names else "",
        class_overlap_px=(0, 0),
        class_true_px=true,
        class_found_px=found,
    )


ROWS = [
    row("a", is_ng=True, outcome="NG", score=0.9, true=(24, 0), found=(24, 0)),
    row("b", is_ng=True, outcome="OK", score=0.3, true=(24, 0)),
    row("c", is_ng=False, outcome="OK", score=0.1),
    row("d", is_ng=False, outcome="NG", score=0.6, found=(2, 9)),
    row("e", is_ng=True, outcome="NG", score=0.8, true=(0, 9), found=(9, 0)),
]


def stopped(outcome="OK", score=0.02):
    return decision.Verdict(
        outcome=outcome,
        score=0.01,
        threshold=0.5,
        image_size=(20, 31),
        classes=CLASSES,
        decided_by="classifier",
        stages={"classifier": score},
    )


def show(name, *, template=None, verdict=None):
    image = np.full((20, 31), 90, np.uint8)
    ids = np.zeros((20, 31), np.uint8)
    if name in "abe":
        ids[5:9, 4:10] = 1 + (name == "e")
    probability = np.stack([0.9 * (ids == k) for k in (1, 2)], axis=-1).astype(np.float32)
    verdict = verdict or decision.decide(probability, POINT, classes=CLASSES)
    return evaluation.Look(image, MaskLabels(ids), verdict, template)


def marked(picture, rgb):
    return np.all(picture == rgb, axis=-1)


def report(rows=ROWS):
    return evaluation.report(
        rows, split="test", operating_point=POINT, dataset_sha256="", classes=CLASSES, resamples=50
    )


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# Colours


def test_seven_classes_have_colours_of_their_own_and_then_they_come_again():
    colours = [plots.class_rgb(number) for number in range(1, 8)]
    assert len(set(colours)) == 7
    assert plots.class_rgb(8) == colours[0]
    picture = plots.class_picture(np.array([[0, 1], [2, 8]]))
    assert picture.tolist() == [[[0, 0, 0], list(colours[0])], [list(colours[1]), list(colours[0])]]


def test_neighbouring_colours_differ_for_red_green_blindness_too():
    # Machado et al. 2009, protanopia and deuteranopia at full severity, on linear RGB.
    simulations = (
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    )
    linear = (np.array(overlays.CLASS_RGB) / 255) ** 2.2
    for simulation in (np.eye(3), *simulations):
        seen = np.clip(linear @ np.array(simulation).T, 0, 1) ** (1 / 2.2)
        lab = cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
        assert apart[~np.eye(7, dtype=bool)].min() > 10  # 2.3 can just be told apart


def test_outlines_by_class_have_its_colour_and_the_truth_is_dashed():
    image = np.zeros((60, 60), np.uint8)
    ids = np.zeros((60, 60), np.uint8)
    ids[10:20, 10:40] = 1
    ids[35:45, 10:40] = 2
    found = plots.overlay(image, ids, by_class=True)
    # One pixel wide: above and below 30 columns, left and right of 10 rows.
    assert marked(found, CRACK).sum() == marked(found, FRAY).sum() == 2 * 30 + 2 * 10
    truth = plots.overlay(image, np.zeros_like(ids), ids, by_class=True)
    # Two pixels wide, but with gaps; none on the mask.
    solid = cv2.dilate((ids == 1).astype(np.uint8), np.ones((5, 5), np.uint8)).sum() - 300
    assert 0.3 * solid < marked(truth, CRACK).sum() < 0.8 * solid
    assert not truth[ids > 0].any()


def test_without_classes_ids_are_one_mask():
    image, ids = np.zeros((9, 11), np.uint8), np.zeros((9, 11), np.uint8)
    ids[4, 5] = 2
    np.testing.assert_array_equal(plots.overlay(image, ids), plots.overlay(image, ids > 0))


# Pictures of images


def test_the_grid_tells_classes_apart_in_truth_and_outlines():
    look = show("e")
    figure = plots.grid([pictures.example(look, caption="first")], classes=CLASSES)
    assert [axes.get_title() for axes in figure.axes][:2] == ["image", "truth"]
    truth = figure.axes[1].images[0].get_array()
    assert (marked(truth, FRAY) == (look.labels.ids == 2)).all()
    assert marked(figure.axes[3].images[0].get_array(), FRAY).any()
    assert figure.axes[3].get_xlabel() == "Dice 1.00"
    assert legend(figure) == ["crack", "fray", "truth", "found"]


def test_a_map_by_class_is_shown_as_that_of_any_defect():
    probability = np.zeros((20, 31, 2), np.float32)
    probability[2:4, 3:5] = (0.3, 0.4)  # together 0.7, more likely fray
    example = plots.Example(np.full((20, 31), 90, np.uint8), probability)
    figure = plots.grid([example], classes=CLASSES)
    assert figure.axes[3].get_xlabel() == "4 px found"
    outlines = figure.axes[3].images[0].get_array()
    assert marked(outlines, FRAY).any()
    assert not marked(outlines, CRACK).any()
    expected = plots.probability_map(np.full((1, 1), 0.7))[0, 0]
    assert (figure.axes[2].images[0].get_array()[2:4, 3:5] == expected).all()
    assert legend(figure) == ["crack", "fray", "found"]


def test_an_image_stopped_by_the_classifier_says_so_in_place_of_its_map():
    looks = [show("b", verdict=stopped()), show("b", verdict=stopped("REVIEW", 0.4))]
    figure = plots.grid([pictures.example(look) for look in looks], classes=CLASSES)
    assert figure.axes[2].texts[0].get_text() == "stopped by classifier 0.02"
    assert figure.axes[6].texts[0].get_text() == "review by classifier 0.4"
    shown = figure.axes[2].images[0].get_array()
    assert (shown == 90 // 3).all()  # the image, dimmed
    assert figure.axes[3].get_xlabel() == "Dice 0.00"
    bare = plots.grid([plots.Example(looks[0].image, None)])
    assert bare.axes[2].texts[0].get_text() == "no map"


def test_the_template_stands_beside_the_image():
    template = np.full((20, 31), 200, np.uint8)
    examples = [pictures.example(show("a", template=template)), pictures.example(show("b"))]
    figure = plots.grid(examples, classes=CLASSES)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["image", "template", "truth"]
    assert (figure.axes[1].images[0].get_array() == 200).all()
    assert figure.axes[6].texts[0].get_text() == "none"


def test_each_line_of_a_grid_is_as_high_as_its_image():
    low, high = np.zeros((10, 20), np.uint8), np.zeros((20, 10), np.uint8)
    figure = plots.grid([plots.Example(image, image / 255) for image in (low, high)])
    # Cells 2.3 inch wide: 2.3 / 2 and 2.3 * 2 high, each and 0.25 for the label, 0.75 for the rest.
    assert figure.get_figheight() == pytest.approx(2.3 * 2.5 + 2 * 0.25 + 0.75)


def test_worst_cases_name_the_true_class_and_what_it_was_taken_for():
    figure = pictures.worst_cases(ROWS, show, classes=CLASSES)
    assert [axes.get_title() for axes in figure.axes] == [
        "b\ncrack: OK (escape)\nscore 0.300, Dice 0.00",
        "d\ngood: NG as fray (overkill)\nscore 0.600",
        "a\ncrack: NG as crack\nscore 0.900, Dice 0.00",
        "e\nfray: NG as crack\nscore 0.800, Dice 0.00",
    ]
    assert legend(figure) == ["crack", "fray", "truth", "found"]
    result = dataclasses.replace(ROWS[1].result, true_area_px=0)
    unmarked = dataclasses.replace(ROWS[1], true_class="", result=result)
    figure = pictures.worst_cases([unmarked], show, classes=CLASSES)
    assert figure.axes[0].get_title() == "b\ndefective: OK (escape)\nscore 0.300"


def test_worst_cases_say_which_stage_stopped_an_image():
    def see(name):
        return show(name, verdict=stopped())

    title = "stopped by classifier 0.02, Dice 0.00"
    figure = pictures.worst_cases(ROWS[1:2], see, classes=CLASSES)
    assert figure.axes[0].get_title() == f"b\ncrack: OK (escape)\n{title}"
    figure = pictures.worst_cases(ROWS[1:2], see)
    assert figure.axes[0].get_title() == f"b\nescape: OK\n{title}"


def test_worst_cases_show_the_template_left_of_the_image():
    template = np.full((20, 31), 200, np.uint8)
    figure = pictures.worst_cases(ROWS, lambda name: show(name, template=template), classes=CLASSES)
    assert figure.get_suptitle() == "The worst 4 of 3 defective, 2 good images; left: template"
    shown = figure.axes[0].images[0].get_array()
    assert (shown[:, : 31 * 10] == 200).all()  # enlarged to 310 px
    assert shown.shape == (200, 310 + 310 // 40 + 310, 3)


# Classes


def test_confusion_counts_images_by_their_largest_class():
    figure = pictures.confusion(ROWS, CLASSES)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["OK", "crack", "fray"]
    named = [tick.get_text() for tick in axes.get_yticklabels()]
    assert named == ["OK, n = 2", "crack, n = 2", "fray, n = 1"]
    cells = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    # Good: c is OK, d is mostly fray. Crack: a found, b missed. Fray: e taken for crack.
    assert cells == {
        (0, 0): "1\n50%",
        (0, 2): "1\n50%",
        (1, 0): "1\n50%",
        (1, 1): "1\n50%",
        (2, 1): "1\n100%",
    }
    assert axes.get_title() == "3 of 5 images rightly OK or NG"


def test_confusion_has_a_place_for_what_is_no_class():
    rows = [
        row("f", is_ng=True, outcome="REVIEW", true=(1, 0)),
        row("g", is_ng=False, outcome="NG"),
        row("h", is_ng=True, outcome="OK"),  # no mask
    ]
    axes = pictures.confusion(rows, CLASSES).axes[0]
    judged = [tick.get_text() for tick in axes.get_xticklabels()]
    assert judged == ["OK", "crack", "fray", "REVIEW", "NG, no region"]
    assert axes.get_yticklabels()[-1].get_text() == "unmarked, n = 1"
    assert sorted(text.get_position()[::-1] for text in axes.texts) == [(0, 4), (1, 3), (3, 0)]
    with pytest.raises(errors.DataError, match="at least one image"):
        pictures.confusion([], CLASSES)


def test_class_bars_show_each_class_in_its_colour_and_the_mean():
    made = report()
    made["metrics"]["iou_class_crack"] = {"value": 0.5, "low": 0.25, "high": 0.75}
    made["metrics"]["iou_class_fray"] = {"value": None, "low": None, "high": None}
    made["metrics"]["iou_class_mean"] = {"value": 0.5, "low": None, "high": None}
    figure = plots.class_bars(made)
    axes = figure.axes[0]
    (bar,) = axes.patches
    assert bar.get_width() == 0.5
    assert bar.get_facecolor()[:3] == pytest.approx(CRACK / 255)
    assert [text.get_text() for text in axes.texts] == [
        "0.500 (0.250 - 0.750)",
        "neither there nor found",
    ]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(CLASSES)
    assert legend(figure) == ["mean of the classes 0.500"]
    with pytest.raises(errors.DataError, match="needs a report of several"):
        plots.class_bars({"metrics": {}, "counts": {}})


def test_an_evaluation_of_several_classes_has_two_more_pictures(tmp_path):
    written = plots.write_evaluation(
        tmp_path, ROWS, task=image_rows.SEGMENTATION, threshold=0.5, show=show, report=report()
    )
    names = ["pr.png", "roc.png", "scores.png", "worst.png", "classes.png", "confusion.png"]
    assert [path.name for path in written] == names
    assert all(cv2.imread(str(path)) is not None for path in written)
    single = {key: value for key, value in report().items() if key != "classes"}
    written = plots.write_evaluation(
        tmp_path, ROWS, task=image_rows.SEGMENTATION, threshold=0.5, show=show, report=single
    )
    assert [path.name for path in written] == names[:4]


# Stages and arms


def test_joint_thresholds_count_what_each_stage_does():
    first = [0.01, 0.2, 0.9, 0.95, 0.99, math.nan]
    second = [math.nan, math.nan, 0.1, 0.8, 0.999, math.nan]
    is_defect = [False, True, False, False, True, True]
    figure = plots.joint_thresholds(first, second, is_defect, 0.5, 0.6)
    axes = figure.axes[0]
    assert legend(figure) == [
        "stopped by the classifier: 1 defective, 1 good",
        "NG: 1 defective, 1 good",
        "good, n = 3",
        "defective, n = 3",
    ]
    assert axes.get_title() == "passed on, but under the second threshold: 0 defective, 1 good"
    assert figure.get_suptitle() == "1 without a first score (not shown)"
    good, defective = (
        line for line in axes.lines if str(line.get_label()).startswith(("good", "defective"))
    )
    assert good.get_xdata() == pytest.approx([math.log10(s / (1 - s)) for s in (0.01, 0.9, 0.95)])
    assert good.get_ydata() == pytest.approx([-5, math.log10(1 / 9), math.log10(4)])
    assert defective.get_ydata() == pytest.approx([-5, math.log10(999)])
    assert axes.get_yticklabels()[0].get_text() == "none"
    with pytest.raises(errors.DataError, match=r"two scores and a label.*Got 2, 1 and 2"):
        plots.joint_thresholds([0.1, 0.2], [0.1], [True, False], 0.5, 0.5)


def test_joint_thresholds_reach_as_far_as_they_lie():
    scores = np.array([2e-7, 0.5])
    axes = plots.joint_thresholds(scores, scores, [False, True], 3e-6, 0.5).axes[0]
    # 3e-6 is over 1e-6; one decade more: the axis ends at 1e-7.
    assert axes.lines[-2].get_xdata() == pytest.approx([math.log10(2e-7)])
    assert axes.get_xticklabels()[0].get_text() == "≤ 1e-07"
    assert axes.get_xticklabels()[-1].get_text() == "≥ 0.9999999"


def test_a_first_threshold_of_0_stops_nothing():
    figure = plots.joint_thresholds([0.1, 0.9], [0.2, 0.7], [False, True], 0, 0.5)
    assert legend(figure)[0] == "NG: 1 defective, 0 good"
    assert figure.axes[0].get_yticklabels()[0].get_text() == "≤ 0.0001"  # all have two scores


def test_a_comparison_has_a_panel_per_metric_and_a_line_per_arm():
    table = {
        "pretrained": {"region_f1": evaluation.Estimate(0.8, 0.7, 0.9), "image_auroc": None},
        "random": {"region_f1": {"value": 0.6, "low": None, "high": None}},
    }
    table["pretrained"]["image_auroc"] = evaluation.Estimate(0.9, 0.85, 0.95)
    figure = plots.comparison(table, meanings=evaluation.meanings(MEASURES))
    assert [axes.get_title() for axes in figure.axes] == ["region_f1", "image_auroc"]
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == ["0.800", "0.600"]
    assert [text.get_text() for text in second.texts] == ["0.900", "not defined"]
    interval, point, alone = first.lines
    assert interval.get_xydata().tolist() == [[0.7, 0], [0.9, 0]]
    assert point.get_xydata().tolist() == [[0.8, 0]]
    assert alone.get_xydata().tolist() == [[0.6, 1]]
    assert first.get_xlabel() == "F1 of regions, IoU over 0.33"
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["pretrained", "random"]
    assert len(plots.comparison(table, names=["image_auroc"]).axes) == 1
    for empty, names in (({}, None), (table, ["absent"])):
        with pytest.raises(errors.DataError, match="needs arms with metrics"):
            plots.comparison(empty, names=names)
