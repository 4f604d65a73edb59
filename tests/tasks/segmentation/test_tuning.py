"""Thresholds are chosen by the pixels that count."""

import dataclasses

import numpy as np
import pytest

from inspection_tf import bundle, evaluation
from inspection_tf.datasets import records
from inspection_tf.export import networks
from inspection_tf.tasks.segmentation import maps, tuning


@dataclasses.dataclass(frozen=True)
class Ignoring:
    """A source of which a part is ignored."""

    source: records.Source
    rows: slice

    has_ignored = True

    def read_image(self, *, orientation="apply"):
        return self.source.read_image(orientation=orientation)

    def read_mask(self, *, orientation="apply"):
        mask = self.source.read_mask(orientation=orientation).copy()
        mask[self.rows] = False
        return mask

    def read_ignored(self, *, orientation="apply"):
        ignored = np.zeros(self.read_image().shape, np.bool_)
        ignored[self.rows] = True
        return ignored

    def identity(self):
        return self.source.identity()


@pytest.fixture
def make_scorer(toy_bundle, toy_records):
    context = bundle.read(toy_bundle).context
    started = networks.started({"segmenter": (toy_bundle / "model.onnx").read_bytes()})

    def run_one(given, prepared):
        return maps.run(given["segmenter"], [prepared], context)[0], None

    def make(rows):
        bad = [
            dataclasses.replace(record, source=Ignoring(record.source, rows))
            for record in toy_records.where(is_defect=True)
        ]
        chosen = [(started, records.Records.of(bad))]
        return tuning.Scorer(chosen, context, context.settings.rules, run_one), bad

    return make


def test_where_nothing_counts_nothing_is_found_and_nothing_chosen(make_scorer):
    scorer, _ = make_scorer(slice(None))
    assert scorer.mask_threshold() == 0.5
    assert all(found.peak.size == 0 and not found.true for found in scorer.regions(0.5))


def test_the_pixel_threshold_looks_at_the_map_where_it_counts(make_scorer):
    scorer, bad = make_scorer(slice(0, 32))
    for row in range(len(bad)):
        assert not scorer._counted(row, "apply")[:32].any()
        np.testing.assert_array_equal(
            scorer._counted(row, "apply")[32:], scorer._probability(row)[32:]
        )


def test_scores_remain_those_of_the_whole_image(make_scorer):
    # What is promised is about the image that the line will see.
    assert make_scorer(slice(None))[0].score(0.5) == make_scorer(slice(0, 0))[0].score(0.5)


def test_an_evaluation_counts_the_same_regions(make_scorer, toy_bundle):
    from inspection_tf import runtime

    scorer, bad = make_scorer(slice(0, 32))
    inspector = runtime.Inspector.load(toy_bundle)
    point = inspector.manifest.operating_point
    rows = evaluation.measure(inspector, bad)
    for row, found in zip(rows, scorer.regions(point.mask_threshold), strict=True):
        assert row.result.regions_true == found.true
        assert row.result.regions_found == np.count_nonzero(found.peak >= point.threshold)
