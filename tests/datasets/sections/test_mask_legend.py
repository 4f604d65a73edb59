"""What `data.mask_values` and `data.mask_ignore` make of stored masks."""

import logging

import numpy as np
import pytest
from PIL import Image

from inspection_tf import config, errors, images
from inspection_tf.datasets import checks, data_spec, readers, records
from inspection_tf.datasets.sections import mask_legend

SIZE = (12, 16)
BOX, OTHER, RIM = np.s_[3:6, 4:9], np.s_[8:10, 1:5], np.s_[0, :]  # 15, 8 and 16 px


def stored(first=0, other=0, rim=0, ground=0, *, dtype=np.uint8):
    mask = np.full(SIZE, ground, dtype)
    mask[BOX], mask[OTHER], mask[RIM] = first, other, rim
    return mask


@pytest.fixture
def write_set(tmp_path):
    """Write one good image and one defective with the given mask: an array or a Pillow image."""

    def write(mask, *, suffix=".png", classes=()):
        for name in ("good", "defect", "masks"):
            (tmp_path / name).mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for name in ("good/g", "defect/d"):
            images.write_png(tmp_path / f"{name}.png", rng.integers(0, 256, SIZE, np.uint8))
        picture = Image.fromarray(mask) if isinstance(mask, np.ndarray) else mask
        picture.save(tmp_path / "masks" / f"d{suffix}", quality=95)
        if classes:
            (tmp_path / "classes.txt").write_text("\n".join(classes), encoding="utf-8")
        return tmp_path

    return write


def read(root, **settings):
    found = data_spec.read(data_spec.DataSpec(format="folder", root=root, **settings))
    (record,) = found.where(is_defect=True)
    return found, record


def counts(array):
    return dict(zip(*(part.tolist() for part in np.unique(array, return_counts=True)), strict=True))


def test_an_ignored_value_counts_neither_as_defect_nor_as_background(write_set):
    found, record = read(write_set(stored(1, rim=255)), mask_ignore=(255,))
    assert found.classes == ("defect",)
    assert record.read_mask().sum() == 15
    assert record.read_ignored().sum() == 16
    assert record.read_ignored()[RIM].all()
    assert found.has_ignored
    assert found.where(is_defect=False)[0].read_ignored() is None


def test_the_same_can_be_said_in_one_mapping(write_set):
    root = write_set(stored(1, rim=255))
    first, second = read(root, mask_ignore=(255,)), read(root, mask_values={1: 1, 255: "ignore"})
    for found, record in (first, second):
        assert counts(record.read_classes()) == {0: 192 - 15, 1: 15}
        assert found[0].read_ignored().sum() == 16
    assert first[0].sha256() != second[0].sha256()  # said otherwise


def test_names_in_the_mapping_are_the_classes_of_a_set_without_any(write_set):
    values = {100: "scratch", 255: "dent", 7: "background"}
    found, record = read(write_set(stored(100, 255, rim=7)), mask_values=values)
    assert found.classes == ("scratch", "dent")
    assert counts(record.read_classes()) == {0: 192 - 23, 1: 15, 2: 8}
    assert record.class_ids() == (1, 2)
    assert not found.has_ignored


def test_classes_txt_keeps_its_ids(write_set):
    root = write_set(stored(9, 4, rim=255), classes=("dent", "scratch"))
    values = {4: "dent", 9: 2, 255: "ignore"}
    found, record = read(root, mask_values=values)
    assert found.classes == ("dent", "scratch")
    assert counts(record.read_classes()) == {0: 192 - 23, 1: 8, 2: 15}
    assert record.class_ids() == (1, 2)
    assert record.read_ignored().sum() == 16


def test_ids_with_a_void_need_no_mapping(write_set):
    root = write_set(stored(1, 2, rim=255), classes=("dent", "scratch"))
    with pytest.raises(errors.DataError, match=r"0 to 2\. Got 255 among .*data\.mask_ignore"):
        read(root)[1].read_classes()
    _, record = read(root, mask_ignore=["255"])
    assert counts(record.read_classes()) == {0: 192 - 23, 1: 15, 2: 8}
    assert record.class_ids() == (1, 2)


def test_entries_of_a_palette_are_ids(write_set):
    picture = Image.fromarray(stored(1, 2, rim=255))
    palette = np.zeros((256, 3), np.uint8)
    palette[[1, 2, 255]] = (128, 0, 0), (0, 128, 0), (224, 224, 192)
    picture.putpalette(palette.ravel().tolist())
    root = write_set(picture, classes=("dent", "scratch"))
    _, record = read(root, mask_ignore=(255,))
    assert counts(record.read_classes()) == {0: 192 - 23, 1: 15, 2: 8}
    # The same by colours.
    values = {"#800000": "dent", "0,128,0": "scratch", "#E0E0C0": "ignore"}
    _, coloured = read(root, mask_values=values)
    np.testing.assert_array_equal(coloured.read_classes(), record.read_classes())
    np.testing.assert_array_equal(coloured.read_ignored(), record.read_ignored())


