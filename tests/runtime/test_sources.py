"""What an inspector is given stays its owner's; what is no image, or no metadata, is refused."""

import copy
import dataclasses
import io
import json
import pickle
import threading

import numpy as np
import pytest
from PIL import Image, ImageSequence

from inspection_tf import errors, images, runtime
from inspection_tf.tasks import fields
from inspection_tf.tasks.fields import closeups


@pytest.fixture(scope="module")
def inspector(toy_bundle):
    return runtime.Inspector.load(toy_bundle, threads=1)


@pytest.fixture(scope="module")
def frames(toy_records):
    """Good, defective, good, defective, ..., as they come from a camera."""
    return [record.read_image() for record in toy_records][:6]


EXPECTED = ["OK", "NG"] * 3


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


# A caller's buffer


def filled_anew(buffer, frames):
    for frame in frames:
        buffer[:] = frame
        yield buffer


@pytest.mark.parametrize(
    "make",
    [
        np.empty_like,
        lambda frame: np.empty((*frame.shape[::-1], 2), np.uint8)[:, :, 1].T,  # a strided view
        lambda frame: np.empty(frame.shape, ">u2"),  # a copy by its byte order
    ],
)
@pytest.mark.parametrize("batch", [1, 4])
def test_a_buffer_that_is_filled_anew_gives_each_frame_its_own_verdict(
    toy_bundle, frames, make, batch
):
    inspector = runtime.Inspector.load(toy_bundle, threads=1, batch=batch)
    buffer = make(frames[0])
    scale = 257 if buffer.dtype.itemsize == 2 else 1
    shown = [frame.astype(buffer.dtype) * scale for frame in frames]
    verdicts = list(inspector.inspect_many(filled_anew(buffer, shown)))
    assert outcomes(verdicts) == EXPECTED
    for verdict, frame in zip(verdicts, shown, strict=True):
        np.testing.assert_array_equal(verdict.image, frame)
        assert not np.shares_memory(verdict.image, buffer)


def test_a_memory_map_that_is_a_ring_gives_each_frame_its_own_verdict(inspector, frames, tmp_path):
    ring = np.memmap(tmp_path / "ring", np.uint8, "w+", shape=frames[0].shape)
    verdicts = list(inspector.inspect_many(filled_anew(ring, frames)))
    assert outcomes(verdicts) == EXPECTED
    assert {type(verdict.image) for verdict in verdicts} == {np.ndarray}


def test_a_read_only_view_of_a_buffer_is_copied_too(inspector, frames):
    buffer = np.empty_like(frames[0])
    view = buffer.view()
    view.flags.writeable = False

    def camera():
        for frame in frames:
            buffer[:] = frame
            yield view

    assert outcomes(inspector.inspect_many(camera())) == EXPECTED


def test_bytes_and_files_that_are_used_again_give_each_image_its_own_verdict(inspector, frames):
    encoded = [images.encode_png(frame) for frame in frames]

    def buffers():
        buffer = bytearray()
        for data in encoded:
            buffer[:] = data
            yield buffer

    def files():
        for data in encoded:
            with io.BytesIO(data) as file:  # closed when the next one is asked for
                yield file

    assert outcomes(inspector.inspect_many(buffers())) == EXPECTED
    assert outcomes(inspector.inspect_many(files())) == EXPECTED


def test_the_frames_of_a_pillow_image_give_each_its_own_verdict(inspector, frames):
    stream = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(stream, "TIFF", save_all=True, append_images=others)
    stack = Image.open(stream)
    assert outcomes(inspector.inspect_many(ImageSequence.Iterator(stack))) == EXPECTED


def test_templates_in_one_buffer_are_each_images_own(toy_pair):
    inspector = runtime.Inspector.load(toy_pair.path, threads=1)
    records = [record for part in toy_pair.parts.values() for record in part]
    pairs = [(record.read_image(), record.read_template()) for record in records]
    expected = [inspector.inspect(image, template=template).outcome for image, template in pairs]
    assert {"OK", "NG"} == set(expected)
    image, template = (np.empty_like(pixels) for pixels in pairs[0])
    found = inspector.inspect_many(
        filled_anew(image, [pair[0] for pair in pairs]),
        templates=filled_anew(template, [pair[1] for pair in pairs]),
    )
    assert outcomes(found) == expected


def test_what_a_verdict_keeps_is_a_copy(inspector, frames):
    buffer = frames[1].copy()
    verdict = inspector.inspect(buffer)
    buffer[:] = 0
    np.testing.assert_array_equal(verdict.image, frames[1])
    assert images.digest(verdict.image) == verdict.image_sha256


