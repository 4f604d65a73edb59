"""The most memory that a process has held, as a child program prints it."""

import subprocess
import sys

from inspection_tf.process import memory

_CHILD = """
import sys
from inspection_tf.process import memory
before = memory.peak_bytes()
block = bytearray(b"1") * 2**26
print(memory.peak_bytes() - before, *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_what_a_process_allocates_raises_its_peak_and_measuring_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True
    )
    grown, *imported = done.stdout.split()
    assert 2**26 <= int(grown) < 2**27  # one block of 2**26 bytes
    assert not {"numpy", "pydantic", "onnxruntime", "cv2"} & set(imported)


def test_a_peak_never_falls():
    first = memory.peak_bytes()
    assert 10**6 < first <= memory.peak_bytes()
