"""Sources are inspected and sinks are told: nothing is lost, nothing twice that does not say so."""

import collections
import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import cv2
import numpy as np
import pytest
import service_process
from service_process import KEPT, eventually, free_port, written

from inspection_tf import errors
from inspection_tf.service import ServiceSpec
from inspection_tf.service.lines import sinks, sources
from inspection_tf.service.lines.feed import AWAY, ENDED, QUIET, RUNNING, Feed
from inspection_tf.service.lines.sources import Frame

BUNDLE = KEPT / "schema_4_segmentation"
PICTURE = sorted((BUNDLE / "golden").glob("*.png"))[0]


class Taken(list):
    """What a web address has taken; it answers once `answers` is set."""

    def __init__(self):
        super().__init__()
        self.answers = threading.Event()


@contextlib.contextmanager
def web(*, fails_every=3, redirects=False, answers=True):
    """A web address that fails now and then; gives its url and what it has taken."""
    taken, calls = Taken(), collections.Counter()
    if answers:
        taken.answers.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls["all"] += 1
            status = 500 if fails_every and calls["all"] % fails_every == 0 else 200
            status = 302 if redirects else status
            if status == 200:
                more = {"key": self.headers["Idempotency-Key"]}
                more["authorization"] = self.headers["Authorization"]
                taken.append({**json.loads(body), **more})
            taken.answers.wait(30)
            with contextlib.suppress(OSError):
                self.send_response(status)
                if redirects:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/verdicts", taken
    finally:
        taken.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()


def pictures(folder, count, *, first=0):
    for number in range(first, first + count):
        shutil.copyfile(PICTURE, folder / f"{number:03}.png")


