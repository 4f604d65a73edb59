"""Small data sets: arrays in memory, and folders in the layouts that readers know."""

import dataclasses

import numpy as np
import pytest

from inspection_tf import images
from inspection_tf.datasets import records

SIZE = (12, 16)


@dataclasses.dataclass(frozen=True)
class ArraySource:
    image: np.ndarray
    mask: np.ndarray

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.mask

    def identity(self):
        return self.image.tobytes() + self.mask.tobytes()


@dataclasses.dataclass(frozen=True)
class ClassSource:
    """An image whose label is its class alone."""

    image: np.ndarray
    label_kind = "classes"

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return np.zeros(self.image.shape[:2], np.bool_)

    def identity(self):
        return self.image.tobytes()


def picture(seed, *, size=SIZE, channels=None):
    shape = size if channels is None else (*size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def defect(size=SIZE):
    mask = np.zeros(size, dtype=np.bool_)
    mask[3:6, 4:9] = True
    return mask


@pytest.fixture
def make_record():
    def make(name, *, seed=0, is_defect=False, group="", split=None, size=SIZE, channels=None):
        mask = defect(size) if is_defect else np.zeros(size, dtype=np.bool_)
        source = ArraySource(picture(seed, size=size, channels=channels), mask)
        return records.Record(name, is_defect, source, group=group, split=split)

    return make


@pytest.fixture
def make_records(make_record):
    """Records of `count` images; the first `defective` of them are defective."""

    def make(count, defective, **options):
        return records.Records.of(
            make_record(f"{n:03d}", seed=n, is_defect=n < defective, **options)
            for n in range(count)
        )

    return make


@pytest.fixture
def make_classed():
    """Make records whose label is a class; 0 is a good image, and a group may stand beside."""

    def make(labels, *, groups=None, classes=("crack", "dent", "stain")):
        groups = groups or [""] * len(labels)
        return records.Records.of(
            (
                records.Record(
                    f"{n:03d}",
                    number > 0,
                    ClassSource(picture(n)),
                    group=group,
                    class_id=max(1, number),
                )
                for n, (number, group) in enumerate(zip(labels, groups, strict=True))
            ),
            classes=classes,
        )

    return make


@pytest.fixture
def write_dagm():
    """Write images `1..count` (of which `defective` have a label) as DAGM ships them."""

    def write(folder, *, count=3, defective=(2,), suffix=".PNG", table=False, first_seed=0):
        (folder / "Label").mkdir(parents=True)
        lines = ["1"]
        for number in range(1, count + 1):
            name = f"{number:04d}"
            _write(folder / f"{name}{suffix}", picture(first_seed + number))
            is_defect = number in defective
            label = f"{name}_label{suffix}" if is_defect else "0"
            if is_defect:
                _write(folder / "Label" / label, defect())
            lines.append(f"{number}\t{int(is_defect)}\t{name}{suffix}\t0\t{label}")
        if table:
            (folder / "Label" / "Labels.txt").write_text("\n".join(lines), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def write_folders():
    """Write `good/`, `defect/` and `masks/`."""

    def write(root, *, good=2, defective=2):
        for name in ("good", "defect", "masks"):
            (root / name).mkdir(parents=True)
        for number in range(good):
            _write(root / "good" / f"g{number}.png", picture(number))
        for number in range(defective):
            _write(root / "defect" / f"d{number}.png", picture(100 + number))
            _write(root / "masks" / f"d{number}.png", defect())
        return root

    return write


def _write(path, array):
    path.write_bytes(images.encode_png(array))
