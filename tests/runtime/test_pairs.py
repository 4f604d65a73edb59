import json
import shutil

import numpy as np
import pytest

from inspection_tf import bundle, errors, images, runtime
from inspection_tf.images import registration


@pytest.fixture(scope="module")
def inspector(toy_pair):
    return runtime.Inspector.load(toy_pair.path, threads=1)


@pytest.fixture(scope="module")
def records(toy_pair):
    """Every record of the folder; those named 00 to 05 have a template that lies elsewhere."""
    return sorted(
        (record for part in toy_pair.parts.values() for record in part),
        key=lambda record: record.id[-2:],
    )


@pytest.fixture(scope="module")
def pair(records):
    """A defective image whose template lies as the image does, and the template."""
    return records[7].read_image(), records[7].read_template()


def facts(verdict):
    return verdict.to_dict() | {"ms": 0}


def changed(inspector, **changes):
    manifest = inspector.manifest.model_copy(update=changes)
    return runtime.Inspector(manifest, inspector.networks, model_sha256=inspector.model_sha256)


def test_a_disc_too_many_is_ng_and_the_template_says_which(inspector, records):
    for record in records:
        verdict = inspector.inspect(record.read_image(), template=record.read_template())
        assert verdict.outcome == ("NG" if record.is_defect else "OK")
        assert (verdict.decided_by, verdict.stages) == ("", {})
        if record.is_defect:
            (region,) = verdict.regions
            ys, xs = np.nonzero(record.read_mask())
            assert region.centroid_xy == pytest.approx((xs.mean(), ys.mean()), abs=1.5)


def test_an_image_that_is_its_own_template_is_ok(inspector, pair):
    verdict = inspector.inspect(pair[0], template=pair[0])
    assert (verdict.outcome, verdict.regions) == ("OK", ())
    # sigmoid(40 * (0 - 0.2)) = sigmoid(-8) where image and template are equal
    assert verdict.score == pytest.approx(1 / (1 + np.exp(8.0)), rel=1e-3)


def test_a_template_is_laid_onto_its_image_as_the_bundle_says(inspector, records):
    image, template = records[0].read_image(), records[0].read_template()
    aligned = registration.align(template, image, inspector.manifest.alignment)
    assert aligned.shift_xy == pytest.approx((3, 2), abs=0.3)
    assert inspector.inspect(image, template=template).outcome == "OK"
    left = changed(inspector, alignment=registration.AlignSpec(method="none"))
    assert left.inspect(image, template=template).outcome == "NG"


def test_the_network_sees_the_pair_that_training_prepares(inspector, records):
    image, template = records[0].read_image(), records[0].read_template()
    prepared = inspector.prepare(image, template)
    expected = registration.prepare(
        image, template, inspector.preprocessing, inspector.manifest.alignment
    )
    np.testing.assert_array_equal(prepared.image[0], expected[0])
    np.testing.assert_array_equal(prepared.template[0], expected[1])
    assert prepared.image.dtype == prepared.template.dtype == np.uint8


def test_path_bytes_and_arrays_of_a_template_give_one_verdict(inspector, pair, tmp_path):
    image, template = pair
    expected = facts(inspector.inspect(image, template=template))
    path = tmp_path / "template.png"
    images.write_png(path, template)
    for source in (path, str(path), path.read_bytes(), template[..., None]):
        assert facts(inspector.inspect(image, template=source)) == expected


def test_colour_and_depth_of_a_template_do_not_change_the_score(inspector, pair):
    image, template = pair
    expected = inspector.inspect(image, template=template).score
    # Equal channels have their own value as grey; 16-bit v * 257 is 8-bit v (65535 = 255 * 257).
    rgb = np.repeat(template[..., None], 3, axis=2)
    for source in (rgb, template.astype(np.uint16) * 257):
        assert inspector.inspect(image, template=source).score == pytest.approx(expected, abs=1e-6)


