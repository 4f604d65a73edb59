"""The registry of formats, and who reads it."""

import inspect

import pytest

from inspection_tf import cli, errors
from inspection_tf.datasets import readers
from inspection_tf.datasets.readers import formats, layouts


def test_each_format_says_what_its_labels_are():
    kinds = {name: listed.labels for name, listed in readers.FORMATS.items()}
    of_masks = dict.fromkeys(("magnetic_tile", "deeppcb", "dagm", "folder", "voc"), "masks")
    of_corners = dict.fromkeys(("corners", "smartdoc"), "corners")
    assert kinds == {**of_masks, **of_corners, "classes_folder": "classes", "poses": "pose"}


@pytest.mark.parametrize(
    ("labels", "name"),
    [("masks", "folder"), ("classes", "classes_folder"), ("corners", "corners"), ("pose", "poses")],
)
def test_a_folder_of_unknown_format_is_read_by_the_kind_of_its_labels(labels, name):
    assert formats.usual(labels).name == name


def test_evaluate_offers_every_format(capsys):
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    text = "".join(capsys.readouterr().out.replace("│", "").split())
    assert f"--format{{None,{','.join(readers.FORMATS)}}}" in text


def test_a_refusal_stays_as_it_is_where_nothing_is_recognised(tmp_path):
    problem = layouts.refuse(tmp_path, needs="must hold images", got="none", way_out="Add some.")
    with (
        pytest.raises(errors.DataError, match=r"must hold images. Got none. Add some.") as caught,
        formats.explained("folder"),
    ):
        raise problem
    assert type(caught.value) is errors.DataError


def test_readers_keep_their_texts():
    assert (inspect.getdoc(readers.read_dagm) or "").startswith("Read a folder in the layout of")
