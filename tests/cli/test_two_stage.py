import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import cli, images
from inspection_tf.datasets import data_spec

ROOT = Path(__file__).parents[2]


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def parts(toy_pairs_root, tmp_path_factory):
    """A folder of three pairs: 06 and 08 are good, 07 is not."""
    folder = tmp_path_factory.mktemp("parts")
    for stem, name in (("06", "good"), ("07", "defect"), ("08", "good")):
        shutil.copy(toy_pairs_root / name / f"{stem}.png", folder / f"{stem}.png")
    return folder


@pytest.fixture
def pairs_copy(toy_pairs_root, tmp_path):
    return shutil.copytree(toy_pairs_root, tmp_path / "pairs")


# predict


def test_predict_says_which_stage_decided(toy_cascade, toy_classes_root, tmp_path, capsys):
    given = [str(toy_classes_root / name) for name in ("good/00.png", "defect/01.png")]
    out = tmp_path / "out"
    assert cli.main(["predict", str(toy_cascade.path), *given, "--json", "--out", str(out)]) == 1
    stopped, passed = lines(capsys)
    assert (stopped["outcome"], stopped["decided_by"]) == ("OK", "classifier")
    assert list(stopped["stages"]) == ["classifier"]
    assert (passed["outcome"], passed["decided_by"]) == ("NG", "segmenter")
    assert list(passed["stages"]) == ["classifier", "segmenter"]
    assert passed["regions"][0]["class_name"] == "bright"
    # a stopped image has no map to draw
    kept = {"mask.png", "overlay.png"}
    assert {path.name for path in out.iterdir()} == {"verdicts.jsonl", "01.score.png"} | {
        f"{stem}.{kind}" for stem in ("00", "01") for kind in kept
    }


def test_predict_prints_the_stage_in_the_reasons(toy_cascade, toy_classes_root, capsys):
    assert cli.main(["predict", str(toy_cascade.path), str(toy_classes_root / "good")]) == 0
    assert capsys.readouterr().out.count("classifier:") == 6


@pytest.mark.parametrize("folder", ["templates", None])
def test_predict_takes_a_template_from_a_file_or_by_name_from_a_folder(
    toy_pair, toy_pairs_root, parts, folder, capsys
):
    templates = toy_pairs_root / "templates"
    given = [parts] if folder else [parts / "07.png"]
    template = templates if folder else templates / "07.png"
    words = ["predict", str(toy_pair.path), *map(str, given), "--template", str(template)]
    assert cli.main([*words, "--json"]) == 1
    outcomes = [line["outcome"] for line in lines(capsys)]
    assert outcomes == (["OK", "NG", "OK"] if folder else ["NG"])


def test_a_template_may_have_another_suffix_and_signs_of_patterns(
    toy_pair, toy_pairs_root, tmp_path, capsys
):
    (tmp_path / "t").mkdir()
    part, template = tmp_path / "part[0-9].png", tmp_path / "t" / "part[0-9].bmp"
    shutil.copy(toy_pairs_root / "defect" / "07.png", part)
    ok, data = __import__("cv2").imencode(
        ".bmp", images.read(toy_pairs_root / "templates" / "07.png")
    )
    assert ok
    template.write_bytes(data.tobytes())
    (tmp_path / "t" / "part[0-9].txt").write_text("no image")
    words = ["predict", str(toy_pair.path), str(part), "--template", str(tmp_path / "t")]
    assert cli.main([*words, "--json"]) == 1
    assert [line["outcome"] for line in lines(capsys)] == ["NG"]


def test_an_image_whose_template_is_missing_is_named_and_the_others_go_on(
    toy_pair, pairs_copy, parts, capsys
):
    (pairs_copy / "templates" / "06.png").unlink()
    words = ["predict", str(toy_pair.path), str(parts)]
    code = cli.main([*words, "--template", str(pairs_copy / "templates"), "--json"])
    captured = capsys.readouterr()
    first, *rest = [json.loads(line) for line in captured.out.splitlines()]
    assert code == 3
    assert "06.png: each image must have a template. Got none named 06 in" in first["error"]
    assert [line["outcome"] for line in rest] == ["NG", "OK"]
    assert captured.err.count("error: ") == 1


def complaint(capsys, *words):
    """Run `predict`, which must end with 3 and one line on stderr; return that line."""
    assert cli.main(["predict", *map(str, words), "--json"]) == 3
    captured = capsys.readouterr()
    assert [list(json.loads(line)) for line in captured.out.splitlines()] == [["path", "error"]]
    (line,) = captured.err.splitlines()
    assert "Traceback" not in line
    return line


