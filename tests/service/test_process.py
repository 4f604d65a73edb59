"""The process of a service: how it begins, swaps bundles, and ends."""

import asyncio
import gc
import http.client
import json
import shutil
import signal
import socket
import sys
import threading
import time
import types
import weakref

import pytest
import service_process
import uvicorn
from service_process import KEPT, eventually, form
from uvicorn.server import ServerState

from inspection_tf import cli, errors
from inspection_tf.editing import rethreshold
from inspection_tf.service import Models, ServiceSpec
from inspection_tf.service.web.connections import Connection

SEGMENTATION = KEPT / "schema_4_segmentation"
POSE = KEPT / "schema_5_pose"


def picture(root):
    return sorted((root / "golden").glob("*.png"))[0].read_bytes()


@pytest.fixture
def bundles(tmp_path):
    """Return two bundles that decide by another threshold, and a file that names the first."""
    first = shutil.copytree(SEGMENTATION, tmp_path / "first")
    second = shutil.copytree(SEGMENTATION, tmp_path / "second")
    rethreshold.set_threshold(second, 0.6, reason="")
    pointer = tmp_path / "current"
    pointer.write_text("first\n")
    return first, second, pointer


def threshold(service):
    return service.json("POST", "/inspect", picture(SEGMENTATION))["threshold"]


def test_a_file_that_names_another_bundle_swaps_it_and_a_bad_one_changes_nothing(bundles):
    first, _, pointer = bundles
    with service_process.serving(f"line={pointer}", watch_s=0.1) as service:
        before = threshold(service)
        version = service.json("GET", "/v2/models/line")["versions"][0]
        pointer.write_text("second\n")
        eventually(lambda: threshold(service) == 0.6)
        assert service.json("GET", "/v2/models/line")["versions"][0] != version
        (first / "model.onnx").write_bytes(b"spoilt")
        pointer.write_text("first\n")
        taken = 'inspection_swaps_total{model="line",result="%s"} 1.0'
        eventually(lambda: (taken % "refused").encode() in service.ask("GET", "/metrics")[2])
        assert threshold(service) == 0.6
        assert (taken % "taken").encode() in service.ask("GET", "/metrics")[2]
        code, log = service.stop()
    assert before != 0.6
    assert code == errors.SIGTERM
    assert "stays at version" in log
    assert "model.onnx" in log


def test_a_bundle_that_has_served_is_freed_without_a_collection_of_garbage(bundles):
    *_, pointer = bundles
    models = Models([f"line={pointer}"], ServiceSpec(engine="onnx", threads=1))
    first = weakref.ref(models.all()["line"].inspector)
    pointer.write_text("second\n")
    gc.disable()
    try:
        models.swap_changed(lambda *_: None, only_files=True)
        assert first() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="SIGHUP is not known here")
def test_sighup_looks_at_folders_too(bundles):
    first, *_ = bundles
    with service_process.serving(first, watch_s=0.1) as service:
        before = threshold(service)
        rethreshold.set_threshold(first, 0.6, reason="")
        assert threshold(service) == before
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: threshold(service) == 0.6)


def test_a_file_that_names_nonsense_is_told_and_the_next_one_counts(bundles):
    _, second, pointer = bundles
    with service_process.serving(f"line={pointer}", watch_s=0.1) as service:
        before = threshold(service)
        for text in (b"~nobody/there", b"\0\0", b"\xff\xfe", b"", b"nothing\n"):
            pointer.write_bytes(text)
            time.sleep(0.3)
            assert threshold(service) == before
        pointer.unlink()
        time.sleep(0.3)
        pointer.write_text(f"{second}\n")
        eventually(lambda: threshold(service) == 0.6)


def test_an_answer_to_what_is_too_large_or_too_slow_arrives():
    with service_process.serving(SEGMENTATION, max_mib=0.1, upload_s=0.5) as service:
        for _ in range(5):
            status, _, data = service.ask("POST", "/inspect", iter([bytes(50_000)] * 40))
            assert (status, json.loads(data)["error"].split(".")[0]) == (
                413,
                "A request must have at most 104857 bytes",
            )

        def dripping():
            for _ in range(8):
                yield bytes(10)
                time.sleep(0.15)

        assert service.ask("POST", "/inspect", dripping())[0] == 408
        # A batch is bounded by its images where it is a form, else as a whole.
        body = iter([bytes(50_000)] * 40)
        assert service.ask("POST", "/inspect/batch", body, content_type="image/png")[0] == 413
        large = ("image", "large.png", bytes(200_000))
        body, kind = form(large, ("image", "a.png", picture(SEGMENTATION)))
        _, _, data = service.ask("POST", "/inspect/batch", body, content_type=kind)
        lines = [json.loads(line) for line in data.splitlines()]
        assert (lines[0]["status"], "outcome" in lines[1]) == (413, True)


def test_sigterm_says_so_then_finishes_what_was_accepted(tmp_path):
    with service_process.serving(POSE) as service:
        found = []
        body = picture(POSE)  # takes long enough to be told to stop in between

        def ask():
            found.append(service.json("POST", "/inspect", body))

        asking = threading.Thread(target=ask)
        asking.start()
        eventually(lambda: b"inspection_requests 1.0" in service.ask("GET", "/metrics")[2])
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: service.ask("GET", "/v2/health/ready")[0] == 503, within_s=5)
        assert service.ask("POST", "/inspect", body)[0] == 503
        asking.join()
        code, log = service.ended()
    assert found[0]["outcome"] in ("OK", "NG")
    assert code == 143
    assert "Traceback" not in log