def test_image_and_template_are_left_as_they_were(inspector, pair):
    before = [array.copy() for array in pair]
    inspector.inspect(pair[0], template=pair[1])
    for array, copy in zip(pair, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_hash_is_that_of_the_image_alone(inspector, pair):
    verdict = inspector.inspect(pair[0], template=pair[1], metadata={"lot": "A"})
    assert verdict.image_sha256 == images.digest(pair[0])
    assert verdict.metadata == {"lot": "A"}
    assert set(verdict.ms) == {"pre", "model", "post"}


def test_pairs_of_another_size_are_placed_alike(inspector, pair):
    spec = images.Preprocessing(size=(64, 64), fit="letterbox")
    inputs = tuple(bundle.Input(name=name, preprocessing=spec) for name in ("image", "template"))
    wide = [np.pad(array, ((0, 0), (0, 64)), mode="edge") for array in pair]
    verdict = changed(inspector, inputs=inputs).inspect(wide[0], template=wide[1])
    assert (verdict.outcome, verdict.image_size) == ("NG", (64, 128))
    assert verdict.regions[0].centroid_xy[0] < 64


def test_a_map_is_to_be_had_without_a_verdict(inspector, pair):
    found = inspector.probability(*pair)
    np.testing.assert_array_equal(found, inspector.inspect(pair[0], template=pair[1]).probability)


# What does not fit


def refused(call, text):
    with pytest.raises(errors.ImageError) as caught:
        call()
    assert str(caught.value) == text
    assert caught.value.exit_code == 3


def test_many_pairs_are_inspected_one_after_the_other(inspector, records):
    pairs = [record.read_pair() for record in records][:3]
    found = inspector.inspect_many(
        (image for image, _ in pairs),
        templates=(template for _, template in pairs),
        metadata={"lot": "B"},
    )
    for verdict, (image, template) in zip(found, pairs, strict=True):
        alone = inspector.inspect(image, template=template)
        assert (verdict.outcome, verdict.score) == (alone.outcome, alone.score)
        assert verdict.metadata == {"lot": "B"}


@pytest.mark.parametrize(("images", "templates", "more"), [(2, 1, "images"), (1, 2, "templates")])
def test_as_many_templates_as_images_are_needed(inspector, pair, images, templates, more):
    image, template = pair
    found = inspector.inspect_many([image] * images, templates=[template] * templates)
    assert next(found).outcome in ("OK", "NG")
    with pytest.raises(errors.ImageError, match=f"must have its template. Got more {more}"):
        next(found)


def test_a_missing_template_is_told_in_one_sentence(inspector, pair):
    refused(
        lambda: inspector.inspect(pair[0]),
        "This bundle compares each image with its template. Got an image without one. "
        "Give its template.",
    )


def test_a_template_too_many_is_told_in_one_sentence(toy_bundle, pair):
    alone = runtime.Inspector.load(toy_bundle, threads=1)
    refused(
        lambda: alone.inspect(pair[0], template=pair[1]),
        "This bundle inspects images alone. Got a template too. Leave it out.",
    )


@pytest.mark.parametrize("method", ["phase", "none"])
def test_a_template_of_another_size_is_told_in_one_sentence(inspector, pair, method):
    other = changed(inspector, alignment=registration.AlignSpec(method=method))
    refused(
        lambda: other.inspect(pair[0], template=pair[1][:, 1:]),
        "The template must be 64 x 64 px (height x width), as its image. Got a template of another "
        "size, 64 x 63. Cut it from the same place, or resize it.",
    )


def test_a_template_that_is_no_image_is_an_image_error(inspector, pair, tmp_path):
    with pytest.raises(errors.ImageError, match=r"none\.png"):
        inspector.inspect(pair[0], template=tmp_path / "none.png")
    with pytest.raises(errors.ImageError):
        inspector.inspect(pair[0], template=b"no image")


def test_a_network_that_takes_no_template_is_a_bundle_error(inspector, toy_bundle, pair):
    engine = runtime.Engine((toy_bundle / "model.onnx").read_bytes(), threads=1)
    other = runtime.Inspector(inspector.manifest, engine, model_sha256="")
    with pytest.raises(errors.BundleError, match="must accept uint8 of shape"):
        other.inspect(pair[0], template=pair[1])


# Golden samples


@pytest.fixture
def copy(toy_pair, tmp_path):
    return shutil.copytree(toy_pair.path, tmp_path / "bundle")


def not_loaded(root, match):
    with pytest.raises(errors.BundleError, match=match) as caught:
        runtime.Inspector.load(root, threads=1)
    assert caught.value.exit_code == 4


def test_a_golden_template_altered_with_its_hash_is_refused(copy, reseal):
    path = copy / "golden" / "0_template.png"
    images.write_png(path, images.read(copy / "golden" / "0.png"))
    not_loaded(reseal(copy), "Golden sample golden/0.png must come out as recorded")


@pytest.mark.parametrize(
    ("template", "match"),
    [
        (None, "This bundle compares each image with its template"),
        ("golden/9_template.png", "golden/9_template.png is not listed"),
        ("../part.png", "is not listed"),
    ],
)
def test_a_golden_sample_without_its_template_is_refused(copy, reseal, template, match):
    path = copy / runtime.GOLDEN
    samples = json.loads(path.read_text())
    samples[0]["template"] = template
    path.write_text(json.dumps(samples))
    not_loaded(reseal(copy), f"must hold golden samples that can be read. Got: .*{match}")


def test_an_alignment_altered_in_the_manifest_is_found(copy, reseal, records):
    samples = json.loads((copy / runtime.GOLDEN).read_text())
    moved = [sample["id"][-2:] < "06" for sample in samples]
    assert any(moved)  # a template that lies elsewhere is among them
    alignment = registration.AlignSpec(method="none").model_dump(mode="json")
    not_loaded(reseal(copy, alignment=alignment), "must come out as recorded")
