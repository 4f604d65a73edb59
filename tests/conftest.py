"""What several test files share: a small bundle, made once."""

import json
import os
import shutil
import subprocess
import types

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

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
    from inspection_tf.datasets import synthetic
    from inspection_tf.synthesis import surface

    spec = surface.SurfaceSpec(**SURFACE)
    return synthetic.surfaces(count=COUNT, defective_fraction=0.5, spec=spec, seed=3)


@pytest.fixture(scope="session")
def toy_terms():
    """Grey 64 x 64 px, exact; F-beta; no rules."""
    from inspection_tf import decision, images, thresholds
    from inspection_tf.export import ship

    return ship.Terms(
        images.Preprocessing(size=(SIDE, SIDE)),
        thresholds.ThresholdSpec(method="f_beta"),
        decision.Rules(),
    )


@pytest.fixture(scope="session")
def toy_data():
    """The data section that draws `toy_records` and splits them into three equal parts."""
    from inspection_tf.datasets import sources

    return sources.DataSpec(count=COUNT, seed=3, surface=SURFACE, tune=1 / 3, test=1 / 3)


@pytest.fixture(scope="session")
def toy_parts(toy_records, toy_data):
    """Train, tune and test: four records each, two of them defective."""
    from inspection_tf.datasets import sources

    return sources.split(toy_records, toy_data, seed=0)


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
def toy_shipped(tmp_path_factory, toy_model, toy_parts, toy_terms, toy_provenance):
    """The toy model as `ship.ship` left it: `.path` is the bundle, `.shipped` what it returned."""
    from inspection_tf.export import ship

    path = tmp_path_factory.mktemp("toy") / "bundle"
    shipped = ship.ship(
        toy_model,
        out=path,
        tuning=[(None, toy_parts["tune"])],
        measured=[(None, toy_parts["test"])],
        split="test",
        terms=toy_terms,
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
