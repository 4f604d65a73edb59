"""A bundle whose network sees a window of each image."""

import json

import numpy as np
import pytest

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.export import kit


@pytest.fixture
def focused(toy_bundle_copy, reseal):
    """The toy bundle, of 64 x 64 px, that looks for the corner of an insert in larger images."""
    inputs = json.loads((toy_bundle_copy / bundle.MANIFEST).read_text())["inputs"]
    inputs[0]["preprocessing"]["focus"] = {"method": "edge_corner", "size": [64, 64]}
    return reseal(toy_bundle_copy, inputs=inputs)


def wedge(size=(150, 201)):
    image = np.random.default_rng(1).normal(50, 4, size)
    image[60:, 80:] += 130
    return np.rint(image).astype(np.uint8)


def test_a_verdict_is_about_the_source_and_says_where_was_looked(focused):
    inspector = runtime.Inspector.load(focused)
    verdict = inspector.inspect(wedge())
    assert verdict.image_size == (150, 201)
    x0, y0, x1, y1 = verdict.window_xyxy
    assert (x1 - x0, y1 - y0) == (64, 64)
    assert x0 < 80 < x1
    assert y0 < 60 < y1
    outside = np.ones((150, 201), bool)
    outside[y0:y1, x0:x1] = False
    assert not verdict.probability[outside].any()
    assert "window_xyxy" not in verdict.to_dict()

    window = wedge()[y0:y1, x0:x1]
    np.testing.assert_array_equal(
        verdict.probability[y0:y1, x0:x1], inspector.inspect(window).probability
    )


def test_the_overlay_frames_what_was_seen(focused):
    verdict = runtime.Inspector.load(focused).inspect(wedge())
    x0, y0, x1, y1 = verdict.window_xyxy
    overlay = verdict.overlay()
    frame = overlay[y0, x0].tolist()
    assert frame[2] > 200 > frame[0]  # blue
    assert overlay[y1 - 1, x1 - 1].tolist() == frame
    assert overlay[0, 0].tolist() == [int(wedge()[0, 0])] * 3


def test_a_bundle_without_a_focus_sees_all_of_an_image(toy_bundle):
    verdict = runtime.Inspector.load(toy_bundle).inspect(np.zeros((64, 64), np.uint8))
    assert verdict.window_xyxy is None


def test_batches_and_single_images_agree(focused):
    inspector = runtime.Inspector.load(focused)
    pictures = [wedge(), wedge((201, 150)), np.zeros((90, 90), np.uint8)]
    many = list(inspector.inspect_many(pictures))
    assert [verdict.window_xyxy for verdict in many] == [
        inspector.inspect(picture).window_xyxy for picture in pictures
    ]
    assert many[2].window_xyxy == (13, 13, 77, 77)  # nothing is found: (90 - 64) / 2 = 13


def test_a_bundle_with_a_focus_is_verified_and_written_again_as_it_was(focused):
    assert cli.main(["verify", str(focused)]) == 0
    manifest = bundle.read(focused)
    written = json.loads(manifest.model_dump_json())
    assert written["inputs"] == json.loads((focused / bundle.MANIFEST).read_text())["inputs"]


def test_the_page_for_integrators_says_that_a_focus_comes_first(focused, toy_bundle):
    text = kit.page(bundle.read(focused))
    assert "focus edge_corner (64 x 64 px of the image are kept around it" in text
    assert "`golden/tensors` show what must come out" in text
    assert len(text.splitlines()) == 12
    assert "focus" not in kit.page(bundle.read(toy_bundle))


def test_tiles_and_a_focus_exclude_each_other(focused, capsys):
    assert cli.main(["tiles", str(focused)]) == 4
    assert "with fit: exact. Got segmentation, 1 inputs, fit: exact, and a focus." in (
        capsys.readouterr().err
    )


def test_a_manifest_with_tiles_and_a_focus_is_refused(focused, reseal):
    values = json.loads((focused / bundle.MANIFEST).read_text())
    plan = {"stride": 16, "margin": 8, "total_stride": 16}
    settings = {**values["settings"], "tiles": plan}
    with pytest.raises(errors.BundleError, match="tiles need one network for single images"):
        bundle.read(reseal(focused, settings=settings))


def test_a_manifest_with_templates_and_a_focus_is_refused(focused, reseal):
    (one,) = json.loads((focused / bundle.MANIFEST).read_text())["inputs"]
    with pytest.raises(errors.BundleError, match="compares images with templates must see all"):
        bundle.read(reseal(focused, inputs=[one, {**one, "name": "template"}]))
