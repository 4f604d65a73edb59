import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets.drawn import photos
from inspection_tf.datasets.readers.located import corners
from inspection_tf.synthesis import certificate, photo

PHOTO = photo.PhotoSpec(size=(96, 128))
SPEC = certificate.CertificateSpec(photo=PHOTO, without_field_share=0.5)
FIELD = [[10, 8], [60, 8], [60, 20], [10, 20]]


def template(value=200):
    return certificate.from_template(np.full((40, 80), value, np.uint8), FIELD)


def copies(value=200, seed=1):
    return photos.of_templates([template(value)], count=4, spec=PHOTO, seed=seed)


def test_certificates_are_what_the_generator_draws():
    found = photos.certificates(count=6, spec=SPEC, seed=2)
    for index, record in enumerate(found):
        drawn = certificate.draw(index, seed=2, spec=SPEC)
        np.testing.assert_array_equal(record.read_image(), drawn.image)
        if drawn.corners_xy is None:
            assert record.read_corners() is None
        else:
            np.testing.assert_array_equal(record.read_corners(), drawn.corners_xy)
        assert record.is_defect == (drawn.corners_xy is None)
        assert record.read_mask().shape == (96, 128)
    assert 0 < found.is_defect.sum() < 6
    assert found.classes == ("no field",)


def test_the_hash_of_a_set_follows_what_it_is_drawn_from():
    def sha256(seed=2, **changes):
        spec = SPEC.model_copy(update=changes)
        return photos.certificates(count=2, spec=spec, seed=seed).sha256()

    assert sha256() == sha256()
    assert len({sha256(), sha256(seed=3), sha256(margin=0.2)}) == 3
    assert copies().sha256() == copies().sha256()
    assert len({copies().sha256(), copies(seed=2).sha256(), copies(value=9).sha256()}) == 3


def test_a_set_has_a_photo():
    with pytest.raises(errors.ConfigError, match="count must be at least 1"):
        photos.certificates(count=0, spec=SPEC, seed=0)


def test_a_written_set_is_read_again(tmp_path):
    drawn = photos.certificates(count=5, spec=SPEC, seed=2)
    done = []
    out = photos.write_folder(drawn, tmp_path / "set", settings=SPEC, seed=2, progress=done.append)
    assert done == [1, 2, 3, 4, 5]
    found = corners.read_corners(out)
    for record, original in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(record.read_image(), original.read_image())
        expected = original.read_corners()
        if expected is None:
            assert record.read_corners() is None
        else:
            np.testing.assert_allclose(record.read_corners(), expected, atol=5e-5)
    assert (out / "settings.yaml").read_text().startswith("seed: 2\ncount: 5\nspec:\n")
    with pytest.raises(errors.ConfigError, match="holds something"):
        photos.write_folder(drawn, out, settings=SPEC, seed=2)


@pytest.fixture
def scan(tmp_path):
    image = np.full((40, 80, 3), 200, np.uint8)
    images.write_png(tmp_path / "scan.png", image)
    return tmp_path / "scan.png"


def synthesize(*words):
    from inspection_tf import cli

    return cli.main(["synthesize", *map(str, words)])


def test_the_command_writes_certificates(tmp_path, capsys):
    words = ("certificate", "--out", tmp_path / "set", "--count", 2, "--spec.photo.size", 96, 128)
    assert synthesize(*words) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'set'}\n"
    assert len(corners.read_corners(tmp_path / "set")) == 2
    assert synthesize(*words) == 2


def test_the_command_photographs_a_form(tmp_path, scan):
    words = ("template", scan, "--count", 3, "--spec.size", 96, 128)
    points = [value for point in FIELD for value in point]
    assert synthesize(*words, "--out", tmp_path / "set", "--corners", *points) == 0
    assert len(corners.read_corners(tmp_path / "set")) == 3


def test_the_corners_of_a_form_may_be_painted(tmp_path, scan, capsys):
    from inspection_tf.datasets.readers.located import markers

    words = ("template", scan, "--count", 3, "--spec.size", 96, 128)
    assert synthesize(*words, "--out", tmp_path / "set") == 2
    assert "Add --corners X Y X Y X Y X Y, or paint them" in capsys.readouterr().err
    image = images.read(scan)
    for (x, y), corner in zip(FIELD, corners.ORDER, strict=True):
        image[y, x] = markers.COLOURS[corner]
    images.write_png(scan, image)
    assert synthesize(*words, "--out", tmp_path / "set") == 0
    drawn = photos.of_templates([template()], count=3, spec=PHOTO, seed=0)
    for record, expected in zip(corners.read_corners(tmp_path / "set"), drawn, strict=True):
        assert record.is_defect == expected.is_defect
        if not record.is_defect:
            np.testing.assert_allclose(record.read_corners(), expected.read_corners(), atol=5e-5)


def test_painted_images_become_a_data_set(tmp_path, scan, capsys):
    from inspection_tf import cli

    words = ["markers", str(scan.parent), "--out", str(tmp_path / "set")]
    assert cli.main(words) == 3
    assert "all four corners must be painted" in capsys.readouterr().err
    assert cli.main([*words, "--unmarked"]) == 0
    assert corners.read_corners(tmp_path / "set").is_defect.tolist() == [True]
