import os
import subprocess
import sys

import pytest

pytest.importorskip("openvino")

_TOLD_TO_STOP = """
import gc
import os
import signal
import sys
import threading

from inspection_tf._engine_openvino import OpenVinoEngine

held = [OpenVinoEngine(sys.argv[1])]
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
