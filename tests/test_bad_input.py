"""Bad input as a user meets it: one sentence on stderr, the right exit code, nothing lost."""

import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest

from inspection_tf import bundle, cli, config, errors
from inspection_tf.datasets import data_spec
from pipelines import dagm_segmentation

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 255, (64, 64), np.uint8)


def png(pixels=PIXELS):
    return cv2.imencode(".png", pixels)[1].tobytes()


def jpeg():
    return cv2.imencode(".jpg", PIXELS)[1].tobytes()


def huge_png():
    """A PNG that says it is 20000 x 20000; its pixels are never looked at."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


BAD_FILES = {
    "truncated.png": (png()[:-40], "truncated.png"),
    "truncated.jpg": (jpeg()[: len(jpeg()) // 2], "truncated.jpg"),
    "empty.png": (b"", "empty.png"),
    "text.png": (b"hello, this is a text", "text.png"),
    "huge.png": (huge_png(), "20000"),
    "other_size.png": (png(PIXELS[:50]), "64 x 64"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_image_ends_predict_with_3_and_one_sentence(toy_bundle, tmp_path, capfd, name):
    data, told = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    assert cli.main(["predict", str(toy_bundle), str(path), "--json"]) == 3
    complaints = [line for line in capfd.readouterr().err.splitlines() if "error: " in line]
    assert len(complaints) == 1
    assert told in complaints[0]
    assert "Got" in complaints[0]
    assert path.read_bytes() == data


def folder(root, *, count=12):
    for name in ("good", "defect", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        kind = "defect" if number % 2 else "good"
        (root / kind / f"{number}.png").write_bytes(png(np.roll(PIXELS, number, axis=1)))
        if number % 2:
            mask = np.zeros((64, 64), np.uint8)
            mask[10:30, 10:30] = 255
            (root / "masks" / f"{number}.png").write_bytes(png(mask))
    return root


def settings(root, toy):
    return config.validate(
        dagm_segmentation.Config,
        toy | {"data": {"format": "folder", "root": root}},
        origin="test",
    )


@pytest.fixture
def toy():
    path = dagm_segmentation.__file__.replace(".py", ".yaml")
    values = config.load(dagm_segmentation.Config, path).model_dump()
    values["preprocessing"]["size"] = (64, 64)
    return values


def spoil_mask_size(root):
    (root / "masks" / "1.png").write_bytes(png(np.zeros((32, 64), np.uint8) + 255))


def spoil_mask_missing(root):
    (root / "masks" / "1.png").unlink()


def spoil_test_image(root):
    (root / "good" / "0.png").write_bytes(png()[:-40])


def spoil_all_defects(root):
    for name in ("defect", "masks"):
        shutil.rmtree(root / name)


def spoil_everything(root):
    shutil.rmtree(root)
    root.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_mask_size, "defect/1.*size"),
        (spoil_mask_missing, "must have a mask"),
        (spoil_test_image, "good/0"),
        (spoil_all_defects, "needs defective images"),
        (spoil_everything, "good/"),
    ],
)
def test_a_bad_data_set_is_refused_before_training(tmp_path, toy, spoil, told):
    root = folder(tmp_path / "set")
    spoil(root)
    before = sorted(root.rglob("*"))
    with pytest.raises(errors.DataError, match=told) as caught:
        dagm_segmentation.run(settings(root, toy), tmp_path / "run")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "run" / "bundle").exists()
    assert not (tmp_path / "run" / "history.csv").exists()
    assert sorted(root.rglob("*")) == before


def test_a_bundle_of_a_newer_schema_ends_with_4_and_says_upgrade(toy_bundle_copy, capsys):
    path = toy_bundle_copy / "manifest.json"
    text = path.read_text()
    old = f'"schema_version": {bundle.SCHEMA_VERSION}'
    assert old in text
    path.write_text(text.replace(old, f'"schema_version": {bundle.SCHEMA_VERSION + 1}'))
    assert cli.main(["verify", str(toy_bundle_copy)]) == 4
    assert "Upgrade" in capsys.readouterr().err


def test_data_that_moved_ends_evaluate_with_3(toy_bundle, tmp_path, monkeypatch, capsys):
    moved = data_spec.DataSpec(format="folder", root=tmp_path / "gone")
    read = data_spec.read
    monkeypatch.setattr(data_spec, "read", lambda spec: read(moved))
    assert cli.main(["evaluate", str(toy_bundle), "--out", str(tmp_path / "out")]) == 3
    assert "gone" in capsys.readouterr().err
