import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from engine_checks import contents, manifest_values

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.editing import rethreshold

library = pytest.importorskip("onnx")


def check(root):
    """Run the script of a bundle where nothing of ours can be imported."""
    done = subprocess.run(
        [sys.executable, "-I", str(root / "golden" / "check.py")],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    return done.returncode, done.stdout


def test_the_script_imports_numpy_and_onnxruntime_alone(toy_bundle):
    text = (toy_bundle / "golden" / "check.py").read_text()
    imported = {line.split()[1] for line in text.splitlines() if line.lstrip().startswith("import")}
    assert imported == {"argparse", "hashlib", "json", "os", "sys", "numpy", "onnxruntime"}
    assert "inspection_tf" not in text


@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_the_script_passes_a_good_bundle(request, made):
    root = request.getfixturevalue(made).path
    code, said = check(root)
    assert code == 0, said
    samples = json.loads((root / "golden" / "expected.json").read_text())
    assert {tensor["graph"] for sample in samples for tensor in sample.get("tensors", [])} == {
        graph.name for graph in bundle.read(root).graphs
    }
    for sample in samples:
        assert f"{sample['image']}  {sample['outcome']}  score {sample['score']}" in said


def change_a_weight(path):
    proto = library.load(path)
    weights = max(proto.graph.initializer, key=lambda value: len(value.raw_data))
    array = library.numpy_helper.to_array(weights).copy()
    array.flat[0] += 1.0
    weights.CopyFrom(library.numpy_helper.from_array(array, weights.name))
    path.write_bytes(proto.SerializeToString())


def test_the_script_fails_on_a_changed_weight_with_and_without_its_hash(toy_bundle_copy, reseal):
    change_a_weight(toy_bundle_copy / "model.onnx")
    code, said = check(toy_bundle_copy)
    assert code == 1
    assert "WRONG  model.onnx: not as it was written" in said
    reseal(toy_bundle_copy)  # whoever changed it knew about hashes
    code, said = check(toy_bundle_copy)
    assert code == 1
    assert "WRONG  segmenter on golden/" in said


def test_the_script_sees_missing_and_extra_files(toy_bundle_copy):
    (toy_bundle_copy / "golden" / "0.npy").unlink()
    (toy_bundle_copy / "extra.md").write_text("")
    (toy_bundle_copy / "golden" / "manifest.json").write_text("{}")
    code, said = check(toy_bundle_copy)
    assert code == 1
    assert "golden/0.npy: missing" in said
    assert "extra.md: not in the manifest" in said
    assert "golden/manifest.json: not in the manifest" in said


@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
def test_the_page_says_it_in_ten_lines(request, made):
    made = request.getfixturevalue(made)
    text = (made.path / "INTEGRATION.md").read_text()
    assert [line.split(".")[0] for line in text.splitlines() if line[:1].isdigit()] == [
        str(number) for number in range(1, 11)
    ]
    assert "in a child of `os.fork()` too" in text
    manifest = made.shipped.manifest
    assert f"NG when it is >= {manifest.operating_point.threshold:.6g}" in text
    assert ("`template`" in text) == manifest.has_template
    assert ("The template is laid onto the image first, by at most 16 px" in text) == (
        manifest.has_template
    )
    names = [graph.name for graph in manifest.graphs]
    assert ("classifier.onnx" in text) == ("classifier" in names)


# The threshold after the export


def test_a_threshold_is_set_noted_and_sealed(toy_bundle_copy, toy_records, capsys):
    before = runtime.Inspector.load(toy_bundle_copy)
    words = ["threshold", str(toy_bundle_copy), "--set", "0.97", "--reason", "too much overkill"]
    assert cli.main(words) == 0
    assert "-> 0.97; " in capsys.readouterr().out
    after = runtime.Inspector.load(toy_bundle_copy)  # golden samples and hashes agree
    point = after.manifest.operating_point
    assert (point.threshold, point.method, point.promise) == (0.97, "fixed", None)
    (edit,) = after.manifest.audit
    assert edit["before"]["threshold"] == before.manifest.operating_point.threshold
    assert edit["reason"] == "too much overkill"
    assert edit["engines_stopped"] == []
    assert "too much overkill" in (toy_bundle_copy / "MODEL_CARD.md").read_text()
    assert "NG when it is >= 0.97" in (toy_bundle_copy / "INTEGRATION.md").read_text()
    for record in toy_records:
        old, new = (one.inspect(record.read_image()) for one in (before, after))
        assert new.score == old.score
        assert new.outcome == ("NG" if old.score >= 0.97 else "OK")
    metadata = library.load(toy_bundle_copy / "model.onnx").metadata_props
    repeated = json.loads(next(e.value for e in metadata if e.key == "inspection_tf"))
    assert repeated["operating_point"]["threshold"] == 0.97
    assert check(toy_bundle_copy)[0] == 0
    rethreshold.set_threshold(toy_bundle_copy, 0.001)
    manifest = bundle.read(toy_bundle_copy)
    assert [edit["after"]["threshold"] for edit in manifest.audit] == [0.97, 0.001]
    assert manifest.operating_point.mask_threshold == 0.01


def test_golden_verdicts_that_change_are_named(toy_bundle_copy):
    samples = json.loads((toy_bundle_copy / "golden" / "expected.json").read_text())
    assert {sample["outcome"] for sample in samples} == {"OK", "NG"}
    scores = sorted(sample["score"] for sample in samples if sample["outcome"] == "NG")
    middle = (scores[0] + scores[1]) / 2
    manifest = rethreshold.set_threshold(toy_bundle_copy, middle)
    (changed,) = manifest.audit[-1]["golden_changed"]
    assert changed == next(s["id"] for s in samples if s["score"] == scores[0])
    samples = json.loads((toy_bundle_copy / "golden" / "expected.json").read_text())
    assert [sample["outcome"] == "NG" for sample in samples] == [
        sample["score"] >= middle for sample in samples
    ]


def test_engines_must_pass_the_gate_again(toy_bundle_copy, capsys):
    pytest.importorskip("openvino")
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "openvino"]) == 0
    assert cli.main(["threshold", str(toy_bundle_copy), "--set", "0.6"]) == 0
    assert "engines/openvino must pass the gate again" in capsys.readouterr().out
    with pytest.raises(errors.BundleError, match="must pass the gate again"):
        runtime.Inspector.load(toy_bundle_copy, engine="openvino")
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "openvino"]) == 0
    assert runtime.Inspector.load(toy_bundle_copy, engine="openvino").engine_name == "openvino"


