"""What several test files share: a small bundle, made once."""

import dataclasses
import json
import os
import shutil
import subprocess
import types

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores: threads of each would only wait for one another.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

SIDE = 64  # px
COUNT = 12  # images of the toy set, every second one defective
SURFACE = {
    "size": (SIDE, SIDE),
    "textures": ("brushed",),
    "defects": ("spot",),
    "contrast": (1.0, 1.0),
}


@pytest.fixture(scope="session")
def toy_records():
    """Twelve synthetic surfaces of 64 x 64 px; those with an odd number hold bold spots."""
    from inspection_tf.datasets.drawn import surfaces
    from inspection_tf.synthesis import surface

    spec = surface.SurfaceSpec(**SURFACE)
    return surfaces.surfaces(count=COUNT, defective_fraction=0.5, spec=spec, seed=3)


@pytest.fixture(scope="session")
def toy_spec():
    """Segmentation; grey 64 x 64 px, exact; F-beta; no rules."""
    from inspection_tf import images, thresholds
    from inspection_tf.export import ship

    return ship.BundleSpec(
        "segmentation",
        images.Preprocessing(size=(SIDE, SIDE)),
        thresholds.ThresholdSpec(method="f_beta"),
    )


@pytest.fixture(scope="session")
def toy_data():
    """The data section that draws `toy_records` and splits them into three equal parts."""
    from inspection_tf.datasets import data_spec

    return data_spec.DataSpec(count=COUNT, seed=3, surface=SURFACE, tune=1 / 3, test=1 / 3)


@pytest.fixture(scope="session")
def toy_parts(toy_records, toy_data):
    """Train, tune and test: four records each, two of them defective."""
    from inspection_tf.datasets import data_spec

    return data_spec.split(toy_records, toy_data, seed=0)


@pytest.fixture(scope="session")
def toy_provenance(toy_records, toy_data, toy_parts):
    """Provenance from which the records can be drawn and split again."""
    from inspection_tf import bundle
    from inspection_tf.datasets import records

    return bundle.Provenance(
        recipe="toy",
        config={"data": toy_data.model_dump(mode="json")},
        seed=0,
        versions={},
        data=bundle.Data(
            format="synthetic",
            sha256=toy_records.sha256(),
            splits=records.split_ids(toy_parts),
            source=toy_data.model_dump(mode="json"),
        ),
    )


@pytest.fixture(scope="session")
def toy_model(toy_records):
    """A U-Net of two levels that has learnt the twelve images by heart, in seconds."""
    import keras
    import numpy as np

    from inspection_tf.models import unet

    keras.utils.set_random_seed(0)
    model = unet.build(
        image_size=(SIDE, SIDE),
        filters=(4, 8),
        input_mean=127.5,
        input_scale=32.0,
        defect_prior=0.02,
    )
    images = np.stack([record.read_image() for record in toy_records])[..., None]
    masks = np.stack([record.read_mask() for record in toy_records])[..., None]
    model.compile(keras.optimizers.Adam(1e-2), {"probability": keras.losses.BinaryCrossentropy()})
    for step in range(600):
        model.train_on_batch({"image": images}, {"probability": masks.astype(np.float32)})
        if step % 20 == 19:
            found = np.array(model({"image": images}, training=False)["probability"])
            peak = found.max(axis=(1, 2, 3))
            # Far apart, so that no test hangs on the rounding of one machine.
            if peak[toy_records.is_defect].min() > 0.9 and peak[~toy_records.is_defect].max() < 0.4:
                return model
    raise AssertionError(f"the toy model has not learnt its twelve images: {peak}")


@pytest.fixture(scope="session")
def toy_shipped(tmp_path_factory, toy_model, toy_parts, toy_spec, toy_provenance):
    """The toy model as `ship.ship` left it: `.path` is the bundle, `.shipped` what it returned."""
    from inspection_tf.export import ship

    path = tmp_path_factory.mktemp("toy") / "bundle"
    shipped = ship.ship(
        {"segmenter": toy_model},
        out=path,
        tuning=[(None, toy_parts["tune"])],
        measured=[(None, toy_parts["test"])],
        split="test",
        spec=toy_spec,
        provenance=toy_provenance,
    )
    return types.SimpleNamespace(path=path, shipped=shipped)


@pytest.fixture(scope="session")
def toy_bundle(toy_shipped):
    """The folder of a bundle that loads. Shared: read it, never write to it."""
    return toy_shipped.path


@pytest.fixture
def toy_bundle_copy(toy_bundle, tmp_path):
    """A copy of the toy bundle that a test may spoil."""
    return shutil.copytree(toy_bundle, tmp_path / "bundle")


