import os
import subprocess
import sys

import numpy as np
import pytest

from inspection_tf import cli, errors, runtime

pytest.importorskip("openvino")

_TOLD_TO_STOP = """
import gc
import os
import pathlib
import signal
import sys
import threading

from inspection_tf.engines.openvino_engine import OpenVinoEngine

held = [OpenVinoEngine(pathlib.Path(sys.argv[1]).read_bytes())]
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start()
thread.join()
room = [bytearray(os.urandom(30000)) for _ in range(2000)]
seen = []
signal.signal(signal.SIGTERM, lambda *given: seen.append(given))
os.kill(os.getpid(), signal.SIGTERM)
assert len(seen) == 1
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is POSIX")
def test_a_process_whose_engine_another_thread_freed_can_be_told_to_stop(toy_bundle):
    done = subprocess.run(
        [sys.executable, "-c", _TOLD_TO_STOP, str(toy_bundle / "model.onnx")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_engine_holds_its_own_weights(toy_bundle_copy):
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "openvino"]) == 0
    inspector = runtime.Inspector.load(toy_bundle_copy, engine="openvino", threads=1)
    image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    before = inspector.probability(image)
    weights = toy_bundle_copy / "engines" / "openvino" / "segmenter.bin"
    # As a new bundle that is copied over the old one while this one runs.
    weights.write_bytes(bytes(weights.stat().st_size))
    np.testing.assert_array_equal(inspector.probability(image), before)
    with pytest.raises(errors.BundleError, match="another SHA-256"):
        runtime.Inspector.load(toy_bundle_copy, engine="openvino")