def test_what_is_prepared_is_a_copy_and_with_it_the_pixels_of_a_second_look(inspector, frames):
    settings = fields.Settings(closeups=closeups.CloseupSpec())
    context = dataclasses.replace(inspector.context, settings=settings)
    looks_twice = copy.copy(inspector)
    looks_twice.task, looks_twice.context = fields.TASK, context
    buffer = frames[1].copy()
    prepared = looks_twice.prepare(buffer)
    shared = looks_twice.prepare(buffer, copy=False)
    buffer[:] = 0
    np.testing.assert_array_equal(prepared.pixels, frames[1])
    np.testing.assert_array_equal(prepared.image[0, :, :, 0], frames[1])
    assert not shared.image.any()  # as was asked for
    assert not shared.pixels.any()


def test_metadata_that_changes_later_is_as_it_was(inspector, frames):
    lot = {"lot": "7"}

    def camera():
        for frame in frames:
            yield frame
            lot["lot"] = "8"

    found = list(inspector.inspect_many(camera(), metadata=lot))
    assert [verdict.metadata for verdict in found] == [{"lot": "7"}] * 6


# What is passed to it


def test_whatever_holds_an_image_gives_the_same_verdict(inspector, toy_bundle):
    path = toy_bundle / "golden" / "0.png"
    expected = inspector.inspect(path)
    data = path.read_bytes()
    with path.open("rb") as file:
        given = [str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file]
        given += [Image.open(path), images.read(path)]
        found = [inspector.inspect(source) for source in given]
    assert {verdict.image_sha256 for verdict in found} == {expected.image_sha256}
    assert {verdict.score for verdict in found} == {expected.score}


@pytest.mark.parametrize("given", [None, ["a.png"], {}, 3, "", "a\0.png", b"", np.zeros((4, 4))])
def test_what_is_no_image_is_an_image_error_at_every_door(inspector, toy_pair, given):
    for take in (inspector.inspect, inspector.probability, inspector.prepare, images.read):
        with pytest.raises(errors.ImageError):
            take(given)
    with pytest.raises(errors.ImageError):
        list(inspector.inspect_many([given]))
    if given is not None:
        pair = runtime.Inspector.load(toy_pair.path, threads=1, check_golden=False)
        with pytest.raises(errors.ImageError):
            pair.inspect(np.zeros((64, 64), np.uint8), template=given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("part.png", r"Got one path, 'part\.png'"),
        (b"data", "Got the bytes of one file"),
        (np.zeros((64, 64), np.uint8), r"Got one array of shape \(64, 64\)"),
        (np.zeros((64, 64, 3), np.uint8), r"Got one array of shape \(64, 64, 3\)"),
        (np.zeros(64, np.uint8), r"Got one array of shape \(64,\)"),
        (Image.new("L", (64, 64)), "Got one Image"),
        (io.BytesIO(b"data"), "Got one open file"),
        ({"top": "part.png"}, r"Got a dict\. Give its values"),
        (None, "Got None"),
        (3, "Got one int"),
    ],
)
def test_one_image_where_several_are_asked_for_is_told_so_at_once(inspector, given, said):
    with pytest.raises(errors.ImageError, match=said):
        inspector.inspect_many(given)
    if given is not None:
        with pytest.raises(errors.ImageError, match=f"templates must be a list.*{said}"):
            inspector.inspect_many([], templates=given)


def test_whatever_gives_images_one_after_the_other_is_taken(inspector, frames, toy_bundle):
    path = str(toy_bundle / "golden" / "0.png")
    one = inspector.inspect(path).outcome
    for given in ([path], (path,), {path}, iter([path]), np.array([path])):
        assert outcomes(inspector.inspect_many(given)) == [one]
    assert outcomes(inspector.inspect_many(np.stack(frames))) == EXPECTED
    assert outcomes(inspector.inspect_many(np.stack(frames)[..., None])) == EXPECTED


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_an_inspector_that_is_pickled_says_how_to_load_one(inspector, copied):
    said = r"must stay in its process.*in each process: runtime\.Inspector\.load\(BUNDLE\)"
    for given in (inspector, inspector.inspect, inspector.networks["segmenter"]):
        with pytest.raises(errors.ConfigError, match=said):
            copied(given)


def test_a_copy_within_the_process_shares_the_networks(inspector, frames):
    assert copy.copy(inspector).inspect(frames[1]).outcome == "NG"
    assert copy.copy(inspector).networks is inspector.networks