def test_a_slow_upload_is_closed(tmp_path):
    with (
        service_process.serving(SEGMENTATION, upload_s=0.3) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection,
    ):
        began = time.monotonic()
        connection.sendall(b"POST /inspect HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
        answer = b""
        while more := connection.recv(4096):
            answer += more
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 15
        assert service.json("GET", "/v2/health/ready") == {"ready": True}
        assert b"inspection_requests 0.0" in service.ask("GET", "/metrics")[2]


def test_the_answer_to_what_is_not_read_arrives_all_the_same():
    with service_process.serving(SEGMENTATION) as service:
        for size in (10, 100_000, 3_000_000):
            for _ in range(5):
                status, headers, data = service.ask(
                    "POST", "/inspect", bytes(size), content_type="text/plain"
                )
                assert (status, headers["connection"]) == (415, "close")
                assert json.loads(data)["error"].startswith("The body must be an image")


def test_headers_that_never_end_are_not_waited_for(tmp_path):
    code = "from inspection_tf.service.web import connections; connections._HEADERS_S = 0.3; "
    code += "import sys; from inspection_tf.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve"]
    with service_process.serving(SEGMENTATION, command=command) as service:
        for start in (b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "):
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
                connection.sendall(start)
                assert connection.recv(1024) == b""
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        for _ in range(3):  # one that is used again and again is not
            connection.request("POST", "/inspect", picture(SEGMENTATION))
            assert connection.getresponse().read()
            time.sleep(0.2)
        connection.close()


def test_what_is_sent_is_not_held_back():
    options = []

    class Transport(asyncio.Transport):
        def get_extra_info(self, name, default=None):
            place = ("127.0.0.1", 1)
            given = types.SimpleNamespace(
                setsockopt=lambda *words: options.append(words),
                family=socket.AF_INET,
                getsockname=lambda: place,
                getpeername=lambda: place,
            )
            return given if name == "socket" else default

        def close(self):
            pass

    async def connect():
        config = uvicorn.Config(None, log_config=None)
        connection = Connection(config, ServerState(), {})
        connection.connection_made(Transport())
        connection.connection_lost(None)

    asyncio.run(connect())
    assert options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


def _answered(port, *chunks):
    """Send chunks over a connection of its own; returns all that comes back until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        found = b""
        try:
            for chunk in chunks:
                connection.sendall(chunk)
            while data := connection.recv(1 << 16):
                found += data
        except ConnectionError:
            pass
        return found


def test_headers_are_bounded_and_malformed_ones_refused():
    begin = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n"
    line = b"X-Long: " + b"a" * 1000 + b"\r\n"
    with service_process.serving(SEGMENTATION) as service:
        port = service.port
        assert _answered(port, begin, *[line] * 200)[:12] == b"HTTP/1.1 400"
        assert _answered(port, b"GET /" + b"a" * (1 << 18))[:12] == b"HTTP/1.1 400"
        last = b"Connection: close\r\n\r\n"
        assert _answered(port, begin, *[line] * 50, last)[:12] == b"HTTP/1.1 200"
        for request in (
            b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            b"POST /inspect HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            b"POST /inspect HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        ):
            assert _answered(port, request)[:12] == b"HTTP/1.1 400", request
        # A connection that stays open is bounded for each of its requests, not for all.
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            for _ in range(3):
                connection.sendall(begin + line * 40 + b"\r\n")
                found = b""
                while not found.endswith(b"}"):
                    found += connection.recv(1 << 16)
                assert found[:12] == b"HTTP/1.1 200"
        assert service.ask("GET", "/v2/health/live")[0] == 200


def test_many_at_once_each_get_their_own(tmp_path):
    with service_process.serving(SEGMENTATION, queue=3) as service:
        files = sorted((SEGMENTATION / "golden").glob("*.png"))
        expected = {
            file: service.json("POST", "/inspect", file.read_bytes())["image_sha256"]
            for file in files
        }
        wrong, refused = [], []

        def ask(file):
            for _ in range(20):
                status, headers, data = service.ask("POST", "/inspect", file.read_bytes())
                if status == 503:
                    refused.append(int(headers["retry-after"]))
                elif status != 200 or json.loads(data)["image_sha256"] != expected[file]:
                    wrong.append((status, data[:200]))

        threads = [threading.Thread(target=ask, args=(file,)) for file in files * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert all(seconds >= 1 for seconds in refused)
        body, kind = form(("image", "a.png", files[0].read_bytes()))
        assert service.ask("POST", "/inspect", body, content_type=kind)[0] == 200


# How it begins


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "at least one bundle"),
        ([str(KEPT / "nothing")], 4, "nothing"),
        ([str(SEGMENTATION), str(SEGMENTATION)], 2, "a name of its own"),
        ([str(SEGMENTATION), "--token-file", "nothing"], 2, "token_file must be a readable file"),
        ([str(SEGMENTATION), "--host", "999.1.1.1"], 2, "an address that is free"),
        ([str(SEGMENTATION), "--engine", "other"], 2, "other"),
    ],
)
def test_what_cannot_be_served_ends_it(words, code, said, capfd):
    assert cli.main(["serve", *words, "--port", "0"]) == code
    assert said in capfd.readouterr().err


def test_an_address_that_is_taken_ends_it(capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert cli.main(["serve", str(SEGMENTATION), "--port", port]) == 2
    assert f"Got 127.0.0.1:{port}" in capfd.readouterr().err
