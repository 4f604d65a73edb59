import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from inspection_tf import bundle, cli, images
from inspection_tf.datasets import data_spec
from inspection_tf.synthesis import surface


@pytest.fixture
def defective(toy_bundle):
    """The path of a golden image that the bundle judges NG or OK, with its recorded outcome."""
    sample = json.loads((toy_bundle / "golden" / "expected.json").read_text())[0]
    return toy_bundle / sample["image"], sample["outcome"]


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_prints_a_line_of_json_for_each_image(toy_bundle, defective, capsys):
    path, outcome = defective
    code = cli.main(["predict", str(toy_bundle), str(path), str(path), "--json"])
    first, second = lines(capsys)
    assert first["path"] == str(path)
    assert first["outcome"] == outcome
    assert code == (0 if outcome == "OK" else 1)
    assert first | {"ms": 0} == second | {"ms": 0}


def test_predict_writes_pictures_in_the_image_size_and_the_verdicts(
    toy_bundle, defective, tmp_path, capsys
):
    path, outcome = defective
    out = tmp_path / "out"
    cli.main(["predict", str(toy_bundle), str(path), "--out", str(out)])
    assert outcome in capsys.readouterr().out
    stem, shape = path.stem, images.read(path).shape
    score = cv2.imread(str(out / f"{stem}.score.png"), cv2.IMREAD_UNCHANGED)
    assert score.shape == shape
    assert score.dtype == np.uint8
    expected = np.load(path.with_suffix(".npy"))
    np.testing.assert_allclose(score, np.rint(255 * expected), atol=1)
    assert cv2.imread(str(out / f"{stem}.mask.png"), cv2.IMREAD_UNCHANGED).shape == shape
    assert cv2.imread(str(out / f"{stem}.overlay.png")).shape == (*shape, 3)
    (verdict,) = [json.loads(v) for v in (out / "verdicts.jsonl").read_text().splitlines()]
    assert verdict["outcome"] == outcome


def test_predict_goes_on_after_a_bad_file_and_ends_with_the_gravest_code(
    toy_bundle, defective, tmp_path, capsys
):
    broken = tmp_path / "broken.png"
    broken.write_text("this is no image")
    good = defective[0]
    code = cli.main(["predict", str(toy_bundle), str(broken), str(good), "--json"])
    captured = capsys.readouterr()
    first, second = [json.loads(line) for line in captured.out.splitlines()]
    assert code == 3
    assert "broken.png" in first["error"]
    assert second["outcome"] == defective[1]
    assert captured.err.count("error: ") == 1


