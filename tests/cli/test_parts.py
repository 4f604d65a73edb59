"""`inspection predict`: metadata, the images of a part, several bundles."""

import json
import re
import shutil

import pytest

from inspection_tf import cli, images


@pytest.fixture(scope="module")
def photos(toy_records, tmp_path_factory):
    """Photos of parts: 7 has a good and a defective one, 8 two good ones, 9 one good one."""
    root = tmp_path_factory.mktemp("photos")
    good = [record.read_image() for record in toy_records.where(is_defect=False)]
    defective = toy_records.where(is_defect=True)[0].read_image()
    for folder in ("left", "right"):
        (root / folder).mkdir()
    images.write_png(root / "left" / "lot7_part7.png", good[0])
    images.write_png(root / "right" / "lot7_part7.png", defective)
    images.write_png(root / "left" / "lot7_part8.png", good[1])
    images.write_png(root / "right" / "lot7_part8.png", good[2])
    images.write_png(root / "left" / "lot7_part9.png", good[0])
    return root


@pytest.fixture
def predict(toy_bundle, capsys):
    """Run it on a bundle; returns the exit code, the lines and what stderr says."""

    def run(*words):
        code = cli.main(["predict", str(toy_bundle), *map(str, words)])
        said = capsys.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return run


PART = r"part(\d+)\.png$"


def test_metadata_passes_through_to_every_verdict(predict, photos):
    words = ("--metadata", "camera=left", "--metadata", "note=a=b", "--metadata", "empty=")
    _, lines, _ = predict(photos / "left", *words, "--json")
    expected = {"camera": "left", "note": "a=b", "empty": ""}
    assert [line["metadata"] for line in lines] == [expected] * 3


def test_without_it_the_lines_are_those_of_images(predict, photos):
    code, lines, _ = predict(photos / "left", "--json")
    assert (code, [line["outcome"] for line in lines]) == (0, ["OK"] * 3)
    assert [line["metadata"] for line in lines] == [{}] * 3
    assert "verdicts" not in lines[0]


def test_the_images_of_a_part_give_one_verdict(predict, photos):
    code, lines, _ = predict(photos / "left", photos / "right", "--part", PART, "--json")
    assert code == 1
    assert [(line["part"], line["outcome"]) for line in lines] == [
        ("7", "NG"),
        ("8", "OK"),
        ("9", "OK"),
    ]
    worst = str(photos / "right" / "lot7_part7.png")
    assert lines[0]["decided_by"] == worst
    assert all(reason.startswith(f"{worst}: ") for reason in lines[0]["reasons"])
    assert list(lines[0]["verdicts"]) == [str(photos / "left" / "lot7_part7.png"), worst]


@pytest.mark.parametrize("part", [PART, "folder"])
def test_a_folder_that_cannot_be_used_is_no_part_and_says_why(predict, photos, tmp_path, part):
    (tmp_path / "empty").mkdir()
    code, lines, said = predict(tmp_path / "empty", photos / "left", "--part", part, "--json")
    assert code == 3
    assert lines[0]["path"] == str(tmp_path / "empty")
    assert "must hold images" in lines[0]["error"]
    assert "must hold images" in said
    assert {line["outcome"] for line in lines[1:]} == {"OK"}


def test_each_folder_can_be_a_part(predict, photos):
    words = ("--part", "folder", "--metadata", "lot=7", "--json")
    code, lines, _ = predict(photos / "left", photos / "right", *words)
    assert code == 1
    found = [(line["part"], line["outcome"], len(line["verdicts"])) for line in lines]
    assert found == [(str(photos / "left"), "OK", 3), (str(photos / "right"), "NG", 2)]
    lots = {verdict["metadata"]["lot"] for line in lines for verdict in line["verdicts"].values()}
    assert lots == {"7"}


