import csv

import cv2
import numpy as np
import pytest
import yaml

from inspection_tf import errors, images
from inspection_tf.synthesis import inserts

SPEC = inserts.InsertSpec(size=(48, 64), mm_per_px=0.02)


def write(out, **changes):
    options = {"count": 5, "broken_share": 0.4, "spec": SPEC, "seed": 3, **changes}
    return inserts.write_folder(out, **options)


def stems(folder):
    return sorted(path.stem for path in folder.iterdir())


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rows(out):
    with (out / "truth.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_set_is_written_as_a_folder_a_class_with_masks_and_truth(tmp_path):
    seen = []
    out = write(tmp_path / "set", progress=seen.append)
    # 5 images, share 0.4: the running total 0.4 (i + 1) passes a whole number at i = 2 and i = 4.
    assert stems(out / "broken") == ["0002", "0004"]
    assert stems(out / "unbroken") == ["0000", "0001", "0003"]
    assert stems(out / "masks") == ["0000", "0001", "0002", "0003", "0004"]
    assert stems(out) == ["broken", "masks", "settings", "truth", "unbroken"]
    assert seen == [1, 2, 3, 4, 5]
    assert stems(tmp_path) == ["set"]


def test_the_files_hold_the_drawn_samples(tmp_path):
    out = write(tmp_path / "set")
    for index, row in enumerate(rows(out)):
        found = inserts.draw(index, seed=3, spec=SPEC, broken_share=0.4)
        assert row["file"] == f"{'broken' if found.is_broken else 'unbroken'}/{index:04d}.png"
        np.testing.assert_array_equal(read(out / row["file"]), found.image)
        mask = read(out / "masks" / f"{index:04d}.png")
        np.testing.assert_array_equal(mask, found.wear_mask * 255)
        assert row["broken"] == str(int(found.is_broken))
        for name in ("vb_mean_um", "vb_max_um", "chipping_um"):
            assert float(row[name]) == pytest.approx(getattr(found, name), abs=0.0005)
        assert float(row["mm_per_px"]) == 0.02


def test_the_settings_beside_the_images_draw_them_again(tmp_path):
    out = write(tmp_path / "set")
    settings = yaml.safe_load((out / "settings.yaml").read_text())
    spec = inserts.InsertSpec.model_validate(settings.pop("spec"))
    assert spec == SPEC
    again = inserts.write_folder(tmp_path / "again", spec=spec, **settings)
    for path in sorted(out.rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(path, array):
        raise errors.StorageError("disk full")

    monkeypatch.setattr(images, "write_png", full_disk)
    with pytest.raises(errors.StorageError, match="disk full"):
        write(tmp_path / "set")
    assert stems(tmp_path) == []


@pytest.mark.parametrize("changes", [{"count": 0}, {"broken_share": 1.5}])
def test_numbers_out_of_range_are_refused(tmp_path, changes):
    with pytest.raises(errors.ConfigError, match="count must be at least 1"):
        write(tmp_path / "set", **changes)
