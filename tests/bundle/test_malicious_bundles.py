"""Bundles that lie: each is refused with exit code 4, and nothing of it is opened or run."""

import os
import sys

import numpy as np
import onnxruntime
import pytest

from inspection_tf import cli

pytest.importorskip("onnx")
if os.name != "posix":
    pytest.skip("links and pipes of POSIX", allow_module_level=True)

from spoilt_bundles import SPOILT, Bundle

_WATCHED = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class"}
_seen: list[str] | None = None
# Only a network that runs can say that the samples are not its own.
_PARSED = {name for name in SPOILT if "golden" in name or "array" in name or "image bomb" in name}


def _watch(event, arguments):
    if _seen is None:
        return
    if event in _WATCHED or (event == "import" and arguments[0] == "payload"):
        _seen.append(event)
    elif event == "open" and "outside" in str(arguments[0]):
        _seen.append(f"open {arguments[0]}")


sys.addaudithook(_watch)


def test_there_are_enough_of_them():
    assert len(SPOILT) >= 60


@pytest.mark.parametrize("name", SPOILT)
def test_it_is_refused_before_anything_of_it_is_used(
    toy_bundle_copy, tmp_path, capsys, monkeypatch, name
):
    global _seen
    parsed = []
    session = onnxruntime.InferenceSession

    def parse(*given, **options):
        parsed.append(given)
        return session(*given, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", parse)
    outside = tmp_path / "outside"
    outside.mkdir()
    bundle = Bundle(toy_bundle_copy, outside)
    np.save(bundle.canary, np.zeros(4, np.float32))
    SPOILT[name](bundle)
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    _seen = []
    try:
        code = cli.main(["verify", str(toy_bundle_copy)])
    finally:
        seen, _seen = _seen, None
    assert code == 4
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert seen == []
    assert parsed == [] or name in _PARSED
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before
