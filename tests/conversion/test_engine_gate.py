import shutil

import numpy as np
import pytest
from engine_checks import contents, spec

from inspection_tf import cli, errors, evaluation, images, runtime
from inspection_tf.conversion import calibration_set, convert, engine_gate, request, retreat

library = pytest.importorskip("onnx")
pytest.importorskip("openvino")


def altered(monkeypatch, tmp_path, change):
    """Let every builder start from networks that were changed."""

    def onnx_file(conversion, graph):
        proto = library.load(conversion.root / conversion.manifest.graph(graph).file)
        change(proto.graph)
        path = tmp_path / f"{graph}.onnx"
        library.save(proto, path)
        return path

    monkeypatch.setattr(request.ConversionRequest, "onnx_file", onnx_file)


def refused(root, to="openvino", **options):
    """Convert and return what the gate found, after a look at the folder."""
    before = contents(root)
    with pytest.raises(errors.GateError, match="The bundle is as it was") as caught:
        convert.convert(root, to, spec=spec(**options))
    assert contents(root) == before
    assert [path.name for path in root.parent.iterdir() if path.name != "bundle"] == []
    assert caught.value.report["failures"]
    return caught.value.report


@pytest.mark.parametrize("sizes", [(1,), (4, 4)])
def test_one_batch_size_is_not_enough(sizes):
    with pytest.raises(ValueError, match="batch_sizes"):
        engine_gate.GateSpec(batch_sizes=sizes)
    assert engine_gate.GateSpec(batch_sizes=(4, 1)).batch_sizes == (4, 1)


def without_sigmoid(graph):
    (node,) = (node for node in graph.node if node.op_type == "Sigmoid")
    node.op_type = "Identity"


