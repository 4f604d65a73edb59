"""Groups of images: from a table, or from their names."""

import pytest

from inspection_tf import config, errors
from inspection_tf.datasets import data_spec, readers, records


def write(root, *lines, header="file,group"):
    (root / "groups.csv").write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path, write_folders):
    return write_folders(tmp_path / "set", good=2, defective=2)


LINES = ("good/g0.png,tile 1", "good/g1.png,tile 2", "defect/d0.png,tile 1", "defect/d1.png,tile 3")


def test_a_folder_takes_its_groups_from_a_table(folder):
    write(folder, *LINES)
    found = readers.read_folder(folder)
    assert found.ids == ("defect/d0", "defect/d1", "good/g0", "good/g1")
    assert found.groups == ("tile 1", "tile 3", "tile 1", "tile 2")


def test_without_a_table_each_image_is_a_part_of_its_own(folder):
    found = readers.read_folder(folder)
    assert found.groups == found.ids
    assert {record.group for record in found} == {""}


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace("/", "\\"),
        lambda line: f"./{line}",
        lambda line: f"ROOT/{line}",
        lambda line: line.replace(".png", ""),
        lambda line: '"' + line.replace(",", '","') + '"',
        lambda line: f"{line},,",
    ],
    ids=["windows", "dot", "absolute", "id", "quoted", "empty columns"],
)
def test_a_table_may_name_files_in_other_ways(folder, change):
    write(folder, *(change(line).replace("ROOT", str(folder)) for line in LINES))
    assert readers.read_folder(folder).groups == ("tile 1", "tile 3", "tile 1", "tile 2")


def test_a_table_of_a_relative_root_may_name_files_absolutely(folder, monkeypatch):
    write(folder, *(f"{folder}/{line}" for line in LINES))
    monkeypatch.chdir(folder.parent)
    assert readers.read_folder("set").groups == ("tile 1", "tile 3", "tile 1", "tile 2")


def test_class_folders_of_dagm_take_one_table(tmp_path, write_dagm):
    write_dagm(tmp_path / "Class1", count=2, defective=(2,))
    write_dagm(tmp_path / "Class2", count=1, defective=())
    write(tmp_path, "Class1/0001.PNG,a", "Class1/0002.PNG,a", "Class2/0001.PNG,b")
    assert readers.read_dagm(tmp_path).groups == ("a", "a", "b")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (LINES[:3], r"groups\.csv must name the group of every image. Got none of defect/d1"),
        ((*LINES, "good/no.png,x"), r"line 6: each listed image must exist. Got 'good/no\.png'"),
        ((*LINES[:3], "defect/D1.png,x"), r"line 5: each listed image must exist"),
        (("g0.png,tile 1", *LINES[1:]), r"line 2: each listed image must exist. Got 'g0\.png'"),
        ((*LINES, "/elsewhere/no.png,x"), r"line 6: each listed file must lie in the folder"),
        ((*LINES, "good/g0.png,tile 9"), r"line 6: a file must be in one group.*after .*line 2"),
        ((*LINES[:3], "defect/d1.png,"), r"line 5: a line must be a file and its group"),
        ((*LINES[:3], ",tile 3"), r"line 5: a line must be a file and its group"),
        ((*LINES[:3], "defect/d1.png"), r"line 5: a line must be a file and its group"),
        ((*LINES, ".,x"), r"line 6: each listed image must exist"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_its_line(folder, lines, message):
    write(folder, *lines)
    with pytest.raises(errors.DataError, match=message) as caught:
        readers.read_folder(folder)
    assert caught.value.exit_code == 3


def test_a_file_may_stand_twice_in_one_group(folder):
    write(folder, *LINES, LINES[0])
    assert len(set(readers.read_folder(folder).groups)) == 3


@pytest.mark.parametrize("header", ["file,part", "name,group"])
def test_a_table_needs_both_columns(folder, header):
    write(folder, *LINES, header=header)
    with pytest.raises(
        errors.DataError, match=r"groups\.csv, line 1: the header must be file,grou"
    ):
        readers.read_folder(folder)


def test_further_columns_are_left_alone(folder):
    write(folder, *(f"7,{line.replace(',', ',9,')}" for line in LINES), header="n,file,lot,group")
    assert readers.read_folder(folder).groups == ("tile 1", "tile 3", "tile 1", "tile 2")


# By names


def read(root, pattern, format="folder"):
    return data_spec.read(data_spec.DataSpec(format=format, root=root, group_pattern=pattern))


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"(\d+)$", ("0", "1", "0", "1")),
        (r"/(?P<kind>[a-z])(?P<group>\d+)", ("0", "1", "0", "1")),
        (r"(?:defect|good)/(.)", ("d", "d", "g", "g")),
        (r"^(.*)$", ("defect/d0", "defect/d1", "good/g0", "good/g1")),
    ],
)
def test_a_pattern_names_the_part_of_each_image(folder, pattern, groups):
    assert read(folder, pattern).groups == groups


def test_dagm_takes_a_pattern_too(tmp_path, write_dagm):
    write_dagm(tmp_path, count=4, defective=(2,))
    assert read(tmp_path, r"(\d\d)\d$", "dagm").groups == ("00",) * 4


@pytest.mark.parametrize("pattern", [r"good/g(\d)", r"defect/d\d(x?)", r"(good)?"])
def test_an_image_that_a_pattern_does_not_match_is_refused(folder, pattern):
    with pytest.raises(errors.DataError, match=r"must match every image\. Got 'defect/d0'"):
        read(folder, pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "must be a regular expression: missing"), (r"\d+", "must have a group"), ("", "group")],
)
def test_an_expression_that_names_no_part_is_refused(folder, pattern, message):
    values = {"format": "folder", "root": folder, "group_pattern": pattern}
    with pytest.raises(errors.ConfigError, match=f"group_pattern must be valid.*{message}"):
        config.validate(data_spec.DataSpec, values, origin="here")


def test_a_table_and_a_pattern_are_one_too_many(folder):
    write(folder, *LINES)
    with pytest.raises(errors.ConfigError, match=r"Got both: defect/d0 .*is in group tile 1"):
        read(folder, r"(\d+)$")


def test_no_part_straddles_a_split(tmp_path, write_folders):
    root = write_folders(tmp_path, good=12, defective=12)
    found = read(root, r"(\d+)$")
    parts = records.split(found, tune=0.25, test=0.25, seed=3)
    groups = [set(part.groups) for part in parts.values()]
    assert all(groups)
    assert len(set.union(*groups)) == sum(map(len, groups)) == 12


def test_groups_change_the_hash_of_a_set(folder):
    hashes = {read(folder, None).sha256(), read(folder, r"(\d+)$").sha256()}
    write(folder, *LINES)
    assert len(hashes | {read(folder, None).sha256()}) == 3