def test_a_part_with_an_image_that_cannot_be_read_is_never_ok(predict, photos, tmp_path):
    shutil.copytree(photos / "left", tmp_path / "left")
    (tmp_path / "left" / "lot7_part8.png").write_text("no image")
    out = tmp_path / "out"
    words = ("--part", PART, "--json", "--out", out)
    code, lines, said = predict(tmp_path / "left", tmp_path / "gone_part9.png", *words)
    assert code == 3
    assert [(line["part"], line["outcome"]) for line in lines] == [
        ("7", "OK"),
        ("8", "REVIEW"),
        ("9", "REVIEW"),
    ]
    assert "not inspected" in lines[1]["reasons"][0]
    assert list(lines[2]["failures"]) == [str(tmp_path / "gone_part9.png")]
    assert len(lines[2]["verdicts"]) == 1
    assert said.count("error: ") == 2
    written = (out / "verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == lines
    assert (out / "lot7_part9.overlay.png").is_file()


def test_an_image_that_names_no_part_does_not_cost_the_others_theirs(predict, photos, tmp_path):
    stray = tmp_path / "stray.png"
    shutil.copy(photos / "left" / "lot7_part9.png", stray)
    code, lines, said = predict(stray, photos / "left", "--part", PART, "--json")
    assert code == 3
    assert "the path must name its part" in lines[0]["error"]
    assert [line["outcome"] for line in lines[1:]] == ["OK"] * 3
    assert f"{stray}: the path must name its part" in said


def test_a_part_is_named_alike_in_composed_and_decomposed_letters(predict, photos, tmp_path):
    name = "lot7_part8.png"
    paths = tmp_path / "left" / "é_1.png", tmp_path / "right" / "e\u0301_2.png"
    for path, folder in zip(paths, ("left", "right"), strict=True):
        path.parent.mkdir()
        shutil.copy(photos / folder / name, path)
    _, lines, _ = predict(*paths, "--part", r"([^/]+)_\d\.png$", "--json")
    assert [(line["part"], len(line["verdicts"])) for line in lines] == [("é", 2)]


def test_one_image_given_twice_is_two_images_of_its_part(predict, photos):
    path = photos / "left" / "lot7_part9.png"
    _, (line,), _ = predict(path, path, "--part", PART, "--json")
    assert list(line["verdicts"]) == [str(path), f"{path} (2)"]


def test_the_images_of_a_part_are_called_by_their_positions_the_worst_first(predict, photos):
    pattern = r"(lot\d+)_part(?P<position>\d+)\.png$"
    paths = [photos / "left" / "lot7_part8.png", photos / "right" / "lot7_part7.png"]
    _, (line,), _ = predict(*paths, "--part", pattern, "--metadata", "shift=2", "--json")
    assert (line["part"], line["decided_by"]) == ("lot7", "7")
    assert list(line["verdicts"]) == ["7", "8"]
    said = [verdict["metadata"] for verdict in line["verdicts"].values()]
    assert said == [{"shift": "2", "position": "7"}, {"shift": "2", "position": "8"}]
    assert "wear" not in line


def test_lines_of_parts_say_the_wear_of_each_position(toy_bundle_copy, reseal, photos, capsys):
    stored = json.loads((toy_bundle_copy / "manifest.json").read_text())
    stored["settings"]["rules"]["wear"] = {"levels": {"new": 0, "used": 1}}
    reseal(toy_bundle_copy, settings=stored["settings"], mm_per_px=0.005)
    pattern = r"(lot\d+)_part(?P<position>\d+)\.png$"
    paths = [photos / "left" / "lot7_part8.png", photos / "right" / "lot7_part7.png"]
    words = ["predict", str(toy_bundle_copy), *map(str, paths), "--part", pattern]
    assert cli.main([*words, "--json"]) == 1
    line = json.loads(capsys.readouterr().out)
    assert list(line["wear"]) == ["7", "8"]
    spot, good = line["wear"].values()
    assert (spot["outcome"], spot["level"]) == ("NG", "used")
    assert 5 < spot["vb_mean_um"] < 200  # a spot of some px of 5 um
    assert good == {
        "outcome": "OK", "level": "new", "vb_mean_um": 0, "vb_max_um": 0, "chipping_um": 0
    }  # fmt: skip
    assert cli.main(words) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "7: NG, used, VB_B" in printed
    assert cli.main(["threshold", str(toy_bundle_copy), "--set", "0.4"]) == 0  # it keeps its rules
    edited = json.loads((toy_bundle_copy / "manifest.json").read_text())
    assert edited["settings"]["rules"]["wear"]["levels"] == {"new": 0, "used": 1}


def test_two_bundles_on_one_image_give_one_verdict(predict, photos, toy_bundle, tmp_path):
    second, out = tmp_path / "second", tmp_path / "out"
    shutil.copytree(toy_bundle, second)
    path = photos / "right" / "lot7_part7.png"
    words = ("--also", second, "--out", out, "--json")
    code, lines, _ = predict(path, photos / "left" / "lot7_part9.png", *words)
    assert code == 1
    assert [line["outcome"] for line in lines] == ["NG", "OK"]
    assert lines[0]["path"] == str(path)
    assert list(lines[0]["verdicts"]) == [str(toy_bundle), str(second)]
    for folder in ("bundle_1", "bundle_2"):
        assert (out / folder / "lot7_part7.overlay.png").is_file()
    _, (line, *_), _ = predict(path, "--also", second, "--part", PART, "--json")
    assert list(line["verdicts"]) == [f"{path}: {toy_bundle}", f"{path}: {second}"]


def test_an_image_that_no_bundle_can_read_is_told_once(predict, toy_bundle, tmp_path):
    shutil.copytree(toy_bundle, tmp_path / "second")
    code, (line,), said = predict(tmp_path / "gone.png", "--also", tmp_path / "second", "--json")
    assert (code, line["outcome"], len(line["failures"])) == (3, "REVIEW", 2)
    assert said.count("error: ") == 1


def test_a_bundle_that_compares_and_one_that_does_not_go_together(
    toy_bundle, toy_pair, tmp_path, capsys
):
    record = next(record for part in toy_pair.parts.values() for record in part)
    image, template = tmp_path / "image.png", tmp_path / "template.png"
    images.write_png(image, record.read_image())
    images.write_png(template, record.read_template())
    words = ["--also", str(toy_pair.path), "--template", str(template), "--json"]
    cli.main(["predict", str(toy_bundle), str(image), *words])
    (line,) = capsys.readouterr().out.splitlines()
    assert len(json.loads(line)["verdicts"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metadata", "left"], r"metadata must be NAME=VALUE\. Got 'left'"),
        (["--metadata", "=left"], "metadata must be NAME=VALUE"),
        (["--metadata", "lot=7", "--metadata", "lot=8"], "Got lot twice"),
        (["--part", "(part"], r"regular expression, or folder\. Got \(part: missing \)"),
        (["--part", "part"], r"must have a group.*Got part\. Put"),
        (["--part", r"(?P<position>\d)_(\d)"], r"must have a group.*before any others"),
        (["--also", "BUNDLE"], "Each bundle must be named once"),
        (["--also", "BUNDLE/golden/.."], "Each bundle must be named once"),
        (["--also", "gone"], "gone"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_work(
    toy_bundle, photos, capsys, words, said, tmp_path
):
    out = tmp_path / "out"
    given = [word.replace("BUNDLE", str(toy_bundle)) for word in words]
    code = cli.main(["predict", str(toy_bundle), str(photos / "left"), *given, "--out", str(out)])
    assert code in (2, 4)
    found = capsys.readouterr()
    assert (found.out, out.exists()) == ("", False)
    assert " ".join(found.err.split()) == found.err.strip()
    assert re.search(said, found.err)


def test_the_table_says_which_part_and_why(toy_bundle, photos, capsys):
    words = ["predict", str(toy_bundle), str(photos / "left"), str(photos / "right")]
    assert cli.main([*words, "--part", "folder"]) == 1
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["part", "outcome", "verdicts", "decided", "by", "reasons"]
    assert any("NG" in row for row in rows)
