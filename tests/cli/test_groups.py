"""`inspection evaluate` finds the groups of images as a recipe does."""

import csv
import types

import pytest

from inspection_tf import bundle, cli, errors
from inspection_tf.cli import data
from inspection_tf.datasets import data_spec
from inspection_tf.synthesis import surface


@pytest.fixture
def root(toy_bundle, tmp_path):
    """Three good and three defective images, numbered through: 0000 to 0005."""
    size = bundle.read(toy_bundle).inputs[0].preprocessing.size
    surface.write_folder(
        tmp_path / "set", count=6, defective_fraction=0.5,
        spec=surface.SurfaceSpec(size=size), seed=9,
    )  # fmt: skip
    return tmp_path / "set"


def write_groups(root):
    listed = sorted(root.glob("good/*.png")) + sorted(root.glob("defect/*.png"))
    lines = [f"{p.relative_to(root)},tile {n % 2}" for n, p in enumerate(listed)]
    (root / "groups.csv").write_text("\n".join(("file,group", *lines)))


def evaluated(toy_bundle, root, out, *words):
    command = ["evaluate", str(toy_bundle), str(root), "--format", "folder", "--out", str(out)]
    code = cli.main([*command, *words])
    if code:
        return code
    with (out / "per_image.csv").open(newline="") as stream:
        return {row["group"] for row in csv.DictReader(stream)}


def test_evaluate_finds_the_table_in_its_root(toy_bundle, root, tmp_path):
    write_groups(root)
    assert evaluated(toy_bundle, root, tmp_path / "o") == {"tile 0", "tile 1"}


def test_evaluate_takes_a_pattern(toy_bundle, root, tmp_path):
    pattern = r"--group-pattern=/\d*(\d)$"
    assert evaluated(toy_bundle, root, tmp_path / "o", pattern) == set("012345")


def test_evaluate_refuses_a_pattern_that_does_not_fit(toy_bundle, root, tmp_path, capsys):
    def code(*words):
        return evaluated(toy_bundle, root, tmp_path / "o", *words)

    assert code("--group-pattern", "good/(.*)") == 3
    assert "must match every image. Got 'defect/" in capsys.readouterr().err
    assert code("--group-pattern", "(") == 2
    assert "must be a regular expression" in capsys.readouterr().err
    write_groups(root)
    assert code("--group-pattern", "(.*)") == 2
    assert "Leave out the pattern" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_pattern_without_a_root_is_refused(toy_bundle, tmp_path, capsys):
    words = ["evaluate", str(toy_bundle), "--out", str(tmp_path / "o"), "--group-pattern", "(.)"]
    assert cli.main(words) == 2
    assert "--group-pattern is about the images of a ROOT" in capsys.readouterr().err


@pytest.fixture
def manifest(root):
    """Of a bundle whose own data is this folder, its parts named by a pattern."""
    source = data_spec.DataSpec(format="folder", root=root, group_pattern=r"(\d\d)$")
    found = data_spec.read(source)
    return types.SimpleNamespace(
        classes=found.classes, has_template=False, task="segmentation",
        provenance=types.SimpleNamespace(
            data=bundle.Data(
                format="folder", sha256=found.sha256(), splits={"test": list(found.ids[:2])},
                source=source.model_dump(mode="json"),
            )
        ),
    )  # fmt: skip


def test_the_pattern_of_the_bundles_own_data_is_the_default(manifest, root):
    assert data.from_root(manifest, root, data.Labels(), "test").groups == ("01", "03")
    assert (
        data.from_root(manifest, root, data.Labels(group_pattern=r"(\d)$"), None).groups[0] == "1"
    )
    assert (
        data.from_root(manifest, root, data.Labels(group_pattern=""), None).groups[0]
        == "defect/0001"
    )
    with pytest.raises(errors.DataError, match="needs the images the bundle was made from"):
        data.from_root(manifest, root, data.Labels(group_pattern=""), "test")


def test_a_table_outranks_that_default(manifest, root):
    write_groups(root)
    assert set(data.from_root(manifest, root, data.Labels(), None).groups) == {"tile 0", "tile 1"}
