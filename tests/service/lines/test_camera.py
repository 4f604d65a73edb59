"""A camera of a network is inspected, also after it was gone for a while."""

import contextlib
import signal
import subprocess
from pathlib import Path

import pytest
import service_process
from service_process import KEPT, eventually, free_port, written

BUNDLE = KEPT / "schema_4_segmentation"
CAMERA = Path(service_process.__file__).with_name("rtsp_camera.py")
PYTHON = "/usr/bin/python3"  # of Debian, which has GStreamer
NEEDED = "import gi; gi.require_version('GstRtspServer', '1.0')"

pytestmark = pytest.mark.slow  # a stream is looked at for seconds before it is read


@pytest.fixture(scope="module")
def python():
    """Return the Python that a camera runs with."""
    with contextlib.suppress(OSError):
        if subprocess.run([PYTHON, "-c", NEEDED], capture_output=True).returncode == 0:
            return PYTHON
    pytest.skip("needs python3-gi and gir1.2-gst-rtsp-server-1.0, packages of Debian")


@contextlib.contextmanager
def playing(python, port):
    """Run a camera as long as the block runs."""
    process = subprocess.Popen(
        [python, str(CAMERA), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout.readline() == "serving\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def inspecting(port, folder):
    """Run a service that inspects a camera; gives it, and where its verdicts are written."""
    out = folder / "out"
    with service_process.serving(
        f"line={BUNDLE}",
        source=f"rtsp://127.0.0.1:{port}/line",
        sink=f"folder:{out}",
        state=folder / "state",
    ) as service:
        yield service, out


def is_in(service, port, state):
    line = f'inspection_source{{source="rtsp://127.0.0.1:{port}/line",state="{state}"}} 1.0'
    return line in service.ask("GET", "/metrics")[2].decode()


def test_a_camera_that_ends_and_begins_again_is_inspected_again(python, tmp_path):
    port = free_port()
    with inspecting(port, tmp_path) as (service, out):
        eventually(lambda: is_in(service, port, "not connected"))
        with playing(python, port):
            eventually(lambda: len(written(out)) >= 5)
            assert is_in(service, port, "running")
        eventually(lambda: is_in(service, port, "not connected"))
        before = len(written(out))
        with playing(python, port):
            eventually(lambda: len(written(out)) >= before + 5)
            assert is_in(service, port, "running")
        service.stop()
    events = written(out)
    assert all(event["outcome"] in ("OK", "NG", "REVIEW") for event in events)
    assert len({event["event"] for event in events}) == len(events)
    assert len({event["image"] for event in events}) == len(events)


def test_a_camera_that_sends_nothing_more_is_not_connected_until_it_does(python, tmp_path):
    port = free_port()
    with playing(python, port) as camera, inspecting(port, tmp_path) as (service, out):
        eventually(lambda: len(written(out)) >= 5)
        camera.send_signal(signal.SIGSTOP)  # its connection stays open
        eventually(lambda: is_in(service, port, "not connected"))
        before = len(written(out))
        camera.send_signal(signal.SIGCONT)
        eventually(lambda: len(written(out)) >= before + 5)
        service.stop()
    events = written(out)
    assert len({event["event"] for event in events}) == len(events)
