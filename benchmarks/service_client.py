"""A service in a process of its own, and what asks it: for `service_load`."""

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

QUEUE = 8
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a request came to."""

    status: int  # 0: the connection ended without an answer
    headers: dict[str, str]
    body: bytes
    began: float  # by `time.perf_counter`
    seconds: float

    @property
    def sha256(self) -> str:
        """Hash of the image that the verdict is of."""
        return str(json.loads(self.body).get("image_sha256", ""))


@dataclasses.dataclass
class Service:
    """A service in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def resident_mib(self) -> float:
        """Return the memory of the process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def cpu_s(self) -> float:
        """Return the seconds that cores have worked for the process."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / _TICKS

    async def ask(self, image: bytes, *, path: str = "/inspect", method: str = "POST") -> Answer:
        """Send an image over a connection of its own."""
        began = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return _answer(b"", b"", began)
        data = b""
        with contextlib.suppress(OSError):
            writer.write(_request(image, path=path, method=method, connection="close"))
            await writer.drain()
        with contextlib.suppress(OSError):
            data = await reader.read(-1)
        writer.close()
        head, _, body = data.partition(b"\r\n\r\n")
        return _answer(head, body, began)


def ask_again(connection: socket.socket, image: bytes) -> Answer:
    """Send an image over a connection that stays open."""
    began = time.perf_counter()
    connection.sendall(_request(image))
    with connection.makefile("rb") as file:
        head = b""
        while (line := file.readline()) not in (b"\r\n", b""):
            head += line
        body = file.read(int(_headers(head).get("content-length", 0)))
    return _answer(head, body, began)


def _request(
    image: bytes, *, path: str = "/inspect", method: str = "POST", connection: str = "keep-alive"
) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: line\r\nConnection: {connection}\r\n"
    return f"{head}Content-Length: {len(image)}\r\n\r\n".encode() + image


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(": ") for line in head.decode("latin-1").splitlines()[1:])
    return {name.lower(): value for name, _, value in pairs}


def _answer(head: bytes, body: bytes, began: float) -> Answer:
    headers = _headers(head)
    is_whole = head.startswith(b"HTTP/1.1 ") and len(body) == int(headers.get("content-length", -1))
    status = int(head.split()[1]) if is_whole else 0
    return Answer(status, headers, body, began, time.perf_counter() - began)


@contextlib.contextmanager
def serving(*words: str) -> Iterator[Service]:
    """Run a service as long as the block runs."""
    command = [sys.executable, "-m", "inspection_tf.cli", "serve", *words, "--port", "0"]
    command += ["--engine", "onnx", "--threads", "1", "--queue", str(QUEUE)]
    command += ["--deadline-ms", "60000", "--watch-s", "0.05"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        address = (process.stdout.readline() if process.stdout else "").strip()
        yield Service(process, int(address.rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate()


def busy_s() -> float:
    """Return the seconds that cores of this machine have worked."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICKS
