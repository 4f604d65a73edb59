"""What `import inspection_tf` gives: four names that are imported when they are first used."""

import subprocess
import sys
from pathlib import Path

import pytest

import inspection_tf
from inspection_tf import decision, runtime, tasks

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "tests" / "bundles" / "schema_4_segmentation"


def printed(code):
    """What a fresh interpreter prints that runs `code`."""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


def test_a_bundle_is_loaded_by_one_call():
    inspector = inspection_tf.load(BUNDLE)
    assert isinstance(inspector, inspection_tf.Inspector)
    verdict = inspector.inspect(BUNDLE / "golden" / "0.png")
    assert isinstance(verdict, inspection_tf.Verdict)


def test_the_names_are_those_of_their_rooms():
    assert inspection_tf.Inspector is runtime.Inspector
    assert inspection_tf.Verdict is decision.Verdict
    assert inspection_tf.load == runtime.Inspector.load
    assert inspection_tf.tasks is tasks
    assert inspection_tf.__version__.count(".") == 2


def test_importing_the_package_imports_nothing_else():
    assert (
        printed(
            "import sys; before = set(sys.modules); import inspection_tf;"
            "print(*set(sys.modules) - before - {'inspection_tf'})"
        )
        == []
    )


@pytest.mark.parametrize("name", inspection_tf.__all__)
def test_each_name_is_there_before_it_is_used(name):
    code = f"import inspection_tf; print('{name}' in dir(inspection_tf), inspection_tf.{name})"
    assert printed(code)[0] == "True"


def test_a_name_that_is_not_there_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'inspection_tf' has no attribute 'lod'"):
        _ = inspection_tf.lod


def test_all_names_can_be_imported_with_a_star():
    names = printed("from inspection_tf import *; print(*sorted(globals()))")
    assert set(inspection_tf.__all__) <= set(names)
