"""What a training does for each kind of output: a map, a map for each class, a class."""

import dataclasses

import keras
import numpy as np
import pytest

from inspection_tf import errors, plots
from inspection_tf.training import fit, outputs
from inspection_tf.training.runs.run_folder import RunFolder


def build(*, classes=1, template=False, is_map=True):
    """Return a network of one convolution with the output that is asked for."""
    names = ["image", "template"] if template else ["image"]
    inputs = {name: keras.Input((16, 16, 1), dtype="uint8", name=name) for name in names}
    x = keras.layers.Rescaling(1 / 64, -2)(keras.ops.concatenate(list(inputs.values()), axis=-1))
    if is_map and classes == 1:
        x = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="probability")(x)
    elif is_map:
        x = keras.layers.Conv2D(classes + 1, 3, padding="same", activation="softmax")(x)[..., 1:]
    else:
        x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(x)
        x = keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(x))
    return keras.Model(inputs, {"probability" if is_map else "class_probability": x})


def in_classes(held):
    """Return a cache in which every second defect is of class 2."""
    label = held.label * (1 + np.arange(len(held)) // 2 % 2).astype(np.uint8)
    return dataclasses.replace(
        held, mask=held.mask * label[:, None, None, None], label=label, classes=("dent", "stain")
    )


@pytest.mark.parametrize(
    ("options", "output", "monitor"),
    [
        ({}, "probability", "val_dice_defective"),
        ({"classes": 3}, "probability", "val_iou_class_mean"),
        ({"classes": 2, "is_map": False}, "class_probability", "val_ok_ng_accuracy"),
    ],
)
def test_the_output_tells_how_it_is_learned(options, output, monitor):
    trained = outputs.of(build(**options))
    assert (trained.output, trained.classes) == (output, options.get("classes", 1))
    assert trained.monitor == monitor
    assert monitor.removeprefix("val_") in [metric.name for metric in trained.metrics()]


@pytest.mark.parametrize(
    "names", [("place",), ("probability", "class_probability"), ("corners", "place")]
)
def test_another_output_is_refused(names):
    value = keras.Input((2,))
    model = keras.Model(value, {name: keras.layers.Dense(1, name=name)(value) for name in names})
    with pytest.raises(errors.ConfigError, match=rf"must return.*Got \['{names[0]}'"):
        outputs.of(model)


def test_several_classes_are_trained_measured_and_drawn(train, teach, tune, tmp_path):
    path = tmp_path / "run"
    model, rows = train(
        path,
        build=lambda: build(classes=2),
        shown=in_classes(teach),
        watched=in_classes(tune),
        epochs=2,
        pictures=1,
        loss_options={"class_weights": (1, 2), "dice_on_good": False},
    )
    names = {"loss", "dice_defective", "iou_class_mean"}
    assert set(rows[-1]) == {"epoch", *names, *(f"val_{name}" for name in names)}
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert model.loss["probability"].class_weights == (1, 2)
    assert [item.name for item in (path / "validation").iterdir()] == ["epoch_0002.png"]


def test_the_epoch_of_the_best_classes_is_kept(train, teach, tune, tmp_path, checkpoint):
    path = tmp_path / "run"
    _, rows = train(
        path,
        build=lambda: build(classes=2),
        shown=in_classes(teach),
        watched=in_classes(tune),
        epochs=3,
        validate_every=1,
    )
    _, epoch = checkpoint(path, "best")
    assert rows[epoch - 1]["val_iou_class_mean"] == max(row["val_iou_class_mean"] for row in rows)


def test_weights_for_other_classes_end_the_training_with_2(train, teach, tmp_path):
    with pytest.raises(errors.ConfigError, match="one weight for each of the 2 classes"):
        train(
            tmp_path / "run",
            build=lambda: build(classes=2),
            shown=in_classes(teach),
            watched=None,
            loss_options={"class_weights": (1, 2, 3)},
        )


def test_a_classifier_is_trained_on_labels_and_draws_no_picture(train, tmp_path):
    path = tmp_path / "run"
    _, rows = train(
        path,
        build=lambda: build(classes=2, is_map=False),
        epochs=2,
        pictures=2,
        loss="cross_entropy",
        loss_options={"class_weights": (1, 3)},
    )
    names = {"loss", "ok_ng_accuracy"}
    assert set(rows[-1]) == {"epoch", *names, *(f"val_{name}" for name in names)}
    assert list((path / "validation").iterdir()) == []
    assert (path / "evaluation" / "curves.png").is_file()


def test_a_template_reaches_the_network_in_training_measuring_and_pictures(
    train, teach, tune, tmp_path
):
    def with_template(held):
        return dataclasses.replace(held, template=held.image[::-1].copy())

    path = tmp_path / "run"
    train(
        path,
        build=lambda: build(template=True),
        shown=with_template(teach),
        watched=with_template(tune),
        epochs=1,
        pictures=1,
    )
    assert [item.name for item in (path / "validation").iterdir()] == ["epoch_0001.png"]


def test_a_picture_says_whose_weights_it_shows(tune, tmp_path, monkeypatch):
    titles = []
    grid = plots.grid

    def titled(samples, *, title):
        titles.append(title)
        return grid(samples, title=title)

    monkeypatch.setattr(plots, "grid", titled)
    model = build()
    fit.compile_model(model, fit.TrainSpec(averaging=0.5), steps_per_epoch=50)
    draw = outputs.picture(outputs.of(model), tune, RunFolder(tmp_path, is_resumed=False), 1)
    for epoch, steps in ((1, 7), (2, 8)):  # 0.5 ** 6 is over a hundredth and 0.5 ** 7 under
        model.optimizer.iterations.assign(steps)
        draw(model, epoch)
    assert titles == [
        "epoch 1: the weights that learn;\ntheir average, which is shipped, still lags",
        "epoch 2",
    ]
