"""What a run seals is read by nothing but `inspection unseal`, at toy size, from end to end."""

import json
import shutil
import types

import pytest

from inspection_tf import bundle, cli, config, errors, reporting
from inspection_tf.bundle import looks
from inspection_tf.datasets import image_record
from inspection_tf.datasets.divisions import sealed
from pipelines import dagm_segmentation

READERS = ("read_image", "read_mask", "read_classes", "read_ignored", "read_pair", "read_template")


def toy(root, **fields):
    """The shipped configuration at toy size, on stored images of which a quarter is sealed."""
    path = dagm_segmentation.__file__.replace(".py", ".yaml")
    values = config.load(dagm_segmentation.Config, path).model_dump()
    values["data"] = {
        "format": "folder", "root": root, "tune": 0.3, "test": 0.3, "folds": 0, "sealed": 0.25
    }  # fmt: skip
    values["preprocessing"]["size"] = (64, 64)
    values["model"] |= {"filters": (8, 16)}
    values["loader"] |= {"images_per_epoch": 8, "batch_size": 4}
    values["train"] |= {"epochs": 1, "validate_every": 1, "pictures": 2}
    return config.validate(dagm_segmentation.Config, values | fields, origin="test")


class Watch:
    """Notes the ids of the images whose pixels or labels were read, and each try at a sealed one.

    Attributes:
        read: ids, as `Record` was asked.
        sources: all that were sealed.
    """

    def __init__(self, monkeypatch):
        self.read, self.sources = set(), []
        for name in READERS:
            monkeypatch.setattr(image_record.Record, name, self._noting(name))
        begin = sealed.SealedSource.__init__

        def made(source, inner):
            begin(source, inner)
            self.sources.append(source)

        monkeypatch.setattr(sealed.SealedSource, "__init__", made)

    def _noting(self, name):
        whole = getattr(image_record.Record, name)

        def read(record, **options):
            self.read.add(record.id)
            return whole(record, **options)

        return read

    @property
    def tried(self):
        return [name for source in self.sources for name in source.tried]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images") / "set"
    words = ["synthesize", "surface", "--out", str(root), "--count", "48"]
    assert cli.main([*words, "--spec.size", "64", "64"]) == 0
    return root


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A run that sealed a quarter of its images, and what it and those after it read."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        watch = Watch(monkeypatch)
        dagm_segmentation.run(toy(folder), out)
        splits = bundle.read(out / "bundle").provenance.data.splits
        words = [
            ["threshold", out / "bundle", "--f-beta", "1"],
            ["report", out],
            ["convert", out / "bundle", "--to", "openvino-int8"],
            ["evaluate", out / "bundle", "--split", "all", "--out", out.parent / "all"],
            ["evaluate", out / "bundle", folder, "--out", out.parent / "folder"],
        ]
        codes = [cli.main([str(word) for word in line]) for line in words]
    return types.SimpleNamespace(out=out, watch=watch, splits=splits, codes=codes)


def test_a_run_reads_nothing_of_what_it_sealed(finished):
    watch, splits = finished.watch, finished.splits
    kept = set(splits["sealed"])
    counts = {name: len(ids) for name, ids in splits.items()}
    # a quarter of 48; of the other 36 three tenths, 10.8, each
    assert counts == {"train": 14, "tune": 11, "test": 11, "sealed": 12}
    assert len(watch.sources) >= 12
    assert watch.tried == []
    others = {name for part, ids in splits.items() if part != "sealed" for name in ids}
    assert watch.read & (kept | others) == others


def test_nor_does_any_command_after_it(finished, capsys):
    # Engines of int8 may be refused by the gate of so small a network; the others may not.
    assert [finished.codes[n] for n in (0, 1, 3, 4)] == [0] * 4
    for name, count in (("all", 36), ("folder", 36)):
        report = json.loads((finished.out.parent / name / "metrics.json").read_text())
        assert report["counts"]["images"] == count