def test_a_promise_follows_from_the_tune_images(toy_cascade, tmp_path):
    # Two defects in twelve images: 80 % is what they can promise together.
    root = shutil.copytree(toy_cascade.path, tmp_path / "bundle")
    manifest = rethreshold.promise(root, 0.95, confidence=0.5)
    promise = manifest.operating_point.promise
    assert (promise.max_escape_rate, promise.confidence) == (0.95, 0.5)
    assert manifest.audit[-1]["after"]["stages"].keys() == {"classifier"}
    assert runtime.Inspector.load(root).manifest.operating_point == manifest.operating_point


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "threshold needs one of --set, --escape-rate, "),
        (("--set", "0.4", "--escape-rate", "0.1"), 2, "Got --set and --escape-rate. Give one."),
        (("--set", "1.5"), 2, "must lie between 0 and 1"),
        (("--set", "nan"), 2, "must lie between 0 and 1"),
        (("--escape-rate", "2"), 2, "must lie between 0 and 1"),
        (("--escape-rate", "0.01"), 3, "promised on 299 defective images. Got 2"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(toy_bundle_copy, words, code, said, capsys):
    before = contents(toy_bundle_copy)
    assert cli.main(["threshold", str(toy_bundle_copy), *words]) == code
    assert said in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before


def test_a_cross_validated_bundle_has_no_images_for_a_promise(toy_bundle_copy, reseal, capsys):
    values = manifest_values(toy_bundle_copy)
    data = values["provenance"]["data"]
    data["splits"] = {"train": [name for part in data["splits"].values() for name in part]}
    data["source"] |= {"folds": 2}
    reseal(toy_bundle_copy, **values)
    assert cli.main(["threshold", str(toy_bundle_copy), "--escape-rate", "0.5"]) == 3
    assert "it was cross-validated" in capsys.readouterr().err


def test_a_full_disk_leaves_the_threshold_as_it_was(toy_bundle_copy, monkeypatch):
    before = contents(toy_bundle_copy)

    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle.Draft, "seal", full)
    with pytest.raises(errors.StorageError):
        rethreshold.set_threshold(toy_bundle_copy, 0.4)
    assert contents(toy_bundle_copy) == before


def test_tensors_of_the_kit_are_what_the_networks_return(toy_bundle):
    samples = json.loads((toy_bundle / "golden" / "expected.json").read_text())
    shown = [sample["outcome"] for sample in samples if "tensors" in sample]
    assert sorted(shown) == ["NG", "OK"]  # one of each
    engine = runtime.Engine((toy_bundle / "model.onnx").read_bytes())
    (item,) = samples[0]["tensors"]
    given = np.load(toy_bundle / item["inputs"]["image"])
    assert (given.dtype, given.shape) == (np.uint8, (1, 64, 64, 1))
    assert np.array_equal(engine.run(given), np.load(toy_bundle / item["output"]))


def test_thresholds_that_go_there_and_back_leave_the_verdicts_as_they_were(toy_bundle_copy):
    before = bundle.read(toy_bundle_copy).operating_point
    samples = (toy_bundle_copy / "golden" / "expected.json").read_bytes()
    rethreshold.set_threshold(toy_bundle_copy, 0.001)
    rethreshold.set_threshold(toy_bundle_copy, before.threshold)
    after = bundle.read(toy_bundle_copy).operating_point
    assert (after.threshold, after.mask_threshold) == (before.threshold, before.mask_threshold)
    assert (toy_bundle_copy / "golden" / "expected.json").read_bytes() == samples


def test_the_review_band_stays_as_wide_as_it_was(toy_cascade, tmp_path, reseal, capsys):
    root = shutil.copytree(toy_cascade.path, tmp_path / "bundle")
    point = manifest_values(root)["operating_point"]
    # So narrow that no golden sample lies in it.
    reseal(root, operating_point=point | {"review_from": point["threshold"] - 1e-4})
    rethreshold.set_threshold(root, 0.9)
    assert bundle.read(root).operating_point.review_from == pytest.approx(0.8999)
    assert cli.main(["threshold", str(root), "--escape-rate", "0.95", "--confidence", "0.5"]) == 0
    after = bundle.read(root).operating_point
    assert after.threshold - after.review_from == pytest.approx(1e-4)
    assert "review from 0.8999 -> " in capsys.readouterr().out
