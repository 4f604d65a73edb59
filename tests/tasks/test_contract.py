"""What holds for every task, on a small bundle that an earlier version wrote for it."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inspection_tf import bench, bundle, config, errors, runtime, tasks, thresholds
from inspection_tf.export import card, kit
from inspection_tf.images.tile_plan import TilePlan
from inspection_tf.tasks import base, saved_networks

KEPT = Path(__file__).parents[1] / "bundles"
ROOTS = {
    json.loads((root / bundle.MANIFEST).read_text())["task"]: root
    for root in KEPT.glob("schema_[45]_*")
}


class Toy:
    """A bundle of a task, its golden images, and what its networks say of them."""

    def __init__(self, root):
        self.root = root
        self.inspector = runtime.Inspector.load(root, threads=1, check_golden=False)
        self.manifest, self.task = self.inspector.manifest, self.inspector.task
        self.context, self.networks = self.inspector.context, self.inspector.networks
        self.samples = json.loads((root / runtime.GOLDEN).read_text())
        self.frames = bench.golden_frames(root)
        self.prepared = [self.task.prepare(*frame, self.context) for frame in self.frames]
        self.outputs = self.run()

    def run(self, networks=None):
        """Return the outputs of every stage of all golden images, in one batch."""
        return self.task.run(
            networks or self.networks, self.prepared, self.context, every_stage=True
        )

    def decided(self, outputs):
        return [
            self.task.decide(output, item, self.context)
            for output, item in zip(outputs, self.prepared, strict=True)
        ]


@pytest.fixture(scope="module", params=tasks.TASKS)
def toy(request):
    return Toy(ROOTS[request.param])


def assert_same(first, second, **tolerance):
    """Compare the numbers of two outputs."""
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


# What it is made of


def test_a_task_is_found_by_its_name_and_an_unknown_one_is_refused_with_those_that_are(toy):
    assert tasks.get(toy.manifest.task) is toy.task
    assert toy.task.name == toy.manifest.task
    with pytest.raises(errors.BundleError, match=f"one of .*{toy.task.name}.* Got 'other'"):
        tasks.get("other")


def test_its_graphs_are_those_of_the_bundle_each_with_a_name_and_files_of_its_own(toy):
    specs = toy.task.graphs(toy.context.settings, toy.context.preprocessing, toy.context.classes)
    for names in ([s.name for s in specs], [s.file for s in specs], [s.source for s in specs]):
        assert len(set(names)) == len(names)
    assert [(spec.name, spec.file, spec.when) for spec in specs] == [
        (graph.name, graph.file, graph.when) for graph in toy.manifest.graphs
    ]
    assert toy.task.main in [spec.name for spec in specs]
    for spec in specs:
        outputs = [output for output in toy.manifest.outputs if output.graph == spec.name]
        assert spec.outputs[0].name == spec.output
        for said, output in zip(spec.outputs, outputs, strict=True):
            assert (output.name, output.kind, output.unit) == (said.name, said.kind, said.unit)
            assert len(said.shape) == len(toy.task.output_axes[said.name])
            assert len(output.shape) == len(said.shape)
            assert all(
                isinstance(size, str) or size == number
                for size, number in zip(said.shape, output.shape, strict=True)
            )


def test_outputs_of_a_network_have_one_order_wherever_they_come_from(toy):
    for spec in toy.manifest.graph_specs:
        names = tuple(output.name for output in spec.outputs)
        assert toy.manifest.output_names(spec.name) == names
        assert tasks.outputs_in_order(names[::-1]) == names


def test_its_settings_have_defaults_and_are_read_as_they_were_written(toy):
    assert isinstance(toy.context.settings, toy.task.settings)
    written = toy.context.settings.model_dump(mode="json")
    assert config.validate(toy.task.settings, written, origin="test") == toy.context.settings
    graphs = toy.task.graphs(toy.task.settings(), toy.context.preprocessing, toy.context.classes)
    assert toy.task.main in [graph.name for graph in graphs]


def test_settings_and_outputs_of_another_task_are_refused(toy):
    class Other(config.Section):
        pass

    context = dataclasses.replace(toy.context, settings=Other())
    settings, output = type(toy.context.settings), type(toy.outputs[0])
    with pytest.raises(TypeError, match=f"settings of {settings.__module__}"):
        toy.task.decide(toy.outputs[0], toy.prepared[0], context)
    for ask in (
        lambda: toy.task.decide(object(), toy.prepared[0], toy.context),
        lambda: toy.task.as_array(object(), toy.prepared[0], toy.context),
        lambda: toy.task.scores(object(), toy.prepared[0], toy.context),
        lambda: toy.task.arrays(object()),
    ):
        with pytest.raises(TypeError, match=f"an output of {output.__module__}"):
            ask()


# From an image to a verdict


def test_an_image_is_prepared_as_the_networks_take_it(toy):
    spec = toy.context.preprocessing
    for item in toy.prepared:
        assert item.image.dtype == np.uint8
        assert item.image.shape == (1, *spec.input_shape)
        assert item.template is None
    with pytest.raises(errors.ImageError, match="inspects images alone"):
        toy.task.prepare(toy.frames[0][0], toy.frames[0][0], toy.context)
    aligned = dataclasses.replace(toy.context, alignment=toy.manifest.alignment)
    with pytest.raises(errors.ImageError, match="compares each image with its template"):
        toy.task.prepare(toy.frames[0][0], None, aligned)


def test_each_network_sees_inputs_of_the_size_and_number_that_its_graph_says(toy):
    listeners = kit.listening(toy.networks)
    toy.run(listeners)
    for spec in toy.manifest.graph_specs:
        size = spec.size or toy.context.preprocessing.size
        seen = listeners[spec.name].seen
        assert len(seen) % spec.per_image == 0
        assert len(seen) <= spec.per_image * len(toy.prepared)
        for inputs, outputs in seen:
            assert inputs["image"].shape[1:3] == size
            for said, output in zip(spec.outputs, outputs, strict=True):
                assert output.shape[1:] == tuple(
                    found if isinstance(size, str) else size
                    for size, found in zip(said.shape[1:], output.shape[1:], strict=True)
                )
    assert listeners[toy.task.main].seen


def test_a_batch_says_of_each_image_what_it_says_of_it_alone(toy):
    assert len(toy.outputs) == len(toy.prepared)
    for item, output in zip(toy.prepared, toy.outputs, strict=True):
        (alone,) = toy.task.run(toy.networks, [item], toy.context, every_stage=True)
        assert_same(toy.task.arrays(alone), toy.task.arrays(output), atol=1e-5)


def test_the_verdicts_and_records_are_those_of_the_golden_samples(toy):
    for sample, item, output, verdict in zip(
        toy.samples, toy.prepared, toy.outputs, toy.decided(toy.outputs), strict=True
    ):
        assert verdict.outcome == sample["outcome"]
        assert verdict.score == pytest.approx(sample["score"], abs=runtime.GOLDEN_TOLERANCE)
        found = toy.task.as_array(output, item, toy.context)
        assert found.dtype == np.float32
        expected = np.load(toy.root / sample["output"])
        np.testing.assert_allclose(found, expected, atol=runtime.GOLDEN_TOLERANCE)


def test_an_early_stage_that_stops_an_image_decides_as_where_every_stage_ran(toy):
    early = toy.task.run(toy.networks, toy.prepared, toy.context)
    for one, other in zip(toy.decided(early), toy.decided(toy.outputs), strict=True):
        assert (one.outcome, one.decided_by) == (other.outcome, other.decided_by)
        assert one.score == pytest.approx(other.score, abs=1e-6)


def test_an_output_that_is_not_finite_is_never_ok(toy):
    class Undefined(runtime.Network):
        def __init__(self, network):
            self.network = network

        def run_all(self, batch, template=None):
            outputs = self.network.run_all(batch, template)
            return tuple(np.full_like(output, np.nan) for output in outputs)

    networks = {name: Undefined(network) for name, network in toy.networks.items()}
    assert {verdict.outcome for verdict in toy.decided(toy.run(networks))} == {"REVIEW"}


def test_of_each_network_there_is_a_score_and_that_of_the_verdict_is_called_score(toy):
    scored = [
        toy.task.scores(output, item, toy.context)
        for output, item in zip(toy.outputs, toy.prepared, strict=True)
    ]
    assert {tuple(scores) for scores in scored} == {tuple(scored[0])}
    assert len(scored[0]) <= len(toy.networks)
    assert len(scored[0]) > len(toy.context.stage_points)
    for scores, verdict in zip(scored, toy.decided(toy.outputs), strict=True):
        assert np.isfinite(list(scores.values())).all()
        if verdict.decided_by not in toy.context.stage_points:
            assert scores["score"] == pytest.approx(verdict.score)


def test_of_each_output_of_the_networks_there_is_an_array(toy):
    for output in toy.outputs:
        arrays = toy.task.arrays(output)
        assert len(arrays) == len(toy.manifest.outputs)
        assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


# Two outputs beside each other


def test_networks_that_follow_themselves_say_the_same(toy):
    for item, leader in zip(toy.prepared, toy.outputs, strict=True):
        for output in toy.task.follow(toy.networks, item, leader, toy.context):
            assert_same(toy.task.arrays(output), toy.task.arrays(leader), atol=1e-5)


def test_an_output_has_no_distance_from_itself(toy):
    for item, output in zip(toy.prepared, toy.outputs, strict=True):
        found = toy.task.distances(output, output, item, toy.context)
        assert found == dict.fromkeys(toy.task.limits, 0.0)
    for limit in toy.task.limits.values():
        assert limit.at_most > 0
        assert limit.words
        assert limit.unit


def test_on_labels_networks_see_nothing_but_inputs_of_their_own(toy):
    height, width = toy.frames[0][0].shape[:2]
    square = np.array([[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]]) * (width, height)
    record = SimpleNamespace(read_corners=lambda orientation: square)
    listeners = kit.listening(toy.networks)
    toy.task.run_on_labels(listeners, record, toy.prepared[0], toy.context)
    for spec in toy.manifest.graph_specs:
        seen = listeners[spec.name].seen
        assert len(seen) in (0, spec.per_image)
        size = spec.size or toy.context.preprocessing.size
        assert {inputs["image"].shape[1:3] for inputs, _ in seen} <= {size}


# What it says of itself


def test_what_must_not_escape_is_named_of_images_and_of_parts(toy):
    alone, of_parts = (toy.task.subjects(of_parts=value) for value in (False, True))
    assert alone != of_parts
    assert "part" in of_parts
    assert "part" not in alone


def test_its_papers_fill_the_card_and_the_page_as_they_were_written(toy):
    # What was measured and converted since is in the manifest; the words are those of the task.
    assert card.render(toy.manifest) == (toy.root / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert kit.page(toy.manifest) == (toy.root / "INTEGRATION.md").read_text(encoding="utf-8")
    papers = toy.task.papers(toy.context)
    assert f"{toy.context.operating_point.threshold:.6g}" in papers.decision
    json.dumps(dict(papers.rules))


def test_a_bundle_as_it_was_written_fits_together(toy):
    assert toy.task.problem(toy.context) == ""


def test_pictures_have_the_names_that_are_told_before_they_are_made(toy):
    for frame in toy.frames:
        template = None if frame[1] is None else frame[1]
        verdict = toy.inspector.inspect(frame[0], template=template)
        for one in (verdict, verdict.without_pixels()):
            assert one.picture_names() == tuple(one.pictures())
    assert isinstance(verdict.result.needs_no_score, bool)


def test_golden_samples_show_both_labels(toy):
    assert len(toy.task.golden_counts) == 2
    assert min(toy.task.golden_counts) >= 1


@pytest.mark.parametrize("threshold", [0.001, 0.3, 0.9])
def test_a_threshold_by_hand_never_raises_the_pixel_threshold(toy, threshold):
    assert 0 < toy.task.pixel_threshold(0.4, threshold) <= 0.4


def test_tiles_become_settings_of_the_task_or_there_are_none(toy):
    plan = TilePlan(stride=16, margin=8, total_stride=4)
    settings = toy.task.tiled(toy.context.settings, plan)
    if settings is None:
        assert toy.task.at_batch_size(toy.context, 3) == toy.context
        return
    assert isinstance(settings, toy.task.settings)
    context = toy.task.at_batch_size(dataclasses.replace(toy.context, settings=settings), 3)
    changed = toy.task.graphs(context.settings, context.preprocessing, context.classes)
    assert [graph.must_take for graph in changed if graph.name == toy.task.main] == [3]
    assert toy.task.tiled(toy.context.settings, plan.model_copy(update={"batch": 3})) == (
        context.settings
    )


def test_a_context_knows_nothing_of_thresholds_that_do_not_matter(toy):
    point = thresholds.OperatingPoint(threshold=0.123)
    other = dataclasses.replace(
        toy.context,
        operating_point=point,
        stage_points=dict.fromkeys(toy.context.stage_points, point),
    )
    for item, output in zip(toy.prepared, toy.outputs, strict=True):
        (again,) = toy.task.run(toy.networks, [item], other, every_stage=True)
        assert_same(toy.task.arrays(again), toy.task.arrays(output), atol=1e-5)
        np.testing.assert_array_equal(
            toy.task.as_array(output, item, other), toy.task.as_array(output, item, toy.context)
        )


def test_its_saved_networks_load_and_return_what_its_graphs_say(toy):
    for spec in toy.manifest.graph_specs:
        network = saved_networks.load(toy.root / spec.source)
        assert sorted(network.output) == sorted(output.name for output in spec.outputs)


def test_an_output_is_what_its_task_returns(toy):
    kind = type(toy.outputs[0])
    assert base.output_as(toy.outputs[0], kind) is toy.outputs[0]
    assert {type(output) for output in toy.outputs} == {kind}
