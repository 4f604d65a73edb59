import errno
import json
import os

import pytest

from inspection_tf import bundle, errors, files
from inspection_tf.bundle import listed_files
from inspection_tf.runtime import golden


@pytest.fixture
def spoil(toy_bundle_copy):
    """Return a function that edits the manifest."""

    def edit(change):
        path = toy_bundle_copy / bundle.MANIFEST
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))
        return toy_bundle_copy

    return edit


def refused(root, match):
    with pytest.raises(errors.BundleError, match=match) as caught:
        bundle.read(root)
    assert caught.value.exit_code == 4


def test_a_bundle_is_read_as_it_was_written(toy_bundle, toy_shipped):
    manifest = bundle.read(toy_bundle)
    assert manifest == toy_shipped.shipped.manifest.model_copy(update={"files": manifest.files})
    on_disk = {p.relative_to(toy_bundle).as_posix() for p in toy_bundle.rglob("*") if p.is_file()}
    assert set(manifest.files) == on_disk - {"manifest.json"}


def test_one_flipped_bit_in_any_file_is_refused(toy_bundle_copy):
    for name in bundle.read(toy_bundle_copy).files:
        path = toy_bundle_copy / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        refused(toy_bundle_copy, f"{path.name}: the file must be as it was written")
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    bundle.read(toy_bundle_copy)


def test_a_newer_schema_is_refused_with_the_way_out(spoil):
    refused(
        spoil(lambda m: m.update(schema_version=bundle.SCHEMA_VERSION + 1)),
        f"up to schema {bundle.SCHEMA_VERSION}. Got schema {bundle.SCHEMA_VERSION + 1}. Upgrade",
    )


def test_a_newer_schema_is_told_before_its_unknown_fields(spoil):
    refused(spoil(lambda m: m.update(schema_version=99, novelty=1)), "Upgrade inspection-tf")


@pytest.mark.parametrize("version", [None, "1", 1.0, True, [1]])
def test_a_schema_that_is_no_whole_number_is_refused(spoil, version):
    refused(spoil(lambda m: m.update(schema_version=version)), "must name its schema_version")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"schema_version": 0}, "schema_version must be valid"),
        ({"noise": 1}, r"may hold only known fields. Got 'noise'"),
        ({"task": "corner"}, "task must be one of segmentation, .* Got .corner."),
        ({"task": None}, "manifest.json: task must be valid"),
        ({"task": "corners"}, "manifest.json may hold only known fields. Got 'settings.rules.min_"),
        (
            {"task": "corners", "settings": {"rules": {}}},
            r"graphs must be .'locator'.\. Got .'segmenter'.",
        ),
        ({"settings": {}}, "Got none called 'settings.rules'"),
        (
            {"settings": {"rules": {}, "noise": 1}},
            "Got 'settings.noise'. Known fields: rules, tiles",
        ),
        (
            {"settings": {"rules": {"min_area": 1}}},
            "Perhaps you meant 'settings.rules.min_area_px'",
        ),
        (
            {"settings": {"rules": {"min_area_px": "x"}}},
            "rules.min_area_px must be valid",
        ),
        ({"settings": None}, r"manifest.json: settings must be valid. Got None: .* Settings\. C"),
        ({"graphs": []}, "graphs must be valid"),
        ({"inputs": []}, "inputs must be valid"),
        ({"outputs": []}, "outputs must be valid"),
        ({"classes": []}, "classes must be valid"),
        ({"mm_per_px": -1.0}, "mm_per_px must be valid"),
        ({"model_id": None}, "model_id must be valid"),
        ({"operating_point": {"threshold": float("nan")}}, "operating_point.threshold"),
        (
            {"graphs": [{"name": "segmenter", "file": "b.onnx"}]},
            "every graph must be an ONNX file of the",
        ),
        (
            {"graphs": [{"name": "a", "file": "model.onnx"}]},
            "graphs must be .'segmenter'.. Got .'a'.",
        ),
        (
            {"graphs": [{"name": n, "file": "model.onnx"} for n in ("classifier", "segmenter")]},
            "graphs must be .'segmenter'.. Got .'classifier', 'segmenter'.",
        ),
        ({"inputs": []}, "at least 1|too_short|inputs"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(spoil, change, match):
    refused(spoil(lambda m: m.update(change)), match)


@pytest.mark.parametrize("field", ["task", "settings"])
def test_a_manifest_without_a_field_that_decides_is_refused(spoil, field):
    refused(spoil(lambda m: m.pop(field)), f"Got none called '{field}'")


@pytest.mark.parametrize(
    "text",
    [b"", b"no JSON", b'{"schema_version": 1', b"\xff\xfe", b'{"schema_version": 1}}'],
)
def test_a_manifest_that_is_no_json_is_refused(toy_bundle_copy, text):
    (toy_bundle_copy / bundle.MANIFEST).write_bytes(text)
    refused(toy_bundle_copy, "the manifest must be JSON")


@pytest.mark.parametrize("text", [b"[]", b"1", b'"schema_version"', b"null"])
def test_a_manifest_that_is_no_object_is_refused(toy_bundle_copy, text):
    (toy_bundle_copy / bundle.MANIFEST).write_bytes(text)
    refused(toy_bundle_copy, "must name its schema_version. Got none")


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schema_version": 1, "metrics": ' + b"[" * 50 + b"]" * 50 + b"}",
        b'"' + b'\\"' * 1_000_000 + b"[" * 100,  # a string that never ends: told in linear time
    ],
)
def test_a_nesting_bomb_is_refused_before_it_is_parsed(toy_bundle_copy, text, monkeypatch):
    (toy_bundle_copy / bundle.MANIFEST).write_bytes(text)
    if b"\\" not in text:
        monkeypatch.setattr(json, "loads", None)
        refused(toy_bundle_copy, "the manifest must be flat")
    else:
        refused(toy_bundle_copy, "the manifest must be JSON")


