"""Which images train, choose the thresholds and measure."""

import pytest
import toy_records

from inspection_tf import errors, images, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.recipes import experiment, folds
from inspection_tf.training.runs.run_folder import RunFolder


@pytest.fixture
def divide(tmp_path, monkeypatch):
    """Divide records; returns the division and what the networks of each fold were trained on."""
    monkeypatch.setattr(folds.ship, "convert", lambda models: models)

    def run(records, **fields):
        trained = []

        def train(*given):
            trained.append(given)
            return f"networks {len(trained)}"

        settings = experiment.Experiment(
            seed=1,
            data=data_spec.DataSpec(format="folder", **{"tune": 0.25, "test": 0.25, **fields}),
            preprocessing=images.Preprocessing(size=(4, 4)),
            threshold=thresholds.ThresholdSpec(),
        )
        folder = RunFolder(tmp_path, is_resumed=False)
        return folds.divide(experiment.Run("toy", settings, folder, records), train), trained

    return run


def test_without_folds_the_networks_that_are_shipped_are_measured(divide):
    division, trained = divide(toy_records.make())
    assert trained == []
    assert division.split == "test"
    assert {name: len(part) for name, part in division.parts.items()} == {
        "train": 6,
        "tune": 3,
        "test": 3,
    }
    assert division.tuning == [(None, division.parts["tune"])]
    assert division.measured == [(None, division.parts["test"])]


def test_with_folds_every_image_is_measured_by_networks_that_did_not_see_it(divide, tmp_path):
    found = toy_records.make(group=lambda n: f"board{n // 4}")
    division, trained = divide(found, folds=3)
    assert division.split == "out_of_fold"
    assert division.measured == division.tuning
    networks = [name for name, _ in division.measured]
    assert networks == ["networks 1", "networks 2", "networks 3"]
    assert [folder.path for _, _, folder in trained] == [
        tmp_path / "folds" / str(n) for n in (1, 2, 3)
    ]
    for (taught, tested, _), (_, measured) in zip(trained, division.measured, strict=True):
        assert measured is tested
        assert not set(taught.ids) & set(tested.ids)
        assert len(set(tested.groups)) == 1  # as many folds as boards
        assert len(taught) + len(tested) == 12
    measured = sorted(name for _, part in division.measured for name in part.ids)
    assert measured == list(found.ids)
    # What is shipped learns from all of them; nothing is left to tune or test.
    assert list(division.parts) == ["train"]
    assert division.tune is None
    assert division.train.ids == found.ids


def test_composed_defects_teach_in_folds_and_are_never_measured(divide):
    compose = data_spec.ComposeSpec(per_image=1)
    division, trained = divide(toy_records.make(), folds=2, compose=compose)
    # A fold teaches 3 good, 3 defective and 3 composed; the shipped one 6, 6 and 6.
    assert [len(taught) for taught, _, _ in trained] == [9, 9]
    assert [len(part) for _, part in division.measured] == [6, 6]
    assert division.parts["train"].counts() == {"images": 18, "defective": 12}


@pytest.mark.parametrize("empty", ["tune", "test"])
def test_a_split_that_is_empty_ends_a_run_before_it_begins(divide, empty):
    with pytest.raises(errors.DataError, match=f"Got no {empty} split. Give data.{empty} a share"):
        divide(toy_records.make(), **{empty: 0.0})