# Metadata


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"time": float("nan")}, "Got for 'time': Out of range float"),
        ({"lot": np.int64(3)}, "Got for 'lot': Object of type int64"),
        ({"camera": b"left"}, "Object of type bytes"),
        ({"camera": {"ports": {3}}}, "Object of type set"),
        ({"camera": {1: "left"}}, r"names that are strings\. Got 1"),
        ({7: "lot"}, r"names that are strings\. Got 7"),
        ("camera=left", r"must map names to strings\. Got one of type str"),
        (7, "Got one of type int"),
    ],
)
def test_metadata_that_json_cannot_hold_is_refused_before_any_work(inspector, metadata, said):
    for refused in (
        lambda: inspector.inspect("gone.png", metadata=metadata),
        lambda: inspector.inspect_many(["gone.png"], metadata=metadata),
        lambda: inspector.inspect_part(["gone.png"], metadata=metadata),
    ):
        with pytest.raises(errors.ConfigError, match=said):
            refused()


def test_metadata_that_contains_itself_is_refused(inspector):
    endless = []
    endless.append(endless)
    with pytest.raises(errors.ConfigError, match="Got for 'lot'"):
        inspector.inspect("gone.png", metadata={"lot": endless})


def test_metadata_of_plain_values_passes_through_as_a_copy(inspector, frames):
    given = {"camera": "left", "lot": 7, "exposure": np.float64(0.5), "ports": [1, None, True]}
    verdict = inspector.inspect(frames[0], metadata=given)
    given["ports"].append("late")
    assert verdict.metadata == {
        "camera": "left",
        "lot": 7,
        "exposure": 0.5,
        "ports": [1, None, True],
    }
    assert json.loads(json.dumps(verdict.to_dict()))["metadata"] == verdict.metadata
    assert inspector.inspect(frames[0]).metadata == {}


# A part


def test_a_part_is_as_its_gravest_image(inspector, frames, tmp_path):
    images.write_png(tmp_path / "good.png", frames[0])
    part = inspector.inspect_part([tmp_path / "good.png", frames[1]], metadata={"lot": "7"})
    assert (part.outcome, part.decided_by) == ("NG", "2")
    assert list(part.verdicts) == [str(tmp_path / "good.png"), "2"]
    assert {verdict.metadata["lot"] for verdict in part.verdicts.values()} == {"7"}
    named = inspector.inspect_part({"top": frames[0], "side": frames[2]})
    assert (named.outcome, list(named.verdicts)) == ("OK", ["top", "side"])


def test_a_part_of_one_buffer_is_inspected_frame_by_frame(inspector, frames):
    part = inspector.inspect_part(filled_anew(np.empty_like(frames[0]), frames))
    assert outcomes(part.verdicts.values()) == EXPECTED


def test_a_part_with_an_image_that_cannot_be_read_is_never_ok(inspector, frames):
    part = inspector.inspect_part({"top": frames[0], "side": "gone.png", "back": None})
    assert (part.outcome, part.decided_by) == ("REVIEW", "side")
    assert list(part.failures) == ["side", "back"]
    assert part.reasons[0].startswith("side: not inspected: gone.png must be a readable file")
    assert inspector.inspect_part({"top": frames[1], "side": "gone.png"}).outcome == "NG"


def test_a_part_of_nothing_of_one_image_or_with_a_name_twice_is_refused(inspector, frames):
    with pytest.raises(errors.ConfigError, match="at least one verdict"):
        inspector.inspect_part([])
    with pytest.raises(errors.ImageError, match="images of a part must be a list"):
        inspector.inspect_part("part.png")
    with pytest.raises(errors.ConfigError, match=r"Got 'gone\.png' twice"):
        inspector.inspect_part(["gone.png", "gone.png"])


def test_a_part_takes_as_many_templates_as_images(toy_pair):
    inspector = runtime.Inspector.load(toy_pair.path, threads=1)
    record = next(record for part in toy_pair.parts.values() for record in part)
    image, template = record.read_image(), record.read_template()
    part = inspector.inspect_part([image, image], templates=[template, template])
    assert set(outcomes(part.verdicts.values())) == {part.outcome}
    with pytest.raises(errors.ImageError, match="Got more images of the two"):
        inspector.inspect_part([image, image], templates=[template])


def test_threads_may_share_an_inspector_and_a_buffer_each(inspector, frames):
    found = {}

    def work(name):
        found[name] = outcomes(
            inspector.inspect_many(filled_anew(np.empty_like(frames[0]), frames))
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [EXPECTED] * 3
