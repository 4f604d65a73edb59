import cv2
import numpy as np
import pytest
import yaml

from inspection_tf import errors, images
from inspection_tf.synthesis import surface

SPEC = surface.SurfaceSpec(size=(40, 56))


def write(out, **changes):
    options = {"count": 7, "defective_fraction": 0.4, "spec": SPEC, "seed": 3, **changes}
    return surface.write_folder(out, **options)


def stems(folder):
    return sorted(path.stem for path in folder.iterdir())


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_a_set_is_written_as_good_defect_masks_and_ellipses(tmp_path):
    seen = []
    out = write(tmp_path / "set", progress=seen.append)
    # 7 images, share 0.4: the running total 0.4 (i + 1) passes a whole number at i = 2 and i = 4
    # (0.4 0.8 1.2 1.6 2.0 2.4 2.8).
    assert stems(out / "defect") == ["0002", "0004"]
    assert stems(out / "masks") == stems(out / "ellipses") == stems(out / "defect")
    assert stems(out / "good") == ["0000", "0001", "0003", "0005", "0006"]
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert stems(tmp_path) == ["set"]


def test_the_files_hold_the_drawn_samples(tmp_path):
    out = write(tmp_path / "set")
    sample = surface.draw(2, seed=3, spec=SPEC, defective_fraction=0.4)
    np.testing.assert_array_equal(read(out / "defect" / "0002.png"), sample.image)
    np.testing.assert_array_equal(read(out / "masks" / "0002.png"), sample.mask * 255)
    np.testing.assert_array_equal(read(out / "ellipses" / "0002.png"), sample.ellipse * 255)


def test_the_recipe_beside_the_images_draws_them_again(tmp_path):
    out = write(tmp_path / "set")
    recipe = yaml.safe_load((out / "surface.yaml").read_text())
    spec = surface.SurfaceSpec.model_validate(recipe.pop("spec"))
    assert spec == SPEC
    again = surface.write_folder(tmp_path / "again", spec=spec, **recipe)
    for path in sorted(out.rglob("*.png")):
        assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()


@pytest.mark.parametrize(("fraction", "defective"), [(0.0, 0), (1.0, 6), (0.5, 3)])
def test_the_share_of_defective_images_is_met(tmp_path, fraction, defective):
    out = write(tmp_path / "set", count=6, defective_fraction=fraction)
    assert len(stems(out / "defect")) == defective
    assert len(stems(out / "good")) == 6 - defective


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path):
    few, many = write(tmp_path / "few", count=3), write(tmp_path / "many", count=5)
    name = "good/0001.png"
    assert (few / name).read_bytes() == (many / name).read_bytes()


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(errors.ConfigError, match="which holds something"):
        write(tmp_path)
    assert stems(tmp_path) == ["notes"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    assert len(stems(write(tmp_path / "set") / "good")) == 5


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def full_disk(path, array):
        written.append(path)
        if len(written) > 3:
            raise errors.StorageError("disk full")
        path.write_bytes(b"")

    monkeypatch.setattr(images, "write_png", full_disk)
    with pytest.raises(errors.StorageError, match="disk full"):
        write(tmp_path / "set")
    assert stems(tmp_path) == []


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError, match="must be writable"):
        write(tmp_path / "file" / "set")


@pytest.mark.parametrize("changes", [{"count": 0}, {"defective_fraction": 1.5}])
def test_numbers_out_of_range_are_refused(tmp_path, changes):
    with pytest.raises(errors.ConfigError, match="count must be at least 1"):
        write(tmp_path / "set", **changes)
