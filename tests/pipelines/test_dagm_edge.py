"""The configuration that distils, at toy size, and the script that compares what came of it."""

import importlib.util
import re
from pathlib import Path

import pytest

from inspection_tf import bundle, config, errors, runtime
from pipelines import dagm_segmentation

ROOT = Path(__file__).parents[2]


def toy():
    """The shipped configuration on synthetic images: only what costs time is changed."""
    values = config.load(dagm_segmentation.Config, ROOT / "pipelines" / "dagm_edge.yaml")
    values = values.model_dump()
    values["data"] |= {
        "format": "synthetic",
        "count": 16,
        "surface": {"size": (64, 64)},
        "folds": 2,
    }
    values["preprocessing"]["size"] = (64, 64)
    values["loader"] |= {"images_per_epoch": 8, "batch_size": 4}
    for network, filters in ((values, (4, 8)), (values["teacher"], (8, 8))):
        network["model"]["filters"] = filters
        network["train"] |= {"epochs": 2, "validate_every": 1, "pictures": 0}
    return config.validate(dagm_segmentation.Config, values, origin="test")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "distillation", ROOT / "benchmarks" / "distillation.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    out = tmp_path_factory.mktemp("edge") / "run"
    return out, dagm_segmentation.run(toy(), out)


@pytest.mark.slow
def test_each_fold_has_a_teacher_of_its_own_and_the_student_is_shipped(distilled):
    out, report = distilled
    assert report["split"] == "out_of_fold"
    for folder in (out, out / "folds" / "1", out / "folds" / "2"):
        for part in ("teacher", "student"):
            assert (folder / part / "checkpoints" / "last.npz").is_file()
    manifest = bundle.read(out / "bundle")
    assert manifest.provenance.config["distill"] is True
    assert len(runtime.Inspector.load(out / "bundle").manifest.graphs) == 1
    # Nothing of the teacher: 4 and 8 channels.
    weighed = (out / "bundle" / "model.onnx").stat().st_size
    assert weighed < 40_000


@pytest.mark.slow
def test_student_and_teacher_are_compared_image_by_image(distilled, script, capsys):
    out, _ = distilled
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert script.main(out) == 0
    said = capsys.readouterr().out
    assert "of 8 defective images" in said
    # As the training itself measured it, fold by fold.
    for part in ("student", "teacher"):
        rows = [
            (out / "folds" / fold / part / "history.csv").read_text().splitlines() for fold in "12"
        ]
        column = rows[0][0].split(",").index("val_dice_defective")
        expected = sum(float(found[-1].split(",")[column]) for found in rows) / 2
        (shown,) = re.findall(rf"{part}\s*│\s*([0-9.]+)", said)
        assert float(shown) == pytest.approx(expected, abs=2e-4)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_an_unfinished_run_is_refused(script, tmp_path):
    (tmp_path / "config.yaml").write_text(config.to_yaml(toy()))
    with pytest.raises(errors.ConfigError, match="finished and cross-validated"):
        script.main(tmp_path)


def test_a_run_without_a_teacher_is_refused(script, tmp_path):
    config_of = toy().model_copy(update={"distill": False})
    (tmp_path / "config.yaml").write_text(config.to_yaml(config_of))
    with pytest.raises(errors.ConfigError, match="a run with distill"):
        script.main(tmp_path)
