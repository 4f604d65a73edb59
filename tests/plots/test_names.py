"""Names in pictures are shown as they are: no mathematics, no missing letters, no lost legend."""

import csv
import json

import image_rows
import numpy as np
import pytest
from matplotlib import cbook

from inspection_tf import cli, decision, evaluation, plots
from inspection_tf.plots.curves import plain, short
from inspection_tf.tasks.segmentation import pictures
from inspection_tf.tasks.segmentation.labels import MaskLabels

NAMES = [
    "a$1_$2",
    "lot$$7",
    r"x\$y$",
    "检查",
    "new\nline",
    "[blue]_u_",
    "\x1b[31m",
    "\udcff",
    r"^{\frac",
]
CLASSES = ("_scratch", "a$b$c", "检查", "new\nline", "OK", "REVIEW")
IMAGE = np.full((20, 30), 90, np.uint8)
MASK = np.zeros((20, 30), bool)
MASK[4:9, 6:12] = True


def row(number, name):
    kind = number % len(CLASSES)
    pixels = tuple(10 * (place == kind) for place in range(len(CLASSES)))
    return image_rows.of_map(
        name, is_ng=True, outcome="NG", score=0.5 + number / 100, overlap=10, true=10, found=10,
        regions=1, true_class=CLASSES[kind],
        class_overlap_px=pixels, class_true_px=pixels, class_found_px=pixels,
    )  # fmt: skip


def good(number):
    none = (0,) * len(CLASSES)
    return image_rows.of_map(
        f"good$/{number}$", group="", is_ng=False, score=0.1,
        class_overlap_px=none, class_true_px=none, class_found_px=none,
    )  # fmt: skip


ROWS = [*(row(number, name) for number, name in enumerate(NAMES)), good(1), good(2)]


def show(_name):
    verdict = decision.Verdict(
        outcome="NG", score=0.9, threshold=0.5, image_size=IMAGE.shape, classes=CLASSES
    )
    return evaluation.Look(IMAGE, MaskLabels(MASK.astype(np.uint8)), verdict)


def shown(text):
    """What matplotlib draws of a text that is no mathematics."""
    assert not cbook.is_math_text(text)
    return text.replace(r"\$", "$")


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("a$1_$2", "a$1_$2"),
        ("lot$$7", "lot$$7"),
        (r"x\$y$", r"x\$y$"),
        ("one $", "one $"),
        ("Prüfung ő ж λ", "Prüfung ő ж λ"),
        ("检查", r"\u68c0\u67e5"),  # no letters of DejaVu Sans
        ("\x1b[31m \udcff", r"\x1b[31m \udcff"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_a_text_is_drawn_as_it_is(name, drawn):
    assert shown(plain(name)) == drawn


def test_a_name_beside_axes_is_one_line_and_short():
    assert shown(short("two\nlines")) == r"two\nlines"
    assert shown(short("n" * 100)) == "n" * 14 + "..." + "n" * 14
    assert short("n" * 31) == "n" * 31


def test_a_font_that_has_the_letters_shows_them(monkeypatch):
    from inspection_tf.plots import curves

    monkeypatch.setattr(curves, "_has_glyph", lambda character, fonts: True)
    assert plain("检查") == "检查"


def test_every_picture_is_drawn_whatever_things_are_called(tmp_path):
    report = evaluation.report(
        ROWS, split="te$t$", operating_point=None, dataset_sha256="", classes=CLASSES, resamples=20
    )
    written = plots.write_evaluation(
        tmp_path,
        ROWS,
        task=image_rows.SEGMENTATION,
        threshold=0.5,
        show=show,
        report=report,
    )
    assert len(written) == 6
    arms = {name: {"iou_class_a$b$c": {"value": 0.5, "low": 0.4, "high": 0.6}} for name in NAMES}
    examples = [plots.Example(IMAGE, 0.9 * MASK, MASK, caption=name, note=name) for name in NAMES]
    figures = {
        "grid": plots.grid(examples, title="$epoch$ 检", classes=CLASSES),
        "comparison": plots.comparison(arms),
        "joint": plots.joint_thresholds(
            [0.1, 0.9], [0.1, 0.8], [0, 1], 0.5, 0.5, stages=("a$b$", "_")
        ),
        "curves": plots.learning_curves({"a$b$": [1.0, 2.0], "val_a$b$": [1.0, 2.0]}),
        "located": plots.located([plots.Located(IMAGE, None, None, name) for name in NAMES]),
    }
    for name, figure in figures.items():
        plots.save(figure, tmp_path / f"{name}.png")


def test_a_legend_shows_classes_that_begin_with_an_underscore():
    figure = plots.grid([plots.Example(IMAGE, None, MASK)], classes=("_scratch", "a$b$"))
    (legend,) = figure.legends
    assert [shown(text.get_text()) for text in legend.get_texts()] == [
        "_scratch", "a$b$", "truth", "found",
    ]  # fmt: skip


def test_a_class_called_as_a_verdict_is_counted_apart_from_it():
    axes = pictures.confusion(ROWS, CLASSES).axes[0]
    true = [shown(text.get_text()) for text in axes.get_yticklabels()]
    judged = [shown(text.get_text()) for text in axes.get_xticklabels()]
    # Nine images, the class of each the next one; the two good ones are the first "OK".
    assert true == [
        "OK, n = 2", "_scratch, n = 2", "a$b$c, n = 2", r"\u68c0\u67e5, n = 2",
        r"new\nline, n = 1", "OK, n = 1", "REVIEW, n = 1",
    ]  # fmt: skip
    assert judged == [
        "OK", "_scratch", "a$b$c", r"\u68c0\u67e5", r"new\nline", "OK", "REVIEW",
    ]  # fmt: skip


def test_the_table_of_images_gives_every_name_back(tmp_path):
    names = ["a\nb", "a\r\nb", "a\rb", 'a"b', "a,b", "=1+1", "$x$", "检查", " blank ", "\x1b"]
    rows = [row(0, name) for name in names]
    report = evaluation.report(
        rows, split="x", operating_point=None, dataset_sha256="", classes=CLASSES, resamples=20
    )
    evaluation.write(tmp_path, rows, report)
    with (tmp_path / "per_image.csv").open(encoding="utf-8", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [line["id"] for line in read] == sorted(names)
    assert [line["true_px_new\nline"] for line in read] == ["0"] * len(names)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    assert {f"iou_class_{name}" for name in CLASSES} <= set(metrics)


def test_a_name_that_is_no_text_is_an_escape_in_the_table_of_images(tmp_path):
    rows = [row(0, "bad\udcff")]
    evaluation.write(tmp_path, rows, {"classes": ()})
    assert "bad\\udcff," in (tmp_path / "per_image.csv").read_text(encoding="utf-8")


def test_evaluate_takes_images_whatever_they_are_called(toy_bundle, toy_records, tmp_path, capsys):
    from inspection_tf import images

    for name in ("good", "defect", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    names = [name for name in NAMES if "/" not in name]
    for name, record in zip(names, toy_records, strict=False):
        folder = "defect" if record.is_defect else "good"
        images.write_png(tmp_path / "set" / folder / f"{name}.png", record.read_image())
        if record.is_defect:
            images.write_png(tmp_path / "set" / "masks" / f"{name}.png", record.read_mask())
    out = tmp_path / "out"
    words = ["evaluate", str(toy_bundle), str(tmp_path / "set"), "--format", "folder"]
    assert cli.main([*words, "--out", str(out)]) == 0
    assert (out / "worst.png").is_file()
    assert "dice_defective" in capsys.readouterr().out