def test_a_folder_is_told_to_a_folder_and_to_an_address_that_fails_every_third_time(tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    pictures(images, 5)
    (images / "spoilt.png").write_bytes(b"no picture")
    (images / "notes.txt").write_text("no image")
    with (
        web() as (url, taken),
        service_process.serving(
            f"line={BUNDLE}",
            source=f"folder:{images}",
            sink=(f"folder:{out}", f"webhook:{url}"),
            state=tmp_path / "state",
        ) as service,
    ):
        eventually(lambda: len(written(out)) == 6)
        pictures(images, 4, first=5)
        eventually(lambda: len(written(out)) == 10 and len(taken) == 10)
        service.json("POST", "/inspect", PICTURE.read_bytes())
        eventually(lambda: len(written(out)) == 11 and len(taken) == 11)
        text = service.ask("GET", "/metrics")[2].decode()
        assert f'inspection_sink_waiting{{sink="webhook:{url}"}} 0.0' in text
        assert f'inspection_source{{source="folder:{images}",state="running"}} 1.0' in text
        code, _ = service.stop()
    assert code == errors.SIGTERM
    names = [event.get("image") for event in written(out)]
    assert sorted(filter(None, names)) == [*(f"{n:03}.png" for n in range(9)), "spoilt.png"]
    (spoilt,) = [event for event in written(out) if event.get("image") == "spoilt.png"]
    assert "error" in spoilt
    assert "outcome" not in spoilt
    good = next(event for event in taken if event.get("image") == "003.png")
    assert good["outcome"] in ("OK", "NG", "REVIEW")
    assert good["metadata"] == {"source": f"folder:{images}", "image": "003.png"}
    assert len({event["event"] for event in taken}) == 11
    assert all(event["key"] == event["event"] for event in taken)
    assert max(event["tries"] for event in taken) >= 2  # some were refused before


def test_after_a_crash_nothing_is_lost_and_what_comes_twice_says_so(tmp_path):
    images, out, state = tmp_path / "images", tmp_path / "out", tmp_path / "state"
    images.mkdir()
    pictures(images, 60)
    words = {
        "source": f"folder:{images}",
        "sink": f"folder:{out}",
        "state": state,
    }
    with service_process.serving(f"line={BUNDLE}", **words) as service:
        eventually(lambda: len(written(out)) >= 5)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    with service_process.serving(f"line={BUNDLE}", **words) as service:
        eventually(lambda: len({event["image"] for event in written(out)}) == 60)
        service.stop()
    # A file whose verdict was not stored yet was inspected again, and told once.
    assert len({event["event"] for event in written(out)}) == 60


def test_what_was_taken_before_a_crash_comes_again_and_says_so(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    pictures(images, 3)
    with web(fails_every=0, answers=False) as (url, taken):
        words = {
            "source": f"folder:{images}",
            "sink": f"webhook:{url}",
            "state": tmp_path / "state",
        }
        with service_process.serving(f"line={BUNDLE}", **words) as service:
            eventually(lambda: len(taken) == 1)  # and the service does not know it
            service.process.send_signal(signal.SIGKILL)
            service.process.wait()
        taken.answers.set()
        with service_process.serving(f"line={BUNDLE}", **words) as service:
            eventually(lambda: len({event["event"] for event in taken}) == 3)
            service.stop()
    first, again = [event for event in taken if event["event"] == taken[0]["event"]]
    assert (first["tries"], again["tries"]) == (1, 2)
    assert len(taken) == 4


def test_a_sink_that_sends_on_has_not_taken_it():
    with web(fails_every=0, redirects=True) as (url, taken):
        deliver = sinks.deliverer(f"webhook:{url}")
        with pytest.raises(OSError, match="302"):
            deliver("1", "{}")
    assert taken == []


def test_a_name_and_password_go_into_a_header():
    with web(fails_every=0) as (url, taken):
        sinks.deliverer(f"webhook:{url.replace('http://', 'http://me:s%20ecret@')}")("1", "{}")
    assert taken[0]["authorization"] == "Basic bWU6cyBlY3JldA=="  # me:s ecret


def test_a_video_is_inspected_frame_by_frame(tmp_path):
    file, out = tmp_path / "film.avi", tmp_path / "out"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 64))
    for _ in range(7):
        writer.write(np.full((64, 64, 3), 128, np.uint8))
    writer.release()
    with service_process.serving(
        f"line={BUNDLE}", source=f"video:{file}", sink=f"folder:{out}", state=tmp_path / "state"
    ) as service:
        eventually(lambda: len(written(out)) == 7)
        state = f'inspection_source{{source="video:{file}",state="ended"}} 1.0'
        eventually(lambda: state in service.ask("GET", "/metrics")[2].decode())
    assert [event["image"] for event in written(out)] == [f"film.avi#{n}" for n in range(1, 8)]


class Given:
    """A source that gives what a test puts into it."""

    word = "test:"

    def __init__(self, *, is_live):
        self.is_live, self._given = is_live, collections.deque()

    def give(self, *frames):
        self._given.extend(frames)

    def frames(self, is_over):
        while not is_over.is_set():
            if self._given:
                found = self._given.popleft()
                if found == "end":
                    return
                yield found
            else:
                time.sleep(0.005)


def frames(*names):
    return [Frame(name, b"") for name in names]


def test_of_a_camera_the_newest_image_counts_and_what_it_replaced_is_counted():
    source = Given(is_live=True)
    feed = Feed(source)
    source.give(*frames("a", "b", "c"))
    eventually(lambda: feed.dropped == 2)
    assert feed.take(1).name == "c"
    assert feed.take(0.01) is None
    assert feed.state == RUNNING
    source.give(None)
    eventually(lambda: feed.state == AWAY)
    source.give(*frames("d"))
    eventually(lambda: feed.state == RUNNING)
    assert feed.take(1).name == "d"
    feed.close()


def test_of_a_folder_each_image_waits_for_its_turn():
    source = Given(is_live=False)
    feed = Feed(source)
    source.give(*frames("a", "b", "c"), "end")
    time.sleep(0.1)
    assert [feed.take(1).name for _ in range(3)] == ["a", "b", "c"]
    eventually(lambda: feed.state == ENDED)
    assert feed.dropped == 0