def test_a_look_is_written_into_ledger_card_and_report(finished, tmp_path, capsys):
    run = shutil.copytree(finished.out, tmp_path / "run")
    before = bundle.read(run / "bundle")
    with pytest.MonkeyPatch.context() as monkeypatch:
        watch = Watch(monkeypatch)
        assert cli.main(["unseal", str(run)]) == 0
    assert watch.tried == []
    assert set(finished.splits["sealed"]) <= watch.read
    printed = capsys.readouterr().out
    assert "sealed split: 12 images, 6 defective" in printed
    assert "flatter" not in printed
    (look,) = json.loads((run / "sealed.json").read_text())["looks"]
    assert look["number"] == 1
    assert look["before"] == []
    assert look["model_id"] == before.model_id
    assert look["counts"] == {"images": 12, "defective": 6}
    report = json.loads((run / "sealed" / "1" / "metrics.json").read_text())
    assert report["split"] == "sealed"
    assert report["metrics"] == look["metrics"]
    assert (run / "sealed" / "1" / "per_image.csv").is_file()
    after = bundle.read(run / "bundle")
    assert after.metrics == before.metrics
    assert [one.model_dump(mode="json") for one in looks.looks(after)] == [look]
    dice = f"{look['metrics']['dice_defective']['value']:.4f}"
    card = (run / "bundle" / "MODEL_CARD.md").read_text()
    sealed_part = card.partition("Look 1, ")[2]
    assert f"| dice_defective | {dice} |" in sealed_part
    page = (run / "report.html").read_text()
    assert "Nothing had read these images before." in page
    assert "12 sealed images, 6 of them defective" in page


def test_a_second_look_says_that_it_flatters(finished, tmp_path, capsys):
    runs = tmp_path / "runs"
    first = shutil.copytree(finished.out, runs / "first")
    second = shutil.copytree(finished.out, runs / "second")
    other = shutil.copytree(finished.out, tmp_path / "else" / "where" / "run")
    assert cli.main(["unseal", str(first)]) == 0
    assert cli.main(["unseal", str(first)]) == 0
    assert "This is look 2 at these images" in capsys.readouterr().out
    # Another run beside it has seen nothing, but who trains it has.
    assert cli.main(["unseal", str(second)]) == 0
    assert "This is look 3 at these images" in capsys.readouterr().out
    numbers = [one.number for one in looks.looks(bundle.read(first / "bundle"))]
    assert numbers == [1, 2]
    assert (first / "sealed" / "2" / "metrics.json").is_file()
    card = (second / "bundle" / "MODEL_CARD.md").read_text()
    assert "This is look 3 at these images" in card
    assert "This is look 3 at these images" in (second / "report.html").read_text()
    assert cli.main(["unseal", str(other)]) == 0
    assert "This is look" not in capsys.readouterr().out


def test_runs_of_other_seeds_seal_the_same_images(folder):
    from inspection_tf.datasets import data_spec

    spec = toy(folder).data
    kept = sealed.only(data_spec.read(spec)).ids
    for seed in (0, 1):
        parts = data_spec.split(data_spec.read(spec), spec, seed=seed)
        assert not {name for part in parts.values() for name in part.ids} & set(kept)
    for other in (spec.model_copy(update={"folds": 3}), spec.model_copy(update={"tune": 0.1})):
        assert sealed.only(data_spec.read(other)).ids == kept
    for fold in data_spec.folds(data_spec.read(spec), spec.model_copy(update={"folds": 3}), seed=0):
        assert not {name for part in fold.values() for name in part.ids} & set(kept)
    assert sealed.only(data_spec.read(spec.model_copy(update={"seed": 1}))).ids != kept


def test_what_cannot_be_unsealed_says_why(finished, tmp_path, capsys):
    assert cli.main(["unseal", str(tmp_path)]) == 2
    assert "holds no bundle. Give the folder of a run that has ended." in capsys.readouterr().err
    run = shutil.copytree(finished.out, tmp_path / "run")
    (run / "sealed.json").write_text("{")
    assert cli.main(["unseal", str(run)]) == 3
    assert "sealed.json must say how often" in capsys.readouterr().err
    assert not (run / "sealed").exists()


def test_a_run_without_sealed_images_cannot_be_unsealed(toy_bundle, tmp_path, capsys):
    (tmp_path / "bundle").symlink_to(toy_bundle)
    assert cli.main(["unseal", str(tmp_path)]) == 2
    assert "has sealed none. Train with data.sealed, for example 0.2." in capsys.readouterr().err


def test_a_report_of_a_run_that_was_not_unsealed_says_nothing_of_it(finished):
    assert "Nothing had read" not in (finished.out / reporting.FILE).read_text()
    assert not (finished.out / "sealed.json").exists()


def test_a_damaged_ledger_beside_it_stops_nobody(finished, tmp_path):
    run = shutil.copytree(finished.out, tmp_path / "runs" / "one")
    (tmp_path / "runs" / "two").mkdir()
    (tmp_path / "runs" / "two" / "sealed.json").write_text("[]")
    assert cli.main(["unseal", str(run)]) == 0


def test_the_data_of_before_must_be_there(finished, tmp_path, capsys):
    run = shutil.copytree(finished.out, tmp_path / "run")
    assert (
        cli.main(["unseal", str(run), "--data", str(tmp_path / "absent")])
        == errors.DataError.exit_code
    )
    assert not (run / "sealed.json").exists()
