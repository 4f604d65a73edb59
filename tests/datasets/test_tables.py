"""Tables as spreadsheets and scripts write them, for each reader that has one."""

import csv
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers, tables
from inspection_tf.datasets.readers.located import corners

CSV = "file,group\na.png,tile 1\nb.png,tile 2\n"
PLAIN = [{"file": "a.png", "group": "tile 1"}, {"file": "b.png", "group": "tile 2"}]


@pytest.fixture
def read(tmp_path):
    def parse(data, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return tables.read(path, needs="file,group", **options)

    return parse


def cells(table):
    return [row.cells for row in table.rows]


@pytest.mark.parametrize(
    "data",
    [
        CSV,
        CSV.replace("\n", "\r\n"),
        CSV.replace("\n", "\r"),
        "\ufeff" + CSV,
        CSV.encode("utf-16"),
        CSV.rstrip("\n"),
        "\n\n" + CSV.replace("\n", "\n\n") + "\n , \n",
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        CSV.replace(",", "|"),
        "sep=;\r\n" + CSV.replace(",", ";"),
        CSV.replace("\n", ",,,\n"),
        CSV.replace(",", ", "),
        '"file","group"\n"a.png","tile 1"\n"b.png","tile 2"\n',
        '"file";"group"\n"a.png";"tile 1"\n\nb.png;tile 2;;\n;;;\n',
        ",file,group\n0,a.png,tile 1\n1,b.png,tile 2\n",
    ],
    ids=lambda data: repr(data)[:40],
)
def test_a_table_is_read_however_it_was_saved(read, data):
    assert cells(read(data)) == PLAIN


def test_cells_may_hold_separators_quotes_and_line_breaks(read):
    found = read('file,group\n"a,b;c.png","the ""big"" tile\nof lot 7"\nd.png,e"f\n')
    assert cells(found) == [
        {"file": "a,b;c.png", "group": 'the "big" tile\nof lot 7'},
        {"file": "d.png", "group": 'e"f'},
    ]
    # A row is called after the line in which it begins.
    assert [row.where.rsplit(", ")[1] for row in found.rows] == ["line 2", "line 4"]


def test_what_csv_writes_is_read(tmp_path):
    rows = [["file", "group"], ["a\tb.png", 'x "y", z'], ["c;d.png", "line\nbreak"], ["e|f", "|"]]
    for dialect in ("excel", "excel-tab", "unix"):
        with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, dialect=dialect).writerows(rows)
        found = tables.read(tmp_path / "t.csv", needs="file,group")
        assert [list(row.values()) for row in cells(found)] == rows[1:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", r"t\.csv, line 1: the header must be there"),
        ("\n,,\n", "must begin with a header such as file,group"),
        (CSV + "c.png\n", r"t\.csv, line 4: a row must have 2 columns as the header\. Got 1"),
        (CSV + "c.png,1,,2\n", "line 4: a row must have 2 columns as the header. Got 4"),
        ("file,group,\na,b.png,tile 1\n", "line 2: a row must have 2 columns as the header. Got 3"),
        (CSV + 'c.png,"tile 3\nd.png,tile 4\n', "line 4: a row must be readable. Got: unexpected"),
        (CSV + '"c"d.png,tile 3\n', "line 4: a row must be readable"),
        (CSV + f"c.png,{'x' * 140_000}\n", "line 4: a row must be readable. Got: field larger"),
        ("file,group,group\na,b,c\n", "line 1: a column must be named once. Got 'group' twice"),
        (CSV.encode() + b"c\xe4.png,1\n", "text file. Got: bytes that are not UTF-8 in line 4"),
        (CSV.encode() + b"c\0.png,1\n", "line 4: a table must be text. Got a NUL"),
        (CSV.encode("utf-16-le"), "a table must be text. Got a NUL"),
    ],
    ids=range(12),
)
def test_what_cannot_be_read_is_refused_with_file_and_line(read, data, message):
    with pytest.raises(errors.DataError, match=message) as caught:
        read(data)
    assert caught.value.exit_code == 3
    assert len(str(caught.value)) < 400


def test_a_limit_that_others_set_stays(read):
    before = csv.field_size_limit()
    read(CSV)
    assert csv.field_size_limit() == before


def test_an_absent_table_names_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.DataError, match=f"Got: No such file or directory at {tmp_path}/t"):
        tables.read(Path("t.csv"), needs="file")