@pytest.fixture
def reseal():
    """Return a function that makes a spoilt bundle's hashes consistent with its files again."""
    from inspection_tf import bundle, files

    def seal(root, **changes):
        path = root / bundle.MANIFEST
        values = json.loads(path.read_text()) | changes
        values["files"] = {
            found.relative_to(root).as_posix(): files.sha256(found)
            for found in root.rglob("*")
            if found.is_file() and found != path
        }
        path.write_text(json.dumps(values))
        return root

    return seal


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 64 KiB; skipped where mounting is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=10)


def _disc(x, y, radius):
    import numpy as np

    rows, columns = np.ogrid[:SIDE, :SIDE]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


@pytest.fixture(scope="session")
def toy_classes_root(tmp_path_factory):
    """A folder of twelve grey images: every second holds a bright (1) or a dark (2) disc."""
    import numpy as np

    from inspection_tf import images

    root = tmp_path_factory.mktemp("classes")
    for name in ("good", "defect", "masks"):
        (root / name).mkdir()
    (root / "classes.txt").write_text("bright\ndark\n")
    rng = np.random.default_rng(5)
    for index in range(COUNT):
        image = rng.normal(128, 6, (SIDE, SIDE))
        if index % 2:
            class_id = 1 + index // 2 % 2
            disc = _disc(*rng.integers(10, SIDE - 10, 2), 6)
            image[disc] += (90, -90)[class_id - 1]
            images.write_png(root / "masks" / f"{index:02}.png", disc.astype(np.uint8) * class_id)
        folder = root / ("defect" if index % 2 else "good")
        images.write_png(folder / f"{index:02}.png", np.clip(image, 0, 255).astype(np.uint8))
    return root


@pytest.fixture(scope="session")
def toy_pairs_root(tmp_path_factory):
    """A folder of twelve images of discs and templates; every second image has a disc too many.

    The templates of images 0 to 5 lie 3 px to the left of and 2 px above their images.
    """
    import numpy as np

    from inspection_tf import images

    root = tmp_path_factory.mktemp("pairs")
    for name in ("good", "defect", "masks", "templates"):
        (root / name).mkdir()
    rng = np.random.default_rng(6)
    for index in range(COUNT):
        template = np.full((SIDE, SIDE), 90.0)
        for x, y in rng.integers(12, SIDE - 12, (5, 2)):
            template[_disc(x, y, 4)] = 200
        image = template.copy()
        if index % 2:
            spots = rng.integers(10, SIDE - 10, (99, 2))
            extra = _disc(*next(xy for xy in spots if image[_disc(*xy, 7)].max() < 99), 5)
            image[extra] = 200
            images.write_png(root / "masks" / f"{index:02}.png", extra)
        if index < 6:
            template = np.roll(template, (-2, -3), axis=(0, 1))
        folder = root / ("defect" if index % 2 else "good")
        for path, pixels in ((folder, image), (root / "templates", template)):
            noisy = pixels + rng.normal(0, 3, pixels.shape)
            images.write_png(path / f"{index:02}.png", np.clip(noisy, 0, 255).astype(np.uint8))
    return root


def _learn(model, inputs, target, loss, is_learnt, *, steps=800):
    """Fit a model to a dozen images until it knows them by heart."""
    import keras
    import numpy as np

    ((name, _),) = model.output.items()
    model.compile(keras.optimizers.Adam(1e-2), {name: loss})
    for step in range(steps):
        model.train_on_batch(inputs, {name: target})
        if step % 20 == 19:
            found = np.array(model(inputs, training=False)[name])
            if is_learnt(found):
                return model
    raise AssertionError(f"{model.name} has not learnt its {COUNT} images")


@pytest.fixture(scope="session")
def toy_classes(toy_classes_root):
    """The records of `toy_classes_root`."""
    from inspection_tf.datasets import readers

    return readers.read_folder(toy_classes_root)


