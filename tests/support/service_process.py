"""A service in a process of its own, and what is sent to it."""

import contextlib
import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

from inspection_tf.service.lines import sinks

KEPT = Path(__file__).parents[1] / "bundles"
_ROOT = Path(__file__).parents[2]
_START_S = 120
_END_S = 60


class Service:
    """A running service."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, *, status=200, **headers):
        """Return the JSON of an answer of a status."""
        found, _, data = self.ask(method, path, body, **headers)
        assert found == status, (found, data[:500])
        return json.loads(data)

    def stop(self, number=signal.SIGTERM):
        """Send a signal; returns the exit code and what was logged."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        """Return the exit code and what was logged, once the process ends."""
        _, log = self.process.communicate(timeout=_END_S)
        return self.process.returncode, log


@contextlib.contextmanager
def serving(*words, command=None, cwd=_ROOT, **options):
    """Run `inspection serve`, or another command that serves, as long as the block runs."""
    command = command or [sys.executable, "-m", "inspection_tf.cli", "serve"]
    flags = [
        word
        for name, value in {"port": 0, "threads": 1, "engine": "onnx", **options}.items()
        for one in (value if isinstance(value, tuple) else (value,))
        for word in (f"--{name.replace('_', '-')}", str(one))
    ]
    process = subprocess.Popen(
        [*command, *map(str, words), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(_START_S), "the service does not say its address"
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), (address, process.communicate()[1])
        yield Service(process, int(address.rpartition(":")[2]))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def form(*parts):
    """Return body and content type of a form; each part is a field, a file's name, and bytes."""
    boundary = uuid.uuid4().hex
    lines = []
    for field, name, data in parts:
        file = f'; filename="{name}"' if name else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'
        lines += [head.encode(), data, b"\r\n"]
    return b"".join([*lines, f"--{boundary}--\r\n".encode()]), (
        f"multipart/form-data; boundary={boundary}"
    )


def eventually(condition, *, within_s=60):
    """Wait until a condition holds."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it does not come to that"
        time.sleep(0.05)


def written(folder):
    """Return what the sink of a folder holds."""
    path = folder / sinks.EVENTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
