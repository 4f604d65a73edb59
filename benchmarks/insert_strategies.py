"""Five strategies on photos of inserts, seen whole, in patches and at the corner, in one table.

python -m benchmarks.insert_strategies --root DATA --weights FILE --out DIR

DATA is a folder for each class, with boxes and groups.csv; FILE holds weights of MobileNetV2. Each
strategy is validated twice: in plain cross-validation, repeated, in which photos of one series are
on both sides, and with each series left out. Intervals and tests resample series in both.

What a backbone computes that does not learn is computed once, of each photo as it is and of
augmented versions of it, so that all fits in minutes on two cores:

- `scratch`    the small CNN of the talk learns everything, at half resolution.
- `features`   logistic regression of the features of the photos as they are; its cost is chosen on
               series, or photos, of the training part.
- `frozen`     normalisation, dropout and a softmax layer learn the features of augmented versions.
- `finetune`   then what follows block 15 of the backbone learns with them.
- `classical`  descriptors and a support vector machine.

Patches are joined as the network does it, by the soft maximum of their logits; in `features` and
`classical` by the mean of what describes them. The scaling of the grey values, two numbers, is
that of all photos.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tyro
from keras import layers
from numpy.typing import NDArray

from inspection_tf import images, plots
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.divisions import cross_validation
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.datasets.readers import classes_folder
from inspection_tf.datasets.records import Records
from inspection_tf.evaluation import calibration, class_measures, strategies
from inspection_tf.evaluation.strategies import Scores
from inspection_tf.images import descriptors
from inspection_tf.images.focus import FocusSpec
from inspection_tf.models import backbones, classifier, input_layers, patching, place_pool
from inspection_tf.plots import curves
from inspection_tf.training.vector_classifiers import Examples, logistic, svm

SIDE = 224  # px of what the backbone sees
SEED = 1
AUGMENT = augment.AugmentSpec(
    flips="horizontal",
    right_angles=False,
    rotation_deg=15,
    scale=0.15,
    aspect=0.05,
    shift=0.05,
    perspective=0.05,
    brightness=0.1,
    contrast=0.3,
)
MIDDLE = "block_15_add"
SCRATCH_EPOCHS, HEAD_EPOCHS, TUNE_EPOCHS = 6, 20, 4
WHOLE = patching.PatchSpec()
Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class View:
    """What is seen of a photo."""

    preprocessing: images.Preprocessing
    patches: patching.PatchSpec = WHOLE

    @property
    def grid(self) -> tuple[int, int]:
        """Patches below and beside each other."""
        return patching.grid(self.preprocessing.size, self.patches)


def _seen(side: int, focus: int | None) -> images.Preprocessing:
    where = FocusSpec()
    if focus is not None:
        where = FocusSpec(method="edge_corner", size=(focus, focus))
    return images.Preprocessing(size=(side, side), channels="rgb", fit="stretch", focus=where)


VIEWS = {
    "whole": View(_seen(SIDE, None)),
    "patches": View(_seen(2 * SIDE, 2 * SIDE), patching.PatchSpec(size_px=SIDE, stride_px=112)),
    "corner": View(_seen(SIDE, 320)),
}


@dataclasses.dataclass(frozen=True)
class Photos:
    """All photos in one view, and what was computed of them once.

    The first axis of pixels, features and maps is the version: 0 is the photo as it is.

    Attributes:
        label: (n,), 0 good.
        groups: (n,), series.
        names: of the classes.
        pixels: (versions, n, height, width, 3).
        maps: (versions, n, patches, rows, columns, channels), of the layer `MIDDLE`.
        features: (versions, n, patches, features).
        descriptors: (n, numbers), the mean over the patches.
        upper: the part of the backbone from `maps` on.
    """

    view: View
    label: Rows
    groups: tuple[str, ...]
    names: tuple[str, ...]
    pixels: Pixels
    maps: NDArray[np.float16]
    features: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    upper: keras.Model

    def examples(self, values: NDArray[np.floating], rows: Rows) -> Examples:
        """Return rows of some vectors, (n, width), with their labels."""
        groups = tuple(self.groups[row] for row in rows)
        return Examples(np.asarray(values[rows], np.float64), self.label[rows], groups, self.names)


def versions(cached: loader.Cache, count: int) -> Pixels:
    """Return the photos and augmented versions of them, (1 + count, n, height, width, 3)."""
    found = [cached.image]
    size = (int(cached.image.shape[1]), int(cached.image.shape[2]))
    for epoch in range(count):
        drawn = [
            augment.draw(AUGMENT, seed=SEED, epoch=epoch, position=position, size=size)
            for position in range(len(cached))
        ]
        empty = np.zeros((*cached.image.shape[:3], 1), np.uint8)
        changed, _ = augment.apply(cached.image, empty, np.stack(drawn), AUGMENT)
        found.append(np.asarray(changed))
    return np.stack(found)


def cut(pixels: Pixels, view: View) -> Pixels:
    """Return (..., patches, side, side, 3) of (..., height, width, 3)."""
    rows, columns = (patching.offsets(side, view.patches) for side in view.preprocessing.size)
    side = view.patches.size_px or view.preprocessing.size[0]
    pieces = [pixels[..., y : y + side, x : x + side, :] for y in rows for x in columns]
    return np.stack(pieces, axis=-4)


@dataclasses.dataclass(frozen=True)
class Halves:
    """A backbone in two parts: what never learns here, and what `finetune` may train."""

    lower: keras.Model
    upper: keras.Model

    @classmethod
    def of(cls, weights: Path, mean: float, deviation: float) -> "Halves":
        """Build them from the weights of a file, for images of some mean and deviation."""
        options = backbones.Options(name="keras_mobilenet_v2", strides=(32,), weights=weights)
        backbone = backbones.build(image_size=(SIDE, SIDE), channels=3, options=options)
        inputs, x = input_layers.build_inputs(
            image_size=(SIDE, SIDE), channels=3, input_mean=mean, input_scale=deviation
        )
        middle = backbone.get_layer(MIDDLE).output
        lower = keras.Model(inputs, keras.Model(backbone.input, middle)(x))
        return cls(lower, keras.Model(middle, backbone.output["stride32"], name="upper"))


def prepare(records: Records, view: View, weights: Path, *, count: int) -> Photos:
    """Compute once what does not learn."""
    cached = loader.cache(records, view.preprocessing)
    halves = Halves.of(weights, *cached.statistics())
    pixels = versions(cached, count)
    pieces = cut(pixels, view)
    flat = pieces.reshape(-1, SIDE, SIDE, 3)
    maps = np.asarray(halves.lower.predict(flat, batch_size=8, verbose=0), np.float32)
    tops = np.asarray(halves.upper.predict(maps, batch_size=64, verbose=0))
    described = descriptors.describe_all(pieces[0].reshape(-1, SIDE, SIDE, 3))
    lead = pieces.shape[:3]
    return Photos(
        view,
        cached.label.astype(np.int64),
        tuple(records.groups),
        ("OK", *records.classes),
        pixels,
        maps.reshape(*lead, *maps.shape[1:]).astype(np.float16),
        tops.mean(axis=(1, 2)).reshape(*lead, -1),
        described.reshape(*lead[1:], -1).mean(axis=1),
        halves.upper,
    )


Strategy = Callable[[Photos, Rows, Rows, Sequence[str]], Floats]
"""From photos, rows that teach, rows that are tested and the groups by which settings are chosen:
the probabilities, (tested, classes)."""


def by_features(photos: Photos, train: Rows, test: Rows, groups: Sequence[str]) -> Floats:
    """Logistic regression of features."""
    vectors = photos.features[0].mean(axis=1)
    grouped = dataclasses.replace(photos, groups=tuple(groups))
    options = logistic.Options(c=(1e-4, 1e-3, 1e-2, 1e-1, 1.0), folds=5, balanced=True)
    head = logistic.fit(grouped.examples(vectors, train), options=options, seed=SEED)
    return head.probabilities(vectors[test])


def by_descriptors(photos: Photos, train: Rows, test: Rows, groups: Sequence[str]) -> Floats:
    """Descriptors and a support vector machine."""
    grouped = dataclasses.replace(photos, groups=tuple(groups))
    machine = svm.fit(grouped.examples(photos.descriptors, train), seed=SEED)
    return machine.probabilities(photos.descriptors[test])


class Trainer:
    """A Keras network that is trained anew for every fold from the same beginning."""

    def __init__(self, model: keras.Model, *, rate: float, epochs: int) -> None:
        """Keep the weights that it begins with."""
        self.model, self.rate, self.epochs = model, rate, epochs
        self.first = model.get_weights()

    def fit(self, values: NDArray[Any], label: Rows, *, batch: int = 32) -> None:
        """Train on (examples, ...) and (examples,); classes count alike."""
        self.model.set_weights(self.first)
        optimizer = keras.optimizers.AdamW(self.rate, weight_decay=1e-2, global_clipnorm=1.0)
        self.model.compile(optimizer, "sparse_categorical_crossentropy")
        weight = (len(label) / (2 * np.bincount(label))).astype(np.float32)[label]
        keras.utils.set_random_seed(SEED)
        for epoch in range(self.epochs):
            order = np.random.default_rng([SEED, epoch]).permutation(len(label))
            for start in range(0, len(order) - batch + 1, batch):
                rows = order[start : start + batch]
                self.model.train_on_batch(values[rows], label[rows], sample_weight=weight[rows])


def _pooled(x: Any, grid: tuple[int, int]) -> Any:
    """Return probabilities of the logits of patches."""
    x = place_pool.PlacePool(
        rows=grid[0], columns=grid[1], pooling="soft_maximum", sharpness=1.0, name=place_pool.NAME
    )(x)
    return layers.Activation("softmax", dtype="float32")(x)


def head_model(patches: int, width: int, grid: tuple[int, int]) -> keras.Model:
    """Return dropout, normalisation and a softmax layer, on features (batch, patches, width)."""
    inputs = keras.Input((patches, width))
    x = layers.BatchNormalization(momentum=0.9, name="norm")(inputs)
    x = layers.Dropout(0.5, seed=SEED)(x)
    return keras.Model(inputs, _pooled(layers.Dense(2, name="head")(x), grid))


def _augmented(values: NDArray[Any], photos: Photos, rows: Rows) -> tuple[NDArray[Any], Rows]:
    """Return all versions of some photos, and their labels."""
    chosen = values[:, rows]
    flat = chosen.reshape(-1, *chosen.shape[2:])
    return flat, np.tile(photos.label[rows], len(values))


class Trained:
    """The strategies that train, with one compiled network for each view."""

    def __init__(self) -> None:
        """Build nothing yet."""
        self.built: dict[tuple[str, View], Trainer] = {}

    def _trainer(self, name: str, photos: Photos) -> Trainer:
        key = name, photos.view
        if key not in self.built:
            keras.utils.set_random_seed(SEED)
            self.built[key] = getattr(self, f"_build_{name}")(photos)
        return self.built[key]

    def _build_scratch(self, photos: Photos) -> Trainer:
        patches = photos.view.patches
        if patches.size_px is not None:  # in px of what is half as large
            patches = patching.PatchSpec(size_px=112, stride_px=56)
        options = classifier.Options(
            backbone=backbones.Options(name="cnn", strides=(16,)),
            head="pooled",
            patches=patches,
            input_shrink=2,
        )
        model = classifier.build(
            image_size=photos.view.preprocessing.size, channels=3, options=options
        )
        (output,) = model.output.values()
        return Trainer(keras.Model(model.input, output), rate=3e-3, epochs=SCRATCH_EPOCHS)

    def _build_frozen(self, photos: Photos) -> Trainer:
        _, _, patches, width = photos.features.shape
        return Trainer(head_model(patches, width, photos.view.grid), rate=2e-3, epochs=HEAD_EPOCHS)

    def _build_finetune(self, photos: Photos) -> Trainer:
        _, _, patches, *shape = photos.maps.shape
        upper = keras.models.clone_model(photos.upper)
        upper.set_weights(photos.upper.get_weights())
        for layer in upper.layers:  # statistics of few photos would spoil those of millions
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        inputs = keras.Input((patches, *shape))
        x = layers.Reshape((patches * shape[0], *shape[1:]))(inputs)
        x = patching_rows(x, patches)
        x = layers.GlobalAveragePooling2D()(upper(x))
        x = patching.ByImage(patches=patches)(x)
        head = head_model(patches, photos.features.shape[-1], photos.view.grid)
        head._name = "head_model"
        return Trainer(keras.Model(inputs, head(x)), rate=1e-4, epochs=TUNE_EPOCHS)

    def scratch(self, photos: Photos, train: Rows, test: Rows, groups: Sequence[str]) -> Floats:
        """The small CNN learns everything."""
        trainer = self._trainer("scratch", photos)
        trainer.fit(*_augmented(photos.pixels, photos, train), batch=16)
        return np.asarray(trainer.model.predict_on_batch(photos.pixels[0, test]), np.float64)

    def frozen(self, photos: Photos, train: Rows, test: Rows, groups: Sequence[str]) -> Floats:
        """A head on features of augmented versions."""
        trainer = self._trainer("frozen", photos)
        trainer.fit(*_augmented(photos.features, photos, train))
        return np.asarray(trainer.model.predict_on_batch(photos.features[0, test]), np.float64)

    def finetune(self, photos: Photos, train: Rows, test: Rows, groups: Sequence[str]) -> Floats:
        """The same, then the top of the backbone with it."""
        head = self._trainer("frozen", photos)
        head.fit(*_augmented(photos.features, photos, train))
        trainer = self._trainer("finetune", photos)
        count = len(head.model.get_weights())
        trainer.first = [*trainer.first[:-count], *head.model.get_weights()]
        trainer.fit(*_augmented(photos.maps, photos, train), batch=16)
        return np.asarray(trainer.model.predict_on_batch(photos.maps[0, test]), np.float64)


def patching_rows(x: Any, patches: int) -> Any:
    """Return (patches * batch, ...) of (batch, patches * rows, ...), as `patching.cut` orders."""
    height = x.shape[1] // patches
    pieces = [
        layers.Cropping2D(((index * height, (patches - 1 - index) * height), (0, 0)))(x)
        for index in range(patches)
    ]
    return layers.Concatenate(axis=0)(pieces) if patches > 1 else pieces[0]


def _rows(part: Records, place: Mapping[str, int]) -> Rows:
    return np.array([place[name] for name in part.ids], np.int64)


def validate(
    strategy: Strategy, photos: Photos, records: Records, *, repeats: int
) -> dict[str, Floats]:
    """Return probabilities by kind of validation, (repeats, photos, classes)."""
    place = {name: row for row, name in enumerate(records.ids)}
    alone = Records.of(
        [dataclasses.replace(record, group="") for record in records], classes=records.classes
    )
    series = cross_validation.leave_one_group_out(records)
    plain = cross_validation.repeated_folds(alone, count=5, repeats=repeats, seed=SEED)
    found = {}
    for kind, rounds, groups in (
        ("plain", plain, records.ids),
        ("series left out", [series], records.groups),
    ):
        probability = np.zeros((len(rounds), len(records), len(photos.names)))
        for number, splits in enumerate(rounds):
            for split in splits:
                test = _rows(split["test"], place)
                train = _rows(split["train"], place)
                probability[number, test] = strategy(photos, train, test, groups)
        found[kind] = probability
    return found


def learning_curve(photos: Photos, records: Records) -> tuple[strategies.LearningPoint, ...]:
    """Return the AUROC of `features` on a third of the series, against the photos that teach."""
    ((split, *_),) = cross_validation.repeated_folds(records, count=3, repeats=1, seed=SEED)
    place = {name: row for row, name in enumerate(records.ids)}
    test = _rows(split["test"], place)
    vectors = photos.features[0].mean(axis=1)

    def score(some: Records) -> Scores:
        examples = photos.examples(vectors, _rows(some, place))
        head = logistic.fit_with(examples, c=0.01, balanced=True)
        return Scores.of_probabilities(split["test"], head.probabilities(vectors[test]))

    return strategies.learning_curve(
        split["train"], score, shares=(0.3, 0.5, 0.7, 0.85, 1.0), repeats=5
    )


def line(kind: str, view: str, name: str, scores: Scores) -> str:
    """Return a row of the table."""
    cells = []
    for one in strategies.estimates(scores).values():
        value, low, high = curves.numbers(one.to_dict())
        cells.append(f"{value:.3f} ({low:.2f} to {high:.2f})")
    return f"| {kind} | {view} | {name} | {' | '.join(cells)} |"


def main(root: Path, weights: Path, out: Path, versions: int = 6, repeats: int = 2) -> int:
    """Validate all strategies, print the table, and write figures beside it.

    Args:
        root: folder with a folder for each class, and groups.csv.
        weights: of MobileNetV2.
        out: folder for results.json and pictures.
        versions: augmented, of each photo.
        repeats: of the plain cross-validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    records = data_spec.read(classes_folder.ClassesFolderSpec(root=root))
    trained = Trained()
    ways: dict[str, Strategy] = {
        "scratch": trained.scratch,
        "features": by_features,
        "frozen": trained.frozen,
        "finetune": trained.finetune,
        "classical": by_descriptors,
    }
    kept: dict[str, list[Any]] = {}
    print("| validation | view | strategy | AUROC | accuracy | balanced accuracy |\n" + "|---" * 6)
    for view_name, view in VIEWS.items():
        photos = prepare(records, view, weights, count=versions)
        for name, strategy in ways.items():
            for kind, probability in validate(strategy, photos, records, repeats=repeats).items():
                kept[f"{kind}/{view_name}/{name}"] = probability.tolist()
                scores = Scores.of_probabilities(records, probability)
                print(line(kind, view_name, name, scores), flush=True)
                (out / "results.json").write_text(json.dumps(kept))
        if view_name == "corner":
            points = learning_curve(photos, records)
            figure = plots.learning_curve(points, metric="image_auroc")
            plots.save(figure, out / "learning.png")
    report(kept, records, out)
    return 0