def test_a_wrong_mean_is_caught(toy_bundle_copy, monkeypatch, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    names = [v.name for v in library.load(toy_bundle_copy / "model.onnx").graph.initializer]
    assert any("add:input1" in name for name in names)

    def change(graph):
        name = next(v.name for v in graph.initializer if "scaling" in v.name and "add" in v.name)
        (value,) = (v for v in graph.initializer if v.name == name)
        shifted = library.numpy_helper.to_array(value) + np.float32(40 / 32)
        value.CopyFrom(library.numpy_helper.from_array(shifted, name))

    altered(monkeypatch, folder, change)
    shutil.move(toy_bundle_copy, tmp_path / "own" / "bundle")
    report = refused(tmp_path / "own" / "bundle")
    assert report["max_output_difference"] > 0.1


@pytest.fixture
def own(toy_bundle_copy, tmp_path):
    """A copy of the toy bundle in a folder with nothing beside it."""
    (tmp_path / "own").mkdir()
    return toy_bundle_copy.rename(tmp_path / "own" / "bundle")


def test_a_missing_sigmoid_is_caught(own, monkeypatch, tmp_path):
    altered(monkeypatch, tmp_path, without_sigmoid)
    report = refused(own)
    assert report["max_output_difference"] > 1


def test_an_output_that_is_not_finite_is_caught(own, monkeypatch, tmp_path):
    def change(graph):
        (node,) = (node for node in graph.node if node.op_type == "Sigmoid")
        node.op_type = "Sqrt"

    altered(monkeypatch, tmp_path, change)
    report = refused(own)
    assert report["failures"][0] == "outputs that are not finite"
    assert report["max_output_difference"] is None


@pytest.mark.slow
@pytest.mark.parametrize("to", ["openvino-int8", "onnx-int8"])
def test_an_int8_engine_that_was_calibrated_on_black_images_is_caught(
    own, tmp_path, monkeypatch, to
):
    plain = calibration_set.record_inputs

    def black(*given):
        found = plain(*given)
        return {
            graph: [{name: np.zeros_like(value) for name, value in one.items()} for one in seen]
            for graph, seen in found.items()
        }

    if to == "openvino-int8":
        pytest.importorskip("nncf")
    # All of it int8: what returns to float32 until the gate agrees is no longer what black spoilt.
    monkeypatch.setattr(retreat, "rungs", lambda _operators: [()])
    gate = engine_gate.GateSpec(metric_drop=0.5, batch_sizes=(1, 3))
    asked = spec(gate=gate)
    right = convert.convert(shutil.copytree(own, tmp_path / "right"), to, spec=asked)
    assert right.entry.state == "passed"
    shutil.rmtree(tmp_path / "right")
    monkeypatch.setattr(calibration_set, "record_inputs", black)
    assert refused(own, to=to, gate=gate)["failures"]


@pytest.fixture(scope="module")
def colour_bundle(tmp_path_factory, toy_deliver, toy_spec):
    """A bundle that finds red discs among blue ones."""
    import dataclasses

    import keras

    from inspection_tf.models import unet

    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(2)
    pictures, masks = [], []
    for name in ("good", "defect", "masks"):
        (root / name).mkdir()
    rows, columns = np.ogrid[:64, :64]
    for index in range(12):
        image = rng.normal(120, 5, (64, 64, 3))
        red = np.zeros((64, 64), bool)
        for number, (x, y) in enumerate(rng.integers(10, 54, (2, 2))):
            disc = (columns - x) ** 2 + (rows - y) ** 2 <= 36
            is_red = bool(index % 2 and number)
            image[disc] += (90, 0, -60) if is_red else (-60, 0, 90)
            red[disc] = is_red
        picture = np.clip(image, 0, 255).astype(np.uint8)
        images.write_png(root / ("defect" if index % 2 else "good") / f"{index:02}.png", picture)
        if index % 2:
            images.write_png(root / "masks" / f"{index:02}.png", red)
        pictures.append(picture)
        masks.append(red)
    keras.utils.set_random_seed(0)
    model = unet.build(image_size=(64, 64), channels=3, filters=(4, 8), defect_prior=0.02)
    model.compile(keras.optimizers.Adam(1e-2), {"probability": keras.losses.BinaryCrossentropy()})
    target = np.stack(masks)[..., None].astype(np.float32)
    for _ in range(250):
        model.train_on_batch({"image": np.stack(pictures)}, {"probability": target})
    preprocessing = images.Preprocessing(size=(64, 64), channels="rgb")
    path = tmp_path_factory.mktemp("colour") / "bundle"
    toy_deliver(path, root, model, spec=dataclasses.replace(toy_spec, preprocessing=preprocessing))
    return path


def test_swapped_channels_are_caught(colour_bundle, monkeypatch, tmp_path):
    (tmp_path / "own").mkdir()
    own = shutil.copytree(colour_bundle, tmp_path / "own" / "bundle")

    def change(graph):
        cast = next(node for node in graph.node if "image" in node.input)
        indices = library.numpy_helper.from_array(np.array([2, 1, 0], np.int64), "bgr")
        graph.initializer.append(indices)
        swap = library.helper.make_node("Gather", ["image", "bgr"], ["swapped"], axis=3)
        cast.input[list(cast.input).index("image")] = "swapped"
        graph.node.insert(0, swap)

    altered(monkeypatch, tmp_path, change)
    assert refused(own)["changed_verdicts"]


def test_the_report_is_written_and_the_exit_code_is_7(own, monkeypatch, tmp_path, capsys):
    import json

    def change(graph):  # what is surely OK becomes surely NG
        (node,) = (node for node in graph.node if node.op_type == "Sigmoid")
        node.op_type = "Abs"

    altered(monkeypatch, tmp_path, change)
    words = ["convert", str(own), "--to", "openvino"]
    assert cli.main(words) == 7  # without a file the verdicts are printed
    said = capsys.readouterr().err
    assert "The bundle is as it was" in said
    assert cli.main([*words, "--report", str(tmp_path / "report.json")]) == 7
    assert ", batch " not in capsys.readouterr().err
    changed = json.loads((tmp_path / "report.json").read_text())["changed_verdicts"]
    assert said.count(", batch ") == min(len(changed), 20) > 0
    flip = changed[0]
    assert f"{flip['id']}, batch {flip['batch_size']}: {flip['outcome_before']} " in said
    assert f"margin {flip['margin']:.4f}" in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["failures"]
    assert report["changes"].keys() >= {"dice_defective", "escape_rate"}


class Shifted:
    """A network whose maps lie elsewhere from some number of images a call on: no score moves."""

    def __init__(self, network, from_batch):
        self.network, self.from_batch = network, from_batch

    def run(self, batch, template=None):
        found = self.network.run(batch, template)
        return np.roll(found, 12, axis=2) if len(batch) >= self.from_batch else found


@pytest.mark.parametrize(("from_batch", "is_refused"), [(99, False), (1, True), (4, True)])
def test_metrics_count_at_every_batch_size(toy_shipped, toy_records, from_batch, is_refused):
    inspector = runtime.Inspector.load(toy_shipped.path)
    network = Shifted(inspector.networks["segmenter"], from_batch)
    other = engine_gate.inspector(inspector.manifest, {"segmenter": network}, "shifted")
    found = engine_gate.compare(
        inspector, other, {"test": toy_records}, engine_gate.GateSpec(batch_sizes=(1, 4))
    )
    assert found.changed_verdicts == ()
    assert any("dice_defective worse" in failure for failure in found.failures) == is_refused
    assert (found.changes["dice_defective"]["value"] < -0.1) == is_refused


def test_the_change_of_a_metric_is_that_of_the_reports(toy_shipped, toy_parts):
    inspector = runtime.Inspector.load(toy_shipped.path)
    before = evaluation.measure(inspector, toy_parts["test"])

    class Blind:
        def run(self, batch, template=None):
            return np.zeros((*batch.shape[:3], 1), np.float32)

    after = evaluation.measure(
        engine_gate.inspector(inspector.manifest, {"segmenter": Blind()}, "blind"),
        toy_parts["test"],
    )
    changes = evaluation.changes(before, after)
    first, second = evaluation.summarize(before), evaluation.summarize(after)
    for name, change in changes.items():
        if first[name].value is not None and second[name].value is not None:
            assert change.value == pytest.approx(second[name].value - first[name].value)
            assert change.low <= change.value <= change.high
    assert changes["escape_rate"].value == 1.0
    assert evaluation.changes(before, before)["dice_defective"].to_dict() == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
    }
    with pytest.raises(errors.DataError, match="the same images"):
        evaluation.changes(before, after[1:])