@pytest.fixture(scope="session")
def toy_stages(toy_classes):
    """Classifier (OK, bright, dark) and segmenter that know the twelve images by heart."""
    import keras
    import numpy as np
    from keras import layers

    from inspection_tf.models import unet

    keras.utils.set_random_seed(0)
    images = np.stack([record.read_image() for record in toy_classes])[..., None]
    ids = np.stack([record.read_classes() for record in toy_classes])
    kinds, good = ids.max(axis=(1, 2)), ~toy_classes.is_defect
    scaling = {"input_mean": 128.0, "input_scale": 32.0}
    image = keras.Input((SIDE, SIDE, 1), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 32, -4.0, name="scaling")(image)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Dense(3, activation="softmax", dtype="float32", name="class_probability")(x)
    classifier = keras.Model({"image": image}, {"class_probability": x}, name="classifier")
    segmenter = unet.build(
        image_size=(SIDE, SIDE), classes=2, filters=(4, 8), defect_prior=0.02, **scaling
    )

    def tells_kinds(found):  # far apart, so that no test hangs on the rounding of one machine
        return found[np.arange(COUNT), kinds].min() > 0.97

    def tells_pixels(found):
        peak = found.sum(axis=-1).max(axis=(1, 2))
        named = found.sum(axis=(1, 2)).argmax(axis=-1) + 1
        is_named = (named == kinds)[~good].all()
        return peak[~good].min() > 0.9 and peak[good].max() < 0.2 and is_named

    one_hot = np.stack([ids == 1, ids == 2], axis=-1).astype(np.float32)
    inputs, losses = {"image": images}, keras.losses
    _learn(classifier, inputs, kinds, losses.SparseCategoricalCrossentropy(), tells_kinds)
    _learn(segmenter, inputs, one_hot, losses.BinaryCrossentropy(), tells_pixels)
    return types.SimpleNamespace(classifier=classifier, segmenter=segmenter)


@pytest.fixture(scope="session")
def toy_deliver(toy_spec):
    """Return a function that ships models made for a folder of labelled images."""
    from inspection_tf import bundle
    from inspection_tf.datasets import data_spec, records
    from inspection_tf.export import ship

    def deliver(path, root, models, *, spec=toy_spec, **options):
        if not isinstance(models, dict):
            models = {"segmenter": models}
        task = "two_stage_segmentation" if "classifier" in models else "segmentation"
        data = data_spec.DataSpec(format="folder", root=root, tune=1 / 3, test=1 / 3)
        found = data_spec.read(data)
        parts = data_spec.split(found, data, seed=0)
        source = data.model_dump(mode="json")
        provenance = bundle.Provenance(
            recipe="toy",
            config={"data": source},
            seed=0,
            versions={},
            data=bundle.Data(
                format="folder",
                root=str(root),
                sha256=found.sha256(),
                splits=records.split_ids(parts),
                source=source,
            ),
        )
        given = {
            "tuning": [(None, found)],  # so that the thresholds tell all twelve apart
            "measured": [(None, parts["test"])],
            "split": "test",
        }
        shipped = ship.ship(
            models,
            out=path,
            spec=dataclasses.replace(spec, task=task),
            provenance=provenance,
            **(given | options),
        )
        return types.SimpleNamespace(path=path, shipped=shipped, parts=parts, root=root)

    return deliver


@pytest.fixture(scope="session")
def toy_cascade(tmp_path_factory, toy_classes_root, toy_stages, toy_deliver):
    """A shipped bundle of two stages over two classes: `.path`, `.shipped`, `.parts`, `.root`."""
    return toy_deliver(
        tmp_path_factory.mktemp("cascade") / "bundle",
        toy_classes_root,
        {"segmenter": toy_stages.segmenter, "classifier": toy_stages.classifier},
    )


@pytest.fixture(scope="session")
def toy_comparer():
    """A model that compares: sure of a defect where 3 x 3 px are 50 grey levels too bright."""
    import keras
    import numpy as np
    from keras import layers

    inputs = {
        name: keras.Input((SIDE, SIDE, 1), dtype="uint8", name=name)
        for name in ("image", "template")
    }
    scaled = [layers.Rescaling(1 / 255, name=f"{name}_scaling")(x) for name, x in inputs.items()]
    x = layers.Subtract(name="difference")(scaled)
    x = layers.Conv2D(1, 3, padding="same", name="logits")(x)
    x = layers.Activation("sigmoid", dtype="float32", name="probability")(x)
    model = keras.Model(inputs, {"probability": x}, name="comparer")
    # sigmoid(40 * (mean - 0.2)): 0.2 * 255 = 51 grey levels are 0.5.
    model.get_layer("logits").set_weights([np.full((3, 3, 1, 1), 40 / 9), np.array([-8.0])])
    return model


@pytest.fixture(scope="session")
def toy_pair(tmp_path_factory, toy_pairs_root, toy_comparer, toy_deliver):
    """A shipped bundle that compares with a template: `.path`, `.shipped`, `.parts`, `.root`."""
    path = tmp_path_factory.mktemp("pair") / "bundle"
    return toy_deliver(path, toy_pairs_root, toy_comparer)