def report(kept: Mapping[str, list[Any]], records: Records, out: Path) -> None:
    """Print which differences are real, and draw ROC, confusion and reliability.

    Args:
        kept: probabilities (repeats, photos, classes) by validation, view and strategy.
        records: the photos, in the same order.
        out: folder for the pictures.
    """
    left_out = {
        tuple(key.split("/")[1:]): np.array(values)
        for key, values in kept.items()
        if key.startswith("series left out/")
    }
    scores = {key: Scores.of_probabilities(records, value) for key, value in left_out.items()}
    corner = {name: one for (view, name), one in scores.items() if view == "corner"}
    seen = {view: one for (view, name), one in scores.items() if name == "features"}
    for title, compared in (("strategies at the corner", corner), ("views of features", seen)):
        print(f"\n{title}, a series left out")
        for one in strategies.compare_all(compared, metric="image_auroc"):
            value, low, high = curves.numbers(one.estimate.to_dict())
            real = "real" if one.is_real else "not shown"
            print(
                f"| {one.first} - {one.second} | {value:+.3f} ({low:+.2f} to {high:+.2f}) "
                f"| p {one.adjusted:.3g} | {real} |"
            )
    plots.save(plots.roc_curves(corner), out / "roc.png")
    (best,) = left_out["corner", "features"]
    label = np.array([record.label for record in records])
    counts = class_measures.confusion_counts(label, best.argmax(axis=1), best.shape[1])
    names = ("OK", *records.classes)
    plots.save(plots.confusion_matrix(counts, names), out / "confusion.png")
    shown = calibration.reliability(best, label, bins=5)
    plots.save(plots.reliability(shown), out / "reliability.png")


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