def test_colours_are_told_apart_by_their_names(write_set):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[BOX], mask[OTHER] = (255, 0, 0), (0, 0, 255)
    root = write_set(mask)
    with pytest.raises(errors.ImageError, match=r"Got several: .*#ff0000 \(15 px\)"):
        read(root)[1].read_mask()
    found, record = read(root, mask_values={"255,0,0": "dent", "#0000ff": "scratch"})
    assert found.classes == ("dent", "scratch")
    assert counts(record.read_classes()) == {0: 192 - 23, 1: 15, 2: 8}
    with pytest.raises(errors.DataError, match=r"Got #0000ff \(8 px\) besides"):
        read(root, mask_values={"255,0,0": "dent"})[1].read_classes()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_black_on_white_is_read_the_other_way_round(write_set, suffix):
    root = write_set(stored(0, 0, 255, ground=255), suffix=suffix)
    _, record = read(root, mask_values={0: "defect", 255: "background"})
    expected = stored(1, 1) > 0
    assert (record.read_mask() != expected).sum() <= (10 if suffix == ".jpg" else 0)


def test_edges_of_black_on_white_belong_to_the_nearer_level(write_set):
    mask = stored(0, ground=255, other=255, rim=255)
    mask[3, 4:9], mask[5, 4:9] = 60, 200
    _, record = read(write_set(mask), mask_values={0: "defect", 255: "background"})
    assert record.read_mask().sum() == 10
    mask[7:11, 1:12] = 100  # an area, and no edge
    with pytest.raises(errors.DataError, match=r"Got 100 \(44 px\), 60 \(5 px\)"):
        read(write_set(mask), mask_values={0: "defect", 255: "background"})[1].read_mask()


def test_values_that_nobody_named_are_refused(write_set):
    root = write_set(stored(1, 3, rim=255))
    values = {1: "defect", 255: "ignore"}
    with pytest.raises(errors.DataError, match=r"d\.png must hold only values .*Got 3 \(8 px\)"):
        read(root, mask_values=values)[1].read_mask()
    assert read(root, mask_values={**values, 3: "background"})[1].read_mask().sum() == 15


def test_16_bit_values_have_meanings_too(write_set):
    mask = stored(300, 65535, dtype=np.uint16)
    found, record = read(write_set(mask), mask_values={300: "dent", 65535: "ignore"})
    assert found.classes == ("dent",)
    assert record.read_mask().sum() == 15
    assert record.read_ignored().sum() == 8


def test_transparent_pixels_are_background(write_set):
    picture = Image.fromarray(stored(1, 2))
    opaque = Image.fromarray(stored(255, 0, 255))
    root = write_set(Image.merge("LA", [picture, opaque]), classes=("a", "b"))
    assert counts(read(root)[1].read_classes()) == {0: 192 - 15, 1: 15}


def test_ids_and_ignored_values_do_not_survive_a_jpeg(write_set):
    root = write_set(stored(1, 2), suffix=".jpg", classes=("a", "b"))
    with pytest.raises(errors.ImageError, match="class ids without loss"):
        read(root)[1].read_classes()
    (root / "masks" / "d.jpg").unlink()
    assert read(write_set(stored(1, 2), suffix=".bmp"))[1].class_ids() == (1, 2)


def test_an_ignored_value_in_a_jpeg_must_be_one_of_all_that_are_named(write_set):
    root = write_set(stored(255, rim=128), suffix=".jpg")
    with pytest.raises(errors.ImageError, match="stored without loss where values are ignored"):
        read(root, mask_ignore=(128,))[1].read_mask()
    _, record = read(root, mask_values={0: 0, 128: "ignore", 255: "defect"})
    assert abs(int(record.read_ignored().sum()) - 16) <= 8


def test_folders_that_tell_classes_apart_take_defect_for_theirs(tmp_path):
    folder = tmp_path / "MT_Fray"
    folder.mkdir(parents=True)
    for name, array in (("a.jpg", stored(9, 3)), ("a.png", stored(1, rim=255))):
        Image.fromarray(array).save(folder / name)
    found = mask_legend.with_meaning(
        readers.read_magnetic_tile(tmp_path), {"1": "defect", "255": "ignore"}
    )
    assert found.classes == ("Blowhole", "Break", "Crack", "Fray", "Uneven")
    assert counts(found[0].read_classes()) == {0: 192 - 15, 4: 15}
    assert found[0].read_ignored().sum() == 16