def test_templates_that_do_not_fit_end_with_3_and_one_sentence(
    toy_pair, toy_bundle, parts, tmp_path, capsys
):
    part = parts / "07.png"
    assert complaint(capsys, toy_pair.path, part) == (
        "error: This bundle compares each image with its template. Got an image without one. "
        "Give its template."
    )
    assert complaint(capsys, toy_bundle, part, "--template", part) == (
        "error: This bundle inspects images alone. Got a template too. Leave it out."
    )
    small = tmp_path / "small.png"
    images.write_png(small, np.zeros((32, 64), np.uint8))
    line = complaint(capsys, toy_pair.path, part, "--template", small)
    assert line.startswith("error: The template must be 64 x 64 px")
    assert "32 x 64" in line
    line = complaint(capsys, toy_pair.path, part, "--template", tmp_path / "none.png")
    assert "none.png" in line


# evaluate


def evaluate(toy, out, *words):
    assert cli.main(["evaluate", str(toy.path), *map(str, words), "--out", str(out)]) == 0
    return json.loads((out / "metrics.json").read_text()), table(out / "per_image.csv")


def test_evaluate_gives_the_figures_of_the_manifest_again(toy_cascade, toy_pair, tmp_path):
    for toy, name in ((toy_cascade, "cascade"), (toy_pair, "pair")):
        report, _ = evaluate(toy, tmp_path / name)
        assert report == json.loads(json.dumps(toy.shipped.manifest.metrics))


def test_evaluate_measures_each_class_of_a_folder(toy_cascade, toy_classes_root, tmp_path):
    report, rows = evaluate(toy_cascade, tmp_path / "out", toy_classes_root, "--format", "folder")
    assert report["counts"] == {"images": 12, "defective": 6}
    assert report["classes"] == ["bright", "dark"]
    assert report["metrics"]["ok_ng_accuracy"]["value"] == 1.0
    for name in report["classes"]:
        mine = [row for row in rows if row["true_class"] == name]
        true = sum(int(row[f"true_px_{name}"]) for row in mine)
        overlap = sum(int(row[f"overlap_px_{name}"]) for row in rows)
        found = sum(int(row[f"found_px_{name}"]) for row in rows)
        assert len(mine) == 3
        iou = report["metrics"][f"iou_class_{name}"]["value"]
        assert iou == pytest.approx(overlap / (true + found - overlap))
    assert {row["decided_by"] for row in rows} == {"classifier", "segmenter"}


def test_evaluate_reads_the_templates_of_a_folder(toy_pair, toy_pairs_root, tmp_path):
    report, rows = evaluate(toy_pair, tmp_path / "out", toy_pairs_root)
    assert report["metrics"]["ok_ng_accuracy"]["value"] == 1.0
    assert [row["outcome"] for row in rows] == ["NG"] * 6 + ["OK"] * 6
    assert {row["decided_by"] for row in rows} == {""}


def test_evaluate_takes_the_splits_of_a_folder_that_is_the_bundle_s_own(toy_pair, tmp_path):
    report, _ = evaluate(toy_pair, tmp_path / "out", toy_pair.root, "--split", "test")
    assert report == json.loads(json.dumps(toy_pair.shipped.manifest.metrics))


def test_evaluate_tells_how_many_of_the_images_taught_the_bundle(toy_pair, tmp_path, capsys):
    taught = len(toy_pair.shipped.manifest.provenance.data.splits["train"])
    report, _ = evaluate(toy_pair, tmp_path / "own", toy_pair.root)
    words = f"warning: {taught} of these {report['counts']['images']} images taught the bundle"
    assert 0 < taught < report["counts"]["images"]
    assert words in " ".join(capsys.readouterr().err.split())
    evaluate(toy_pair, tmp_path / "test", toy_pair.root, "--split", "test")
    assert "taught" not in capsys.readouterr().err


def test_a_bundle_without_templates_leaves_those_of_a_folder_aside(
    toy_bundle, toy_pairs_root, tmp_path
):
    words = ["evaluate", str(toy_bundle), str(toy_pairs_root), "--format", "folder"]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 0
    assert len(table(tmp_path / "out" / "per_image.csv")) == 12


def refused(capsys, tmp_path, toy_path, root, *words):
    out = tmp_path / "out"
    assert cli.main(["evaluate", str(toy_path), str(root), *words, "--out", str(out)]) == 3
    assert not out.exists()
    return capsys.readouterr().err


def test_other_classes_are_refused(
    toy_cascade, toy_pair, toy_classes_root, toy_pairs_root, tmp_path, capsys
):
    message = refused(capsys, tmp_path, toy_cascade.path, toy_pairs_root)
    assert "must have the classes of the bundle, bright, dark. Got defect in" in message
    message = refused(capsys, tmp_path, toy_pair.path, toy_classes_root)
    assert "must have the classes of the bundle, defect. Got bright, dark in" in message
    turned = shutil.copytree(toy_classes_root, tmp_path / "turned")
    (turned / "classes.txt").write_text("dark\nbright\n")
    message = refused(capsys, tmp_path, toy_cascade.path, turned)
    assert "Got dark, bright in" in message


def test_images_without_templates_are_refused_by_a_bundle_that_compares(
    toy_pair, pairs_copy, tmp_path, capsys
):
    (pairs_copy / "templates" / "03.png").unlink()
    message = refused(capsys, tmp_path, toy_pair.path, pairs_copy)
    assert "each image must have a template. Got none named 03" in message
    shutil.rmtree(pairs_copy / "templates")
    message = refused(capsys, tmp_path, toy_pair.path, pairs_copy)
    assert "compares each image with its template. Got images without templates" in message