def test_no_image_for_seconds_is_a_state(monkeypatch):
    monkeypatch.setattr("inspection_tf.service.lines.feed._QUIET_S", 0.5)
    source = Given(is_live=True)
    feed = Feed(source)
    source.give(*frames("a"))
    assert feed.take(1).name == "a"
    eventually(lambda: feed.state == QUIET)
    source.give(*frames("b"))
    eventually(lambda: feed.state == RUNNING)
    feed.close()


def test_a_file_that_is_still_written_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("inspection_tf.service.lines.sources._LOOK_S", 0.5)  # the writer: 0.1 s
    is_over = threading.Event()
    source = sources.source(f"folder:{tmp_path}", None)
    found = source.frames(is_over)
    path = tmp_path / "a.png"

    def write():
        with path.open("wb") as file:
            for _ in range(8):
                file.write(b"12345")
                file.flush()
                time.sleep(0.1)

    writing = threading.Thread(target=write)
    writing.start()
    frame = next(found)
    writing.join()
    assert (frame.name, frame.image) == ("a.png", b"12345" * 8)
    (tmp_path / "a.png").write_bytes(b"another")
    (tmp_path / ".hidden.png").write_bytes(b"hidden")
    assert next(found).image == b"another"
    os.mkfifo(tmp_path / "a_pipe.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "nothing")
    (tmp_path / os.fsdecode(b"c\xff.png")).write_bytes(b"no name of UTF-8")
    assert next(found).name == r"c\udcff.png"
    is_over.set()
    assert list(found) == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("folder:nothing", "must be a folder"),
        ("video:nothing", "must be a file"),
        ("usb:x", "must be folder:DIR"),
        ("rtsp:x", "must be folder:DIR"),
        ("", "must be folder:DIR"),
    ],
)
def test_what_is_no_source_is_told(word, said):
    with pytest.raises(errors.ConfigError, match=said):
        sources.source(word, None)


@pytest.mark.parametrize("word", ["", "folder:", "webhook:file:///etc", "mqtt://host", "mqtt:x/y"])
def test_what_is_no_sink_is_told(word):
    with pytest.raises(errors.ConfigError, match="A sink must be"):
        sinks.deliverer(word)


def test_sinks_need_a_folder_for_what_waits():
    with pytest.raises(ValueError, match="give --state DIR"):
        ServiceSpec(sink=("folder:x",))


def test_a_password_is_not_shown():
    assert sources.shown("rtsp://user:secret@camera/1") == "rtsp://...@camera/1"
    assert sources.shown("webhook:https://me:p@ss@host/a@b") == "webhook:https://...@host/a@b"
    assert sources.shown("folder:/a@b") == "folder:/a@b"


# With what Debian has


@pytest.mark.skipif(not shutil.which("mosquitto"), reason="needs mosquitto, a package of Debian")
def test_a_broker_is_told_also_where_it_comes_late(tmp_path):
    mqtt = pytest.importorskip("paho.mqtt.client")
    images, port = tmp_path / "images", free_port()
    images.mkdir()
    pictures(images, 6)
    settings = tmp_path / "broker.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    received = []
    with service_process.serving(
        f"line={BUNDLE}",
        source=f"folder:{images}",
        sink=f"mqtt://127.0.0.1:{port}/line/verdicts",
        state=tmp_path / "state",
    ) as service:
        failed = b"inspection_sink_failures"
        eventually(
            lambda: any(
                line.startswith(failed) and not line.endswith(b" 0.0")
                for line in service.ask("GET", "/metrics")[2].splitlines()
            )
        )
        broker = subprocess.Popen(["mosquitto", "-c", str(settings)], stderr=subprocess.DEVNULL)
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.on_message = lambda *words: received.append(json.loads(words[-1].payload))
        try:
            eventually(lambda: _connected(client, port))
            client.subscribe("line/verdicts", qos=1)
            client.loop_start()
            pictures(images, 6, first=6)
            eventually(lambda: len({event["event"] for event in received}) >= 6, within_s=60)
        finally:
            client.loop_stop()
            client.disconnect()
            broker.terminate()
            broker.wait()
    assert all(event["outcome"] for event in received)


def _connected(client, port):
    with contextlib.suppress(OSError):
        client.connect("127.0.0.1", port)
        return True
    return False