def test_without_settings_nothing_changes(write_set):
    root = write_set(stored(255))
    found, _ = read(root)
    plain = readers.read_folder(root)
    assert found.sha256() == plain.sha256()
    assert found.items == plain.items
    assert mask_legend.with_meaning(plain, {}) is plain
    # The hash of such a set is that of earlier bundles: ids, labels, and the files' bytes.
    assert found.items[0].source.meaning == readers.FileSource(root).meaning


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mask_values": {"red": "defect"}}, "a gray value or an entry of a palette"),
        ({"mask_values": {"#12": "defect"}}, "a gray value or an entry of a palette"),
        ({"mask_values": {"0,0,300": "defect"}}, "a gray value or an entry of a palette"),
        ({"mask_ignore": (-1,)}, "a gray value or an entry of a palette"),
        ({"mask_ignore": (70000,)}, "a gray value or an entry of a palette"),
        ({"mask_values": {255: "defect"}, "mask_ignore": (255,)}, "named once.*'255' again"),
        ({"mask_values": {"255": "defect", "0255": "ignore"}}, "named once.*'0255' again"),
        ({"mask_values": {"255": "defect", "#ffffff": "ignore"}}, "named once.*'#ffffff' again"),
        ({"mask_values": {"#800000": "defect", "128,0,0": "ignore"}}, "'128,0,0' again"),
    ],
)
def test_values_that_no_mask_can_hold_are_refused(settings, told):
    with pytest.raises(errors.ConfigError, match=told):
        config.validate(data_spec.DataSpec, {"format": "folder", **settings}, origin="test.yaml")


@pytest.mark.parametrize("word", ["crack", "3", "", "-1"])
def test_a_meaning_that_is_no_class_is_refused(write_set, word):
    root = write_set(stored(1), classes=("dent", "scratch"))
    with pytest.raises(errors.ConfigError, match=r"ignore, dent, scratch, or an id of 1 to 2"):
        read(root, mask_values={1: word})


@pytest.mark.parametrize("settings", [{"values": {"1": "1"}}, {"values": {}, "ignored": ("255",)}])
def test_drawn_images_have_no_mask_files(settings):
    with pytest.raises(errors.ConfigError, match=r"whose masks are made\. Leave them out"):
        mask_legend.with_meaning(data_spec.read(data_spec.DataSpec(count=4)), **settings)


@pytest.mark.parametrize("settings", [{"mask_values": {1: 1}}, {"mask_ignore": (255,)}])
def test_the_section_of_drawn_images_says_whose_masks_have_a_meaning(settings):
    told = r"formats dagm, folder and magnetic_tile, not to synthetic"
    with pytest.raises(errors.ConfigError, match=told):
        config.validate(data_spec.DataSpec, settings, origin="test.yaml")


def test_yaml_and_command_line_say_it_alike(tmp_path):
    class Whole(config.Section):
        data: data_spec.DataSpec = data_spec.DataSpec(format="folder")

    path = tmp_path / "a.yaml"
    path.write_text(
        'data:\n  format: folder\n  mask_values: {1: scratch, "#800000": 2}\n  mask_ignore: [255]\n'
    )
    (by_yaml, _) = config.from_command_line(
        Whole, [], default_path=path, program="x", description="y"
    )
    path.write_text("data: {format: folder}\n")
    words = ["--data.mask-values", "1", "scratch", "#800000", "2", "--data.mask-ignore", "255"]
    (by_words, _) = config.from_command_line(
        Whole, words, default_path=path, program="x", description="y"
    )
    assert by_yaml == by_words
    assert by_yaml.data.mask_values == {"1": "scratch", "#800000": "2"}
    assert config.validate(data_spec.DataSpec, by_yaml.data.model_dump(mode="json"), origin="x")


def test_the_data_check_reports_masks_that_mark_more_than_half(write_set, caplog):
    root = write_set(stored(0, ground=255, rim=255, other=255))
    spec = data_spec.DataSpec(format="folder", root=root)
    findings = checks.check(data_spec.read(spec))
    assert findings.problems == ()
    assert [(s.kind, s.id) for s in findings.suspects] == [("large_mask", "defect/d")]
    assert "1 masks that mark more than half of their image" in findings.summary()[1]
    assert "no problem found" not in findings.summary()
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        data_spec.check(data_spec.read(spec), spec, images.Preprocessing(size=SIZE))
    assert "Got 92%" in caplog.text  # 192 - 15 of 192
    assert "{0: defect, 255: background}" in caplog.text


def test_the_data_check_is_quiet_about_half_and_names_what_has_no_meaning(write_set):
    half = np.zeros(SIZE, np.uint8)
    half[:6] = 255
    assert checks.check(read(write_set(half))[0]).summary()[-1] == "no problem found"
    findings = checks.check(read(write_set(stored(1, rim=255)))[0])
    assert [p.kind for p in findings.problems] == ["mask"]
    assert "1 (15 px)" in findings.problems[0].detail


def test_a_composed_defect_lies_on_what_its_image_ignores(tmp_path):
    folder = tmp_path / "MT_Free"
    folder.mkdir(parents=True)
    for name, array in (("a.jpg", stored(9, 3, ground=120)), ("a.png", stored(rim=255))):
        Image.fromarray(array).save(folder / name)
    found = mask_legend.with_meaning(readers.read_magnetic_tile(tmp_path), {}, ["255"])
    one = records.Records.of(found.items)  # of one class, as composing needs
    spec = data_spec.DataSpec(compose=data_spec.ComposeSpec(per_image=1))
    made = data_spec.for_training(one, spec)
    assert len(made) == 2
    assert all(record.read_ignored().sum() == 16 for record in made)
    alone = data_spec.without_templates(made)
    assert all(record.has_ignored for record in alone)
