import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers
from inspection_tf.datasets.drawn import surfaces
from inspection_tf.datasets.loading import loader
from inspection_tf.synthesis import surface

if importlib.util.find_spec("tensorflow_datasets") is None:
    pytest.skip("needs the extra tfds", allow_module_level=True)

import tensorflow_datasets as tfds

from inspection_tf.datasets.builders import dagm2007, synthetic_surfaces


def load_dagm(name, manual, data_dir, **options):
    terms = tfds.download.DownloadConfig(manual_dir=manual)
    return tfds.load(
        name, data_dir=data_dir, download_and_prepare_kwargs={"download_config": terms}, **options
    )


def assert_equal_caches(dataset, found, size):
    preprocessing = images.Preprocessing(size=size)
    one, other = loader.cache(dataset, preprocessing), loader.cache(found, preprocessing)
    assert one.ids == other.ids
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.is_defect, other.is_defect)


def test_synthetic_surfaces_load_as_their_records(tmp_path):
    spec = surface.SurfaceSpec(size=(40, 56))
    chosen = synthetic_surfaces.SurfacesConfig(
        name="tiny", spec=spec, seed=4, count=12, defective_fraction=0.25, weak_labels=True
    )
    dataset, info = tfds.load(
        "synthetic_surfaces",
        split="train",
        data_dir=tmp_path,
        with_info=True,
        builder_kwargs={"config": chosen},
    )
    found = surfaces.surfaces(
        count=12, defective_fraction=0.25, spec=spec, seed=4, weak_labels=True
    )
    assert_equal_caches(dataset, found, (40, 56))
    assert info.features["label"].names == ["good", "defect"]
    example = next(iter(dataset.skip(3).take(1).as_numpy_iterator()))
    # 12 images, share 0.25: the running total 0.25 (i + 1) reaches 1 at i = 3.
    assert example["label"] == 1
    assert example["id"] == example["group"] == b"surface/000003"
    assert example["image"].shape == example["mask"].shape == (40, 56, 1)
    assert example["image"].dtype == example["mask"].dtype == np.uint8
    assert set(np.unique(example["mask"])) == {0, 255}


def test_the_offered_configs_differ_in_labels_or_contrast():
    offered = {c.name: c for c in synthetic_surfaces.SyntheticSurfaces.BUILDER_CONFIGS}
    assert sorted(offered) == ["exact", "faint", "weak"]
    assert offered["weak"].weak_labels
    assert offered["faint"].spec.contrast[1] < offered["exact"].spec.contrast[0]


@pytest.fixture
def manual(tmp_path, write_dagm):
    folder = tmp_path / "manual"
    write_dagm(folder / "Class1" / "Train", count=4, defective=(2, 3), table=True)
    write_dagm(folder / "Class1" / "Test", count=2, first_seed=40, table=True)
    write_dagm(folder / "Class3", count=3, first_seed=80)
    return folder


def test_all_dagm_classes_load_as_their_records(tmp_path, manual):
    parts = load_dagm("dagm2007/all", manual, tmp_path / "data")
    found = readers.read_dagm(manual)
    assert sorted(parts) == ["test", "train"]
    for name, split in (("train", None), ("test", "test")):
        chosen = found.select(r.id for r in found if r.split == split)
        assert_equal_caches(parts[name], chosen, (12, 16))
    ids = [example["id"] for example in parts["test"].as_numpy_iterator()]
    assert ids == [b"Class1/Test/0001", b"Class1/Test/0002"]


def test_one_dagm_class_loads_alone(tmp_path, manual):
    dataset = load_dagm("dagm2007/class3", manual, tmp_path / "data", split="train")
    assert_equal_caches(dataset, readers.read_dagm(manual / "Class3"), (12, 16))
    labels = [int(example["label"]) for example in dataset.as_numpy_iterator()]
    assert labels == [0, 1, 0]


def test_a_dagm_class_that_is_not_there_is_named(tmp_path, manual):
    with pytest.raises(errors.DataError, match=r"must be a folder\. Got .*Class2"):
        load_dagm("dagm2007/class2", manual, tmp_path / "data")


def test_an_image_of_16_bits_is_refused(tmp_path, manual):
    path = manual / "Class3" / "0001.PNG"
    path.write_bytes(images.encode_png(np.zeros((12, 16), np.uint16)))
    with pytest.raises(errors.ImageError, match=r"0001: .* must have 8 bits\. Got uint16"):
        load_dagm("dagm2007/class3", manual, tmp_path / "data")


def test_there_is_a_config_for_each_dagm_class():
    names = [c.name for c in dagm2007.Dagm2007.BUILDER_CONFIGS]
    assert names == ["all", *(f"class{number}" for number in range(1, 11))]


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
@pytest.mark.slow
def test_the_real_dagm_class_1_loads(tmp_path):
    root = Path(os.environ["INSPECTION_DATA"]) / "dagm2007"
    dataset = load_dagm("dagm2007/class1", root, tmp_path, split="train")
    assert_equal_caches(dataset, readers.read_dagm(root / "Class1"), (512, 512))