def test_brackets_inside_names_are_no_nesting(spoil):
    names = [f'part [{number} "{{[' for number in range(100)]
    root = spoil(lambda m: m["provenance"]["data"]["splits"].update(test=names))
    assert bundle.read(root).provenance.data.splits["test"] == names


def test_a_giant_manifest_is_refused_before_it_is_read(toy_bundle_copy, monkeypatch):
    monkeypatch.setattr(listed_files, "MAX_MANIFEST_BYTES", 100)
    refused(toy_bundle_copy, "must be under 100 bytes")


def test_a_giant_file_is_refused_before_it_is_hashed(toy_bundle_copy, monkeypatch):
    monkeypatch.setattr(listed_files, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(files, "sha256", None)
    refused(toy_bundle_copy, "files must be under 100 bytes")


def test_an_absent_bundle_is_refused(tmp_path):
    refused(tmp_path / "no", "a bundle must be a folder")
    refused(tmp_path, "must hold manifest.json")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "a bundle must be a folder")


@pytest.mark.parametrize("name", ["model.onnx", "golden/0.png", "MODEL_CARD.md"])
def test_a_missing_file_is_named(toy_bundle_copy, name):
    (toy_bundle_copy / name).unlink()
    refused(toy_bundle_copy, f"no {name}")


@pytest.mark.parametrize("name", ["extra.png", "golden/extra.npy", ".hidden"])
def test_an_extra_file_is_named(toy_bundle_copy, name):
    (toy_bundle_copy / name).touch()
    refused(toy_bundle_copy, f"an extra {name}. Remove it")


@pytest.mark.parametrize(
    "name",
    ["../model.onnx", "golden/../../x.png", "/etc/x.png", "C:/x.png", "a\\..\\x.png", "", "."],
)
def test_a_path_that_leaves_the_bundle_is_refused(spoil, name):
    refused(spoil(lambda m: m["files"].update({name: "0" * 64})), "must lie inside the bundle")


@pytest.mark.parametrize("name", ["run.py", "model.pkl", "model.npz", "manifest", "a.png.sh"])
def test_a_file_of_another_type_is_refused(spoil, name):
    refused(spoil(lambda m: m["files"].update({name: "0" * 64})), "files must be of the types")


@pytest.mark.parametrize("name", ["./model.onnx", "golden//0.png", "manifest.json"])
def test_a_path_has_one_spelling(spoil, name):
    refused(
        spoil(lambda m: m["files"].update({name: "0" * 64})),
        "every file of the manifest" if name == "manifest.json" else "must lie inside the bundle",
    )


