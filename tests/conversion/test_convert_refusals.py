"""What `inspection convert` refuses at once, and what it does not blame a network for."""

from types import SimpleNamespace

import pytest
from engine_checks import contents

from inspection_tf import bundle, cli, errors


def test_of_two_conversions_at_the_same_time_none_is_lost(toy_bundle_copy):
    manifest = bundle.read(toy_bundle_copy)

    def note(draft, text):
        draft.write("NOTES.md", text)
        draft.seal(manifest)

    def both():
        with bundle.editing(toy_bundle_copy, manifest) as late:
            with bundle.editing(toy_bundle_copy, manifest) as early:
                note(early, "early")
            note(late, "late")

    with pytest.raises(errors.BundleError, match="another manifest than at the beginning"):
        both()
    assert (toy_bundle_copy / "NOTES.md").read_text() == "early"


@pytest.mark.parametrize("place", ["absent/report.json", "bundle/report.json"])
def test_a_report_that_cannot_be_is_refused_before_any_work(toy_bundle_copy, place, capsys):
    before = contents(toy_bundle_copy)
    report = str(toy_bundle_copy.parent / place)
    words = ["convert", str(toy_bundle_copy), "--to", "openvino", "--report", report]
    assert cli.main(words) == 2
    assert "in a folder that exists, outside the bundle" in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before


def test_a_full_temporary_disk_is_not_the_fault_of_the_network(monkeypatch):
    from inspection_tf.conversion import libraries

    def refuse():
        with libraries.blaming("The graph must be quantized"):
            raise ValueError("failed to find a proper domain")

    with pytest.raises(errors.BundleError, match=r"The graph must be quantized\. Got: failed to"):
        refuse()
    full = SimpleNamespace(free=20_000)
    monkeypatch.setattr(libraries.shutil, "disk_usage", lambda folder: full)
    with pytest.raises(errors.StorageError, match=r"Got a full disk \(failed to find"):
        refuse()