# Files that cells name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A set in `set/`, the working folder above it."""
    for name in ("set/a.png", "set/sub/b.png", "set/ä.png", "outside.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(path, np.full((20, 30), len(name), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "set"


def corner_ids(root, *names):
    rows = "".join(f'"{name}",3,4,20,5,19,15,2,14\n' for name in names)
    (Path(root) / "corners.csv").write_text(f"{','.join(corners.HEADER)}\n{rows}", "utf-8")
    return corners.read_corners(root).ids


@pytest.mark.parametrize("root", ["set", "./set", "set/../set", "ABSOLUTE"])
@pytest.mark.parametrize("name", ["sub/b.png", "./sub/b.png", "sub\\b.png", "ABSOLUTE/sub/b.png"])
def test_a_file_may_be_named_from_the_root_or_absolutely(folder, root, name):
    root, name = (text.replace("ABSOLUTE", str(folder)) for text in (root, name))
    assert corner_ids(root, name) == ("sub/b",)


def test_a_linked_root_is_the_folder_that_it_leads_to(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert corner_ids("link", f"{folder}/a.png") == ("a",)
    assert corner_ids(folder, f"{tmp_path}/link/a.png") == ("a",)


def test_composed_and_decomposed_names_are_one(folder):
    assert corner_ids(folder, "a\u0308.png") == ("ä",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ABSOLUTE/../outside.png"], "line 2: each listed file must lie in the folder of the set"),
        (["a.png", "/no/such.png"], "line 3: each listed image must exist. Got '/no/such.png'"),
        (["a.png", "x" * 5000], "line 3: each listed image must exist. Got 'x+...', which is"),
        (["a.png", "sub"], "line 3: each listed image must exist. Got 'sub'"),
        (["a.png", "./a.png"], "line 3: each file must be listed once. Got 'a.png' again, after"),
        ([""], "line 2: each listed image must exist. Got ''"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_its_line(folder, names, message):
    with pytest.raises(errors.DataError, match=message):
        corner_ids("set", *(name.replace("ABSOLUTE", str(folder)) for name in names))


def test_a_table_beside_its_images_may_name_them_by_dots(folder, tmp_path):
    (folder / "labels").mkdir()
    assert corner_ids(folder / "labels", "../sub/b.png") == ("../sub/b",)


@pytest.mark.parametrize("text", ["3,5", "1_5", "3 px"])
def test_a_number_that_may_mean_two_things_is_refused(folder, text):
    row = f"a.png;{text};4;20;5;19;15;2;14\n"
    (folder / "corners.csv").write_text(f"{';'.join(corners.HEADER)}\n{row}")
    with pytest.raises(errors.DataError, match=f"line 2: tl_x must be a number, px. Got '{text}'"):
        corners.read_corners(folder)


def test_frames_of_smartdoc_are_found_beside_their_table(folder):
    images.write_png(folder / "bg_page_f1.png", np.full((20, 30), 7, np.uint8))
    columns = "bg_name;model_name;image_path;tl_x;tl_y;bl_x;bl_y;br_x;br_y;tr_x;tr_y"
    row = "bg;page;{};3;4;2;14;19;15;20;5"
    listed = ("bg/page/f1.png", f"{folder}/sub/b.png")
    text = "\r\n".join((columns, "", *map(row.format, listed)))
    (folder / "ground_truth.csv").write_text(f"\ufeff{text}", encoding="utf-8")
    found = corners.read_smartdoc("set")
    assert found.ids == ("bg_page_f1", "sub/b")
    assert found[0].read_corners()[1].tolist() == [20, 5]


# Lines without a header


@pytest.mark.parametrize(
    "text",
    ["dent\nlong scratch\nhole, large\n", '\ufeffdent\r\n"long scratch"\r\n\r\n"hole, large",,\r\n',
     "dent\rlong scratch;;\rhole, large\t\r"],
)  # fmt: skip
def test_names_of_classes_are_read_however_they_were_saved(tmp_path, text):
    (tmp_path / "classes.txt").write_bytes(text.encode())
    assert tables.read_names(tmp_path / "classes.txt") == ["dent", "long scratch", "hole, large"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"dent\nscratch"\n', r"classes\.txt, line 1: a line must be one name. Got '\"dent'"),
        ('dent\n"scratch","hole"\n', "line 2: a line must be one name"),
        (
            "dent\nscratch\ndent\n",
            "line 3: the names must stand each once. Got 'dent' again, after",
        ),
    ],
)
def test_names_of_classes_that_cannot_be_read_are_refused(tmp_path, text, message):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(errors.DataError, match=message):
        tables.read_names(tmp_path / "classes.txt")


@pytest.mark.parametrize(
    ("line", "expected"),
    [("1 2  3", "1 2 3"), ("1,2;3\t4", "1 2 3 4"), ('"1","2",,', "1 2"), ("1;;2;", "1 2")],
)
def test_a_line_is_parted_into_words(line, expected):
    assert tables.words(line) == expected.split()


def test_a_quote_that_is_not_closed_leaves_a_line_whole():
    assert tables.words('1 "2 3') == ['1 "2 3']


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", ["\t", " ", ",", ";"])
def test_labels_of_dagm_are_read_however_they_were_saved(tmp_path, write_dagm, separator, end):
    write_dagm(tmp_path, table=True, defective=(2, 3))
    path = tmp_path / "Label" / "Labels.txt"
    text = path.read_text().replace("3\t1\t0003", "3\t0\t0003")  # no defect, although a mask
    path.write_bytes(("\ufeff" + text.replace("\t", separator).replace("\n", end)).encode())
    assert readers.read_dagm(tmp_path).is_defect.tolist() == [False, True, False]


@pytest.mark.parametrize("line", ["0002.PNG\t1", "junk", '2\t1\t"0002.PNG'])
def test_labels_of_dagm_that_cannot_be_read_are_refused(tmp_path, write_dagm, line):
    write_dagm(tmp_path, table=True)
    path = tmp_path / "Label" / "Labels.txt"
    path.write_text(f"{path.read_text()}\n{line}\n")
    with pytest.raises(errors.DataError, match=r"Labels\.txt, line 5: a line must be an image's"):
        readers.read_dagm(tmp_path)


@pytest.mark.parametrize("line", ['"5";"16";"20";"37";"1";', "5\t16\t20\t37\t1", "5,16,20,37,1,,"])
def test_boxes_of_boards_are_read_however_they_were_saved(tmp_path, line):
    for suffix in ("test", "temp"):
        images.write_png(tmp_path / f"1_{suffix}.png", np.full((64, 64), 9, np.uint8))
    (tmp_path / "1.txt").write_bytes(f"\ufeff{line}\r\n\r\n".encode())
    (found,) = readers.read_deeppcb(tmp_path)
    assert found.class_ids() == (1,)
    (tmp_path / "1.txt").write_text('5 16 20 37 1\n"5 16 20 37 1\n')
    with pytest.raises(errors.DataError, match=r"1\.txt, line 2: a box must be"):
        readers.read_deeppcb(tmp_path)