def test_predict_takes_a_folder_and_numbers_equal_stems(toy_bundle, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(toy_bundle / "golden" / "0.png", tmp_path / name / "part.png")
    folders = [str(tmp_path / name) for name in ("a", "b")]
    cli.main(["predict", str(toy_bundle), *folders, "--out", str(tmp_path / "o"), "--json"])
    assert len(lines(capsys)) == 2
    assert (tmp_path / "o" / "part.mask.png").is_file()
    assert (tmp_path / "o" / "part_2.mask.png").is_file()


def test_predict_refuses_a_folder_without_images_and_no_path_at_all(toy_bundle, tmp_path, capsys):
    assert cli.main(["predict", str(toy_bundle), str(tmp_path)]) == 3
    assert cli.main(["predict", str(toy_bundle)]) == 2
    assert "Got none" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_out_must_not_hold_anything(toy_bundle, tmp_path, capsys, command):
    (tmp_path / "mine.txt").write_text("precious")
    words = [str(toy_bundle / "golden" / "0.png")] if command == "predict" else []
    assert cli.main([command, str(toy_bundle), *words, "--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert "new or empty" in capsys.readouterr().err


def test_evaluate_without_a_root_repeats_the_metrics_of_the_bundle_exactly(toy_bundle, tmp_path):
    assert cli.main(["evaluate", str(toy_bundle), "--split", "test", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "metrics.json").read_text()) == bundle.read(toy_bundle).metrics
    assert (tmp_path / "per_image.csv").is_file()
    assert (tmp_path / "scores.png").is_file()


def test_evaluate_takes_every_split_and_all_images(toy_bundle, tmp_path):
    splits = bundle.read(toy_bundle).provenance.data.splits
    for split in ("train", "tune", "all"):
        out = tmp_path / split
        assert cli.main(["evaluate", str(toy_bundle), "--split", split, "--out", str(out)]) == 0
        counted = json.loads((out / "metrics.json").read_text())["counts"]["images"]
        assert counted == (sum(map(len, splits.values())) if split == "all" else len(splits[split]))


def test_evaluate_reads_a_folder_of_labelled_images(toy_bundle, tmp_path):
    size = bundle.read(toy_bundle).inputs[0].preprocessing.size
    surface.write_folder(
        tmp_path / "set", count=6, defective_fraction=0.5,
        spec=surface.SurfaceSpec(size=size), seed=9,
    )  # fmt: skip
    words = ["evaluate", str(toy_bundle), str(tmp_path / "set"), "--format", "folder"]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["split"] == "all"
    assert report["counts"] == {"images": 6, "defective": 3}
    # a split belongs to the bundle's own images
    assert cli.main([*words, "--out", str(tmp_path / "o2"), "--split", "test"]) == 3


def test_evaluate_refuses_data_that_changed(toy_bundle, tmp_path, capsys, monkeypatch):
    read = data_spec.read
    monkeypatch.setattr(data_spec, "read", lambda spec: read(spec)[1:])
    assert cli.main(["evaluate", str(toy_bundle), "--out", str(tmp_path / "out")]) == 3
    assert "another hash" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_verify_counts_what_it_checked(toy_bundle, capsys):
    assert cli.main(["verify", str(toy_bundle)]) == 0
    assert "golden samples as recorded" in capsys.readouterr().out


def test_verify_finds_one_flipped_byte(toy_bundle_copy, capsys):
    path = toy_bundle_copy / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert cli.main(["verify", str(toy_bundle_copy)]) == 4
    assert "model.onnx" in capsys.readouterr().err


def test_a_bundle_that_is_not_there_ends_with_4(tmp_path):
    assert cli.main(["verify", str(tmp_path / "none")]) == 4
    assert cli.main(["predict", str(tmp_path / "none"), "x.png"]) == 4


def test_bench_prints_each_engine_with_its_stages(toy_bundle, capsys):
    assert cli.main(["bench", str(toy_bundle), "--repeats", "2", "--json"]) == 0
    (timings,) = lines(capsys)
    assert {timing["name"] for timing in timings} >= {"CPUExecutionProvider", "keras"}
    for timing in timings:
        assert set(timing["stages_ms"]) == {"pre", "model", "post"}
        assert timing["p95_ms"] >= timing["p50_ms"] > 0
    assert cli.main(["bench", str(toy_bundle), "--repeats", "2", "--batch-sizes", "3"]) == 0
    assert "images/s" in capsys.readouterr().out
    assert cli.main(["bench", str(toy_bundle), "--repeats", "0"]) == 2


def test_synthesize_writes_a_set_and_refuses_a_used_folder(tmp_path, capsys):
    words = ["synthesize", "surface", "--out", str(tmp_path / "set"), "--count", "4"]
    assert cli.main([*words, "--spec.size", "48", "64"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "set")
    assert len(list((tmp_path / "set" / "good").iterdir())) == 2
    assert images.read(tmp_path / "set" / "defect" / "0001.png").shape == (48, 64)
    assert cli.main(words) in (2, 3)


def test_usage_errors_end_with_2():
    ended = subprocess.run(
        [sys.executable, "-m", "inspection_tf.cli", "predit"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stdout == "" or "predict" in ended.stdout + ended.stderr
