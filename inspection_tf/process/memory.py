"""The most memory that the running process has held: what a measuring child program prints."""

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """Return the most memory that this process has held so far, bytes."""
    if _STATUS.is_file():
        # getrusage would count what the process that started this one held at that moment.
        values = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        if "VmHWM" in values:
            return 1024 * int(values["VmHWM"].split()[0])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
