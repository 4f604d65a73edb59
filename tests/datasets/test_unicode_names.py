"""Names in composed and in decomposed Unicode, as different systems hand them over, are one."""

import unicodedata

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers, records

NAME = "pièce_über_が"


def composed(name):
    return unicodedata.normalize("NFC", name)


def decomposed(name):
    return unicodedata.normalize("NFD", name)


FORMS = [composed, decomposed]


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(array))


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (12, 16), np.uint8)


def marked():
    mask = np.zeros((12, 16), np.bool_)
    mask[2:5, 2:7] = True
    return mask


@pytest.mark.parametrize("of_mask", FORMS)
@pytest.mark.parametrize("of_image", FORMS)
def test_image_mask_and_template_match_in_either_form(tmp_path, of_image, of_mask):
    write(tmp_path / "good" / "a.png", picture(0))
    write(tmp_path / "defect" / f"{of_image(NAME)}.png", picture(1))
    write(tmp_path / "masks" / f"{of_mask(NAME)}.png", marked())
    write(tmp_path / "templates" / f"{of_mask(NAME)}.png", picture(2))
    write(tmp_path / "templates" / "a.png", picture(3))
    found = readers.read_folder(tmp_path)
    assert found.ids == (f"defect/{composed(NAME)}", "good/a")
    assert found[0].read_mask().sum() == 15
    assert found[0].read_template().shape == (12, 16)


@pytest.mark.parametrize("of_label", FORMS)
@pytest.mark.parametrize("of_image", FORMS)
@pytest.mark.parametrize("of_table", [None, *FORMS])
def test_images_labels_and_table_of_dagm_match_in_either_form(
    tmp_path, of_image, of_label, of_table
):
    write(tmp_path / f"{of_image(NAME)}.PNG", picture(0))
    write(tmp_path / "Label" / f"{of_label(NAME)}_label.PNG", marked())
    if of_table:
        line = f"1\t1\t{of_table(NAME)}.PNG\t0\t{of_table(NAME)}_label.PNG\n"
        (tmp_path / "Label" / "Labels.txt").write_text(f"1\n{line}", encoding="utf-8")
    (record,) = readers.read_dagm(tmp_path)
    assert record.id == composed(NAME)
    assert record.is_defect
    assert record.read_mask().any()


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_magnetic_tiles_match_in_either_form(tmp_path, form):
    folder = tmp_path / "MT_Crack"
    write(folder / f"{form(NAME)}.jpg", picture(0))
    write(folder / f"{decomposed(NAME)}.png", marked())
    (record,) = readers.read_magnetic_tile(tmp_path)
    assert record.id == f"MT_Crack/{composed(NAME)}"
    assert record.read_mask().any()


@pytest.mark.parametrize("form", FORMS)
def test_template_and_boxes_of_boards_match_in_either_form(tmp_path, form):
    folder = tmp_path / "group00001" / "00001"
    write(folder / f"{composed(NAME)}_test.jpg", picture(0))
    write(folder / f"{form(NAME)}_temp.jpg", picture(1))
    (folder / f"{decomposed(NAME)}.txt").write_text("2 2 8 8 1\n")
    (record,) = readers.read_deeppcb(tmp_path)
    assert record.read_template().shape == (12, 16)
    assert record.class_ids() == (1,)


def test_a_set_has_one_hash_in_either_form(tmp_path):
    hashes = set()
    for form in FORMS:
        root = tmp_path / form.__name__
        write(root / "good" / f"{form(NAME)}.png", picture(0))
        hashes.add(readers.read_folder(root).sha256())
    assert len(hashes) == 1


def test_records_are_selected_in_either_form(make_record):
    found = records.Records.of([make_record(decomposed(NAME)), make_record("b", seed=1)])
    assert found.ids == ("b", composed(NAME))
    for form in FORMS:
        assert found.select([form(NAME)]).ids == (composed(NAME),)


def test_two_images_of_the_same_letters_are_refused(tmp_path):
    for form in FORMS:
        write(tmp_path / "good" / f"{form(NAME)}.png", picture(0))
    with pytest.raises(errors.DataError, match=r"also if composed otherwise in Unicode.*twice"):
        readers.read_folder(tmp_path)


def test_two_masks_of_the_same_letters_are_refused(tmp_path):
    write(tmp_path / "defect" / f"{composed(NAME)}.png", picture(0))
    for form in FORMS:
        write(tmp_path / "masks" / f"{form(NAME)}.png", marked())
    with pytest.raises(errors.DataError, match=r"one mask.*same letters, composed otherwise"):
        readers.read_folder(tmp_path)


def test_letters_that_only_look_alike_stay_two(tmp_path):
    # Latin a and Cyrillic a; a full-width A is another letter too.
    for seed, name in enumerate(("a", "а", "A", "Ａ")):  # noqa: RUF001
        write(tmp_path / "good" / f"{name}.png", picture(seed))
    assert len(readers.read_folder(tmp_path)) == 4


def test_ids_of_ascii_names_are_what_they_were(tmp_path, write_folders):
    found = readers.read_folder(write_folders(tmp_path))
    assert found.ids == ("defect/d0", "defect/d1", "good/g0", "good/g1")
