"""How a recipe begins."""

import json

import pytest

from inspection_tf import config, errors, images, thresholds
from inspection_tf.datasets import data_spec
from inspection_tf.recipes import experiment


class Toy(experiment.Experiment):
    width: int
    """Filters."""


def settings(**changes):
    data = {"format": "synthetic", "count": 4, "surface": {"size": (32, 32)}}
    values = {
        "seed": 1,
        "data": data_spec.DataSpec(**data),
        "preprocessing": images.Preprocessing(size=(32, 32)),
        "threshold": thresholds.ThresholdSpec(),
        "width": 2,
    }
    return Toy(**(values | changes))


def state(out):
    return json.loads((out / "status.json").read_text())["state"]


def test_a_run_begins_with_its_configuration_and_its_records_on_disk(tmp_path):
    out = tmp_path / "run"
    with experiment.begin("toy", settings(), out) as run:
        assert (run.recipe, run.settings, run.folder.path) == ("toy", settings(), out)
        assert len(run.records) == 4
        assert config.load(Toy, out / "config.yaml") == settings()
        stored = json.loads((out / "data.json").read_text())
        assert stored["sha256"] == run.records.sha256()
        assert state(out) == "running"
    assert state(out) == "finished"


def test_a_run_that_fails_says_so_and_goes_on_with_the_same_configuration_alone(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(errors.DivergedError), experiment.begin("toy", settings(), out):
        raise errors.DivergedError("not finite")
    assert state(out) == "failed"
    with pytest.raises(errors.ConfigError, match="resumes with its own configuration"):  # noqa: SIM117
        with experiment.begin("toy", settings(width=3), out):
            pass
    with experiment.begin("toy", settings(), out) as run:
        assert run.folder.is_resumed


def test_what_all_recipes_have_stands_first():
    assert list(Toy.model_fields) == ["seed", "data", "preprocessing", "threshold", "width"]