@pytest.mark.skipif(os.name != "posix", reason="links need rights on other systems")
@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden"])
def test_a_symbolic_link_is_refused_even_to_the_right_bytes(toy_bundle_copy, tmp_path, name):
    (toy_bundle_copy / name).rename(tmp_path / "elsewhere")
    (toy_bundle_copy / name).symlink_to(tmp_path / "elsewhere")
    refused(toy_bundle_copy, "must hold manifest.json" if "json" in name else "plain files only")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_is_refused_and_not_read(toy_bundle_copy):
    os.mkfifo(toy_bundle_copy / "golden" / "pipe.png")
    refused(toy_bundle_copy, "plain files only")


def test_a_truncated_model_is_refused_though_its_hash_is_right(toy_bundle_copy, reseal):
    model = toy_bundle_copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:1000])
    refused(reseal(toy_bundle_copy), r"model.onnx must be an ONNX model")


def test_a_model_with_external_data_is_refused_though_its_hash_is_right(toy_bundle_copy, reseal):
    onnx = pytest.importorskip("onnx")
    path = toy_bundle_copy / "model.onnx"
    made = onnx.load(path)
    onnx.save_model(made, path, save_as_external_data=True, location="w.npy", size_threshold=0)
    refused(reseal(toy_bundle_copy), "must hold its own weights")


def test_a_draft_takes_only_what_a_bundle_may_hold(tmp_path):
    with bundle.writing(tmp_path / "bundle") as draft:
        draft.write("golden/0.png", b"png")
        draft.write("MODEL_CARD.md", "ä")
        with pytest.raises(errors.BundleError, match="must lie inside"):
            draft.write("../x.png", b"")
        with pytest.raises(errors.BundleError, match="of the types"):
            draft.write("x.exe", b"")
    assert (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8") == "ä"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def write(final, manifest, size=100_000):
    with bundle.writing(final) as draft:
        draft.write("model.onnx", bytes(size))
        draft.seal(manifest)


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stage", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_no_bundle_and_its_neighbour_untouched(
    tmp_path, monkeypatch, toy_shipped, stage
):
    folder = tmp_path / "runs"
    write(folder / "neighbour", toy_shipped.shipped.manifest, size=10)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    if stage == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif stage == "replace":
        monkeypatch.setattr("pathlib.Path.replace", full)
    else:
        monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(errors.StorageError, match=r"No space left.*Free space") as caught:
        write(folder / "bundle", toy_shipped.shipped.manifest)
    assert caught.value.exit_code == 5
    assert [p.name for p in folder.iterdir()] == ["neighbour"]
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_disk_that_is_really_full_leaves_nothing(tiny_disk, toy_shipped):
    (tiny_disk / "neighbour").write_bytes(b"before")
    with pytest.raises(errors.StorageError, match="No space left"):
        write(tiny_disk / "bundle", toy_shipped.shipped.manifest)  # 100 kB on 64 KiB
    assert [p.name for p in tiny_disk.iterdir()] == ["neighbour"]
    assert (tiny_disk / "neighbour").read_bytes() == b"before"


def test_a_bundle_that_exists_is_never_overwritten(toy_bundle_copy, toy_shipped):
    with pytest.raises(errors.ConfigError, match="must not exist yet"):
        write(toy_bundle_copy, toy_shipped.shipped.manifest)
    bundle.read(toy_bundle_copy)


def test_a_file_that_cannot_be_read_is_a_bundle_error(toy_bundle_copy, monkeypatch):
    def deny(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files, "sha256", deny)
    refused(toy_bundle_copy, "must be readable. Got Permission denied")


def test_the_model_repeats_what_decides_and_nothing_private(toy_shipped):
    repeated = json.loads(toy_shipped.shipped.manifest.for_model())
    assert set(repeated) == {
        "schema_version",
        "model_id",
        "task",
        "classes",
        "graphs",
        "inputs",
        "outputs",
        "alignment",
        "operating_point",
        "stage_points",
        "settings",
        "mm_per_px",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 41 + b"]" * 41, "the golden samples must be flat"),
        (b" " * 16 * 2**20 + b"[]", "the golden samples must be under"),
        (b'[{"id": 1, "id": 2}]', "stands twice"),
    ],
)
def test_golden_samples_have_the_limits_of_the_manifest(tmp_path, text, said):
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "expected.json").write_bytes(text)
    with pytest.raises(errors.BundleError, match=said):
        golden.read(tmp_path)