def test_a_split_of_other_images_is_refused(toy_pair, pairs_copy, tmp_path, capsys):
    good = pairs_copy / "good" / "00.png"
    images.write_png(good, 255 - images.read(good))
    message = refused(capsys, tmp_path, toy_pair.path, pairs_copy, "--split", "test")
    assert "--split test needs the images the bundle was made from" in message


# verify, bench


def test_verify_runs_the_golden_samples_of_both_networks(toy_cascade, tmp_path, capsys):
    assert cli.main(["verify", str(toy_cascade.path)]) == 0
    assert "4 golden samples as recorded" in capsys.readouterr().out
    spoilt = shutil.copytree(toy_cascade.path, tmp_path / "bundle")
    (spoilt / "classifier.onnx").write_bytes((spoilt / "model.onnx").read_bytes())
    assert cli.main(["verify", str(spoilt)]) == 4
    assert "classifier.onnx" in capsys.readouterr().err


def test_bench_times_the_images_of_a_split(toy_cascade, capsys):
    words = [
        "bench",
        str(toy_cascade.path),
        "--batch-sizes",
        "1",
        "--repeats",
        "1",
        "--split",
        "test",
    ]
    assert cli.main([*words, "--json"]) == 0
    (found,) = lines(capsys)
    expected = [row.outcome for row in toy_cascade.shipped.rows]
    assert {tuple(timing["outcomes"]) for timing in found} == {tuple(expected)}
    cascade, both = (timing for timing in found if timing["name"].startswith("CPU"))
    assert both["name"] == f"{cascade['name']}, both graphs"
    assert cascade["segmented_share"] == expected.count("NG") / len(expected)
    assert both["segmented_share"] == 1.0


def test_bench_prints_a_table_of_both_ways(toy_pair, toy_cascade, capsys):
    words = ["--repeats", "1", "--threads", "1"]
    assert cli.main(["bench", str(toy_cascade.path), *words]) == 0
    captured = capsys.readouterr()
    assert "both graphs" in captured.out
    assert "50%" in captured.out
    assert captured.err == ""  # they decide alike
    assert cli.main(["bench", str(toy_pair.path), *words, "--split", "tune"]) == 0
    assert "both graphs" not in capsys.readouterr().out


def test_bench_of_a_split_that_is_not_there_or_empty_is_a_data_error(
    toy_cascade, monkeypatch, capsys
):
    split = data_spec.split
    monkeypatch.setattr(
        data_spec, "split", lambda *given, **seed: split(*given, **seed) | {"test": ()}
    )
    words = ["bench", str(toy_cascade.path), "--repeats", "1"]
    assert cli.main([*words, "--split", "test"]) == 3
    assert "There must be an image to time" in capsys.readouterr().err


def test_bench_profiles_every_network(toy_cascade, capsys):
    words = ["bench", str(toy_cascade.path), "--repeats", "1", "--profile"]
    assert cli.main([*words, "--json"]) == 0
    (found,) = lines(capsys)
    for graph in ("classifier", "segmenter"):
        mine = [row for row in found if row["graph"] == graph]
        assert sum(row["share"] for row in mine) == pytest.approx(1)
        assert any(row["kind"].startswith("Conv") and row["macs"] for row in mine)
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "Conv depthwise" in text
    assert "M MACs" in text
    assert cli.main(["bench", str(toy_cascade.path), "--profile", "--repeats", "0"]) == 2


# Without TensorFlow


def test_no_command_of_a_deployment_needs_tensorflow_or_onnx(
    toy_cascade, toy_pair, toy_pairs_root, tmp_path
):
    commands = [
        ["predict", str(toy_cascade.path), str(toy_cascade.path / "golden" / "0.png")],
        ["evaluate", str(toy_cascade.path), "--out", str(tmp_path / "out")],
        ["verify", str(toy_pair.path)],
        ["bench", str(toy_cascade.path), "--repeats", "1", "--split", "test"],
        ["bench", str(toy_pair.path), "--repeats", "1", "--profile"],
    ]
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'onnx', 'tf2onnx'):\n"
        "    sys.modules[name] = None  # an import of it fails\n"
        "from inspection_tf import cli\n"
        f"print([cli.main(words) for words in {commands!r}])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "[1, 0, 0, 0, 0]"
    assert "Traceback" not in found.stderr


def test_no_edit_of_a_bundle_needs_tensorflow(toy_bundle_copy):
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None  # an import of it fails\n"
        "from inspection_tf import cli\n"
        "for words in (['threshold', '--set', '0.4'], ['threshold', '--f-beta', '1'], ['tiles']):\n"
        f"    print(cli.main([*words, {str(toy_bundle_copy)!r}]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [line for line in found.stdout.splitlines() if line.isdigit()] == ["0", "0", "0"]
