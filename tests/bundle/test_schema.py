import json
import shutil

import pytest

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.images import registration

# What version 0.1.0 wrote, and nothing else.
FIELDS_1 = {
    "schema_version",
    "model_id",
    "task",
    "classes",
    "graphs",
    "inputs",
    "outputs",
    "operating_point",
    "rules",
    "mm_per_px",
    "metrics",
    "parity",
    "audit",
    "provenance",
    "files",
}


@pytest.fixture
def bundle_1(toy_bundle_copy, reseal):
    """The toy bundle as schema 1 had it."""
    path = toy_bundle_copy / bundle.MANIFEST
    written = json.loads(path.read_text())
    written["rules"] = written.pop("settings")["rules"]
    values = {name: value for name, value in written.items() if name in FIELDS_1}
    for output in values["outputs"]:
        del output["graph"]
    del values["rules"]["class_min_area_px"]
    provenance = values["provenance"]
    for data in (provenance["data"]["source"], provenance["config"]["data"]):
        assert not {"templates", "empty_masks"} & data.keys()  # of other formats
    path.write_text(json.dumps(values | {"schema_version": 1}))
    return reseal(toy_bundle_copy)


@pytest.fixture
def cascade_copy(toy_cascade, tmp_path):
    return shutil.copytree(toy_cascade.path, tmp_path / "cascade")


def refused(root, match):
    with pytest.raises(errors.BundleError, match=match) as caught:
        bundle.read(root)
    assert caught.value.exit_code == 4


def edited(root, change):
    path = root / bundle.MANIFEST
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    return root


# Schema 1


def test_a_bundle_of_schema_1_is_read_as_one_stage_without_template(bundle_1):
    assert set(json.loads((bundle_1 / bundle.MANIFEST).read_text())) == FIELDS_1
    manifest = bundle.read(bundle_1)
    assert manifest.schema_version == 1
    assert (manifest.task, manifest.has_template) == ("segmentation", False)
    assert manifest.stage_points == {}
    assert manifest.alignment == registration.AlignSpec()
    assert [output.graph for output in manifest.outputs] == ["segmenter"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.pop("rules"), "Got none called 'settings.rules'"),
        (lambda m: m.update(rules=None), "settings.rules must be valid. Got None"),
    ],
)
def test_a_bundle_of_schema_1_without_its_rules_gets_no_others(bundle_1, change, match):
    refused(edited(bundle_1, change), match)


def test_a_bundle_of_schema_1_decides_as_it_did(bundle_1, toy_bundle, toy_records):
    old = runtime.Inspector.load(bundle_1, threads=1)  # with its golden samples
    new = runtime.Inspector.load(toy_bundle, threads=1)
    for record in toy_records:
        before, after = (inspector.inspect(record.read_image()) for inspector in (old, new))
        assert before.to_dict() | {"ms": 0} == after.to_dict() | {"ms": 0}
        assert before.decided_by == ""


def test_a_bundle_of_schema_1_is_verified_and_evaluated_on_its_own_split(
    bundle_1, toy_bundle, tmp_path, capsys
):
    assert cli.main(["verify", str(bundle_1)]) == 0
    assert ": schema 1, " in capsys.readouterr().out
    assert cli.main(["evaluate", str(bundle_1), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found == json.loads((toy_bundle / bundle.MANIFEST).read_text())["metrics"]


# Schema 2


def test_what_is_written_now_is_schema_5(toy_bundle, toy_cascade, toy_pair):
    for root, task, has_template in (
        (toy_bundle, "segmentation", False),
        (toy_cascade.path, "two_stage_segmentation", False),
        (toy_pair.path, "segmentation", True),
    ):
        manifest = bundle.read(root)
        assert manifest.schema_version == bundle.SCHEMA_VERSION == 5
        assert (manifest.task, manifest.has_template) == (task, has_template)


def test_a_graph_is_found_by_its_name(toy_cascade):
    manifest = bundle.read(toy_cascade.path)
    assert manifest.graph("classifier").file == "classifier.onnx"
    assert manifest.graph("segmenter").file == "model.onnx"
    assert [graph.when for graph in manifest.graphs] == ["always", "NG"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m["graphs"].reverse(), r"graphs must be .*Got \['segmenter', 'classifier'\]"),
        (lambda m: m["graphs"].pop(0), r"graphs must be .*Got \['segmenter'\]"),
        (lambda m: m["graphs"].append(m["graphs"][1]), "graphs must be"),
        (lambda m: m["graphs"].pop(1), r"graphs must be .*Got \['classifier'\]"),
        (lambda m: m["graphs"][0].update(name="gate"), "graphs must be"),
        (lambda m: m["stage_points"].clear(), r"stage_points must be \['classifier'\]. Got \[\]"),
        (
            lambda m: m["stage_points"].update(segmenter=m["operating_point"]),
            r"Got \['classifier', 'segmenter'\]",
        ),
        (lambda m: m["graphs"][0].update(file="gate.onnx"), "graph must be an ONNX file"),
        (
            lambda m: m["graphs"][0].update(file="../classifier.onnx"),
            "graph must be an ONNX file",
        ),
        (lambda m: m["inputs"][0].update(name="template"), r"inputs must be .*Got \['template'\]"),
        (lambda m: m["inputs"].append(m["inputs"][0]), r"Got \['image', 'image'\]"),
        (lambda m: m["alignment"].update(method="guess"), "alignment.method must be valid"),
    ],
)
def test_graphs_and_inputs_that_fit_nothing_are_refused(cascade_copy, change, match):
    refused(edited(cascade_copy, change), match)


def test_inputs_are_image_then_template_and_prepared_alike(toy_pair, tmp_path):
    root = shutil.copytree(toy_pair.path, tmp_path / "bundle")
    turned = edited(root, lambda m: m["inputs"].reverse())
    refused(turned, r"inputs must be \['image'\] or \['image', 'template'\]")
    edited(root, lambda m: m["inputs"].reverse())
    bundle.read(root)
    stretched = edited(root, lambda m: m["inputs"][1]["preprocessing"].update(fit="stretch"))
    refused(stretched, "image and template must have one preprocessing")


@pytest.mark.parametrize("name", ["classifier.onnx", "model.onnx", "source/classifier.keras"])
def test_one_flipped_bit_in_either_network_is_refused(cascade_copy, name):
    data = bytearray((cascade_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (cascade_copy / name).write_bytes(data)
    refused(cascade_copy, "the file must be as it was written")


@pytest.mark.parametrize("name", ["classifier.onnx", "model.onnx"])
def test_a_network_that_is_no_onnx_is_refused_though_its_hash_is_right(cascade_copy, reseal, name):
    (cascade_copy / name).write_bytes((cascade_copy / name).read_bytes()[:500])
    refused(reseal(cascade_copy), f"{name} must be an ONNX model")