def test_calibration_images_are_those_of_the_train_split_by_share_and_seed(toy_parts, toy_records):
    train = toy_parts["train"]
    chosen = calibration_set.choose(train, count=2, seed=0)
    assert sorted(record.is_defect for record in chosen) == [False, True]
    again = calibration_set.choose(train.select([r.id for r in train][::-1]), count=2, seed=0)
    assert [record.id for record in again] == [record.id for record in chosen]
    seeds = {tuple(r.id for r in calibration_set.choose(train, count=2, seed=n)) for n in range(20)}
    assert len(seeds) > 1
    assert len(calibration_set.choose(train, count=99, seed=0)) == len(train)
    few = toy_records.select(
        [r.id for r in toy_records.where(is_defect=False)] + ["surface/000001"]
    )
    shares = [record.is_defect for record in calibration_set.choose(few, count=2, seed=0)]
    assert shares.count(True) == 1  # at least one of each label
    with pytest.raises(errors.DataError, match="none in the train split"):
        calibration_set.choose(train.select([]), count=2, seed=0)
    with pytest.raises(errors.ConfigError, match="at least 1 image"):
        calibration_set.choose(train, count=0, seed=0)


def test_a_cascade_is_calibrated_on_what_each_network_sees(toy_cascade):
    from inspection_tf.export import source_data
    from inspection_tf.runtime import engine_start

    inspector = runtime.Inspector.load(toy_cascade.path)
    manifest = inspector.manifest
    networks = engine_start.start(toy_cascade.path, manifest, "onnx")
    train = source_data.parts(manifest)["train"]
    samples = calibration_set.record_inputs(manifest, networks, train)
    # The segmenter too: images that the classifier would stop.
    assert {name: len(seen) for name, seen in samples.items()} == {
        "classifier": len(train),
        "segmenter": len(train),
    }
    assert samples["segmenter"][0]["image"].dtype == np.uint8


def test_a_batch_of_a_cascade_runs_the_segmenter_on_what_passes(toy_cascade, toy_classes):
    inspector = runtime.Inspector.load(toy_cascade.path)
    prepared = [inspector.prepare(record.read_image()) for record in toy_classes]
    outputs = inspector.run(prepared)
    verdicts = [
        inspector.decide(output, item) for output, item in zip(outputs, prepared, strict=True)
    ]
    stopped = [output.segmented is None for output in outputs]
    assert stopped == [verdict.decided_by == "classifier" for verdict in verdicts]
    assert 0 < sum(stopped) < len(prepared)
    single = [inspector.judge(item) for item in prepared]
    assert [v.outcome for v in verdicts] == [v.outcome for v in single]
    assert [v.decided_by for v in verdicts] == [v.decided_by for v in single]
    both = inspector.run(prepared, every_stage=True)
    assert all(output.segmented is not None for output in both)
