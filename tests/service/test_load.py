"""What waits, what is refused at the door, what is late, what has gone, and what stays whole."""

import asyncio
import json
import struct
import threading
import time
import types
import zlib

import cv2
import httpx
import numpy as np
import pytest
import service_process

from inspection_tf import decision, errors, service
from inspection_tf.decision.results import Regions
from inspection_tf.service import web
from inspection_tf.service.models import Place, Served
from inspection_tf.service.owner import Job, Owner, TooLateError


def png(said=b""):
    """Return a PNG of one pixel that holds a text, by which `Slow` knows it."""
    whole = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    chunk = b"tEXt" + b"said\0" + said
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return whole[:33] + length + chunk + check + whole[33:]  # behind signature and header


PNG = png()


class Slow:
    """An inspector that waits until it may go on, and whose score is the length of the image."""

    engine_name, batch = "onnx", 1

    def __init__(self, *, batch=1):
        self.batch, self.calls = batch, []
        self.may_go, self.has_begun = threading.Event(), threading.Event()
        self.may_go.set()
        inputs = [types.SimpleNamespace(name="image")]
        self.manifest = types.SimpleNamespace(task="segmentation", inputs=inputs)

    def load_image(self, image, template=None):
        if b"unreadable" in image:
            raise errors.ImageError("An image must be readable. Got none. Send another.")
        return image

    def inspect_loaded(self, loaded, metadata):
        self.has_begun.set()
        assert self.may_go.wait(30)
        self.calls.append(list(loaded))
        if any(b"broken" in image for image in loaded):
            raise RuntimeError("a secret of the inside")
        return [
            decision.Verdict(
                "OK",
                float("nan") if b"nan" in image else len(image) / 1e4,
                0.5,
                reasons=("the map is not finite",) if b"nan" in image else (),
                result=Regions(),
                metadata=dict(told),
            )
            for image, told in zip(loaded, metadata, strict=True)
        ]


@pytest.fixture
def stationed():
    """Make stations of one model, which end with the test."""
    found = []

    def make(inspector, **spec):
        served = Served("toy", "1", None, inspector, Place("toy", None))
        models = types.SimpleNamespace(all=lambda: {"toy": served})
        found.append((service.Station(models, service.ServiceSpec(**spec)), inspector))
        return found[-1][0]

    yield make
    for station, inspector in found:
        inspector.may_go.set()
        station.close()


def together(station, *asks, **options):
    """Run functions of a client of the application at once; returns what they return."""

    async def run():
        transport = httpx.ASGITransport(web.build(station, **options), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
            return await asyncio.gather(*(ask(client) for ask in asks))

    return asyncio.run(run())


def sent(content, path="/inspect", **headers):
    """Return a function that posts an image."""

    async def ask(client):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(path, content=content, headers=named)

    return ask


async def until(condition):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.005)


# At the door


def refused_unread(station, **headers):
    """Post a body; returns status, headers and sentence of what came before it was read."""
    events = []

    async def receive():
        events.append("read")
        return {"type": "http.request", "body": PNG, "more_body": False}

    async def send(message):
        events.append(message)

    asyncio.run(web.build(station)(scope(**headers), receive, send))
    start = events[0]
    assert start["type"] == "http.response.start"
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    assert told["connection"] == "close"
    return start["status"], told, json.loads(events[1]["body"])["error"]


def scope(**headers):
    """Return what a server says of a request to inspect."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": "/inspect",
        "raw_path": b"/inspect",
        "query_string": b"",
        "headers": named,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("toy", 80),
        "client": ("toy", 1),
        "root_path": "",
    }


def test_more_than_may_wait_are_refused_before_they_are_read(stationed):
    slow = Slow()
    station = stationed(slow, queue=1)
    slow.may_go.clear()

    async def too_many(client):
        await until(lambda: station.in_flight == 2)
        answer = await asyncio.to_thread(refused_unread, station)
        others = [await client.get(path) for path in ("/v2/health/ready", "/metrics")]
        slow.may_go.set()
        return answer, others

    first, second, (third, others) = together(station, sent(PNG), sent(PNG), too_many)
    assert (first.status_code, second.status_code) == (200, 200)
    status, headers, sentence = third
    assert status == 503
    assert "At most 2 requests" in sentence
    assert int(headers["retry-after"]) >= 1
    assert [answer.status_code for answer in others] == [200, 200]
    assert "inspection_requests 2.0" in others[1].text
    assert 'inspection_refused_total{reason="full"} 1.0' in station.telemetry.text().decode()
    assert station.in_flight == 0


def test_a_service_that_stops_takes_nothing_and_says_so(stationed):
    station = stationed(Slow())
    station.is_draining = True

    async def ready(client):
        return await client.get("/v2/health/ready")

    async def live(client):
        return await client.get("/v2/health/live")

    answers = together(station, ready, live)
    assert [answer.status_code for answer in answers] == [503, 200]
    assert refused_unread(station)[0] == 503


def test_what_says_that_it_is_too_large_is_not_read(stationed):
    station = stationed(Slow(), max_mib=0.001)
    status, _, sentence = refused_unread(station, content_length="1049")
    assert status == 413
    assert "at most 1048 bytes" in sentence


def test_what_turns_out_too_large_is_not_read_to_its_end(stationed):
    station = stationed(Slow(), max_mib=0.001)
    taken = []

    async def chunks():
        for _ in range(1000):
            taken.append(100)
            yield bytes(100)

    (answer,) = together(station, sent(chunks()))
    assert answer.status_code == 413
    assert station.in_flight == 0


def test_a_token_is_asked_for_but_not_by_health(stationed):
    station = stationed(Slow())

    async def health(client):
        return await client.get("/v2/health/live")

    async def metrics(client):
        return await client.get("/metrics")

    async def head(client):
        return await client.head("/v2/health/live")

    right = sent(PNG, authorization="bearer abc")
    wrong = sent(PNG, authorization="Bearer abd")
    answers = together(station, right, wrong, sent(PNG), metrics, health, head, token="abc")
    assert [answer.status_code for answer in answers] == [200, 401, 401, 401, 200, 200]
    assert answers[1].headers["www-authenticate"] == "Bearer"


# In the queue


def test_what_waited_too_long_is_told_so_and_never_runs(stationed):
    slow = Slow()
    station = stationed(slow, deadline_ms=300)
    slow.may_go.clear()

    async def late(client):
        await until(slow.has_begun.is_set)
        return await client.post("/inspect", content=png(b"late"))

    async def release(client):
        await asyncio.sleep(0.6)
        slow.may_go.set()

    first, second, _ = together(station, sent(PNG), late, release)
    assert first.status_code == 200  # it had begun
    assert second.status_code == 504
    assert "longer than 300 ms" in second.json()["error"]
    assert slow.calls == [[PNG]]


def test_the_time_of_an_upload_is_none_of_waiting(stationed):
    async def slowly():
        for place in range(0, len(PNG), 16):
            await asyncio.sleep(0.1)
            yield PNG[place : place + 16]

    (answer,) = together(stationed(Slow(), deadline_ms=200), sent(slowly()))
    assert answer.status_code == 200


def test_names_of_a_part_are_checked_before_an_image_is_inspected(stationed):
    slow = Slow()
    body, kind = service_process.form(("image", "a", PNG), ("image", "a", PNG))
    (answer,) = together(stationed(slow), sent(body, "/inspect/part", content_type=kind))
    assert answer.status_code == 400
    assert slow.calls == []


def test_sinks_are_told_of_each_image_and_of_the_part(stationed):
    station, told = stationed(Slow()), []
    station.sinks = types.SimpleNamespace(put=lambda *all_: told.extend(all_), close=lambda: None)
    body, kind = service_process.form(("image", "a", PNG), ("image", "b", PNG))
    together(station, sent(body, "/inspect/part", content_type=kind))
    assert [set(one) >= {"verdicts", "failures"} for one in told] == [False, False, True]


def test_a_client_that_has_gone_is_dropped(stationed):
    slow = Slow()
    station = stationed(slow)
    slow.may_go.clear()

    async def gone(client):
        await until(slow.has_begun.is_set)
        messages = iter(
            [
                {"type": "http.request", "body": png(b"gone"), "more_body": False},
                {"type": "http.disconnect"},
            ]
        )

        async def receive():
            return next(messages)

        async def send(message):
            pass

        await web.build(station)(scope(), receive, send)
        slow.may_go.set()

    first, _ = together(station, sent(PNG), gone)
    assert first.status_code == 200
    together(station, sent(png(b"after")))
    assert slow.calls == [[PNG], [png(b"after")]]
    assert station.in_flight == 0


def test_each_gets_its_own_answer(stationed):
    station = stationed(Slow(batch=4), queue=100)
    images = [png(b"x" * number) for number in range(60)]
    answers = together(station, *map(sent, images))
    assert [answer.json()["score"] for answer in answers] == [len(one) / 1e4 for one in images]


def test_a_batch_is_gathered_of_what_waits_and_one_failure_costs_the_others_nothing(stationed):
    slow = Slow(batch=4)
    station = stationed(slow)
    slow.may_go.clear()

    async def release(client):
        await until(lambda: station.in_flight == 5)
        await asyncio.sleep(0.1)
        slow.may_go.set()

    names = [b"first", b"a", b"broken", b"b", b"c"]

    async def one_after_the_other(client):
        tasks = []
        for name in names:
            tasks.append(asyncio.ensure_future(client.post("/inspect", content=png(name))))
            await asyncio.sleep(0.05)
        return await asyncio.gather(*tasks)

    answers, _ = together(station, one_after_the_other, release)
    assert [answer.status_code for answer in answers] == [200, 200, 500, 200, 200]
    sizes = [len(call) for call in slow.calls]
    assert sizes[0] == 1
    assert sizes[1] == 4  # together, and then each by itself
    assert sum(sizes[2:]) == 4


def test_jobs_of_two_inspectors_are_not_run_in_one_call():
    first, second = Slow(batch=8), Slow(batch=8)
    owner = Owner()
    first.may_go.clear()
    soon = time.monotonic() + 60
    order = (first, first, second, first)
    jobs = [Job(one, bytes([place]), {}, soon) for place, one in enumerate(order)]
    for job in jobs:
        owner.submit(job)
    first.may_go.set()
    owner.close()
    assert [job.future.result().verdict.score for job in jobs] == [1e-4] * 4
    assert [len(call) for call in second.calls] == [1]


def test_a_job_that_is_late_says_so_and_one_that_was_cancelled_does_not_run():
    slow = Slow()
    slow.may_go.clear()
    owner = Owner()
    soon = time.monotonic() + 60
    running = Job(slow, b"running", {}, soon)
    late, cancelled = Job(slow, b"late", {}, time.monotonic() - 1), Job(slow, b"no", {}, soon)
    for job in (running, late, cancelled):
        owner.submit(job)
    assert cancelled.future.cancel()
    slow.may_go.set()
    owner.close()
    assert running.future.result().queue_ms >= 0
    with pytest.raises(TooLateError):
        late.future.result()
    assert slow.calls == [[b"running"]]


# What is told


def test_no_decision_is_never_ok_and_tells_nothing_of_the_inside(stationed):
    station = stationed(Slow())
    nan, broken, unreadable = together(
        station, sent(png(b"nan")), sent(png(b"broken")), sent(png(b"unreadable"))
    )
    assert (nan.status_code, broken.status_code, unreadable.status_code) == (500, 500, 422)
    assert nan.json() == {
        "error": "No decision: the map is not finite. Leave the part to a person."
    }
    assert "secret" not in broken.text
    assert broken.json()["error"].startswith("No decision")
    body, kind = service_process.form(("image", "a", PNG), ("image", "b", png(b"nan")))
    (part,) = together(station, sent(body, "/inspect/part", content_type=kind))
    assert part.json()["outcome"] == "REVIEW"
    assert set(part.json()["failures"]) == {"b"}


MALFORMED = [
    ("/inspect", {"content_type": "text/plain"}, b"x", 415),
    ("/inspect", {"content_type": "multipart/form-data"}, b"x", 400),
    ("/inspect", {"content_type": "multipart/form-data; boundary=b"}, b"x", 400),
    ("/inspect", {}, b"", 422),
    ("/inspect", {}, b"no picture", 422),
    ("/inspect?model=other", {}, PNG, 404),
    ("/v2/models/other/infer", {}, b"{}", 404),
    ("/v2/models/toy/infer", {}, b"", 400),
    ("/v2/models/toy/infer", {}, b"[]", 400),
    ("/v2/models/toy/infer", {}, b"{}", 400),
    ("/v2/models/toy/infer", {}, b'{"inputs": [NaN]}', 400),
    ("/v2/models/toy/infer", {}, b"[" * 100_000, 400),
    ("/v2/models/toy/infer", {"content_encoding": "gzip"}, b"{}", 415),
    ("/v2/models/toy/infer", {"inference_header_content_length": "9"}, b"{}", 400),
    ("/v2/models/toy/infer", {"inference_header_content_length": "-1"}, b"{}", 400),
    ("/v2/models/toy/infer", {"inference_header_content_length": "9" * 5000}, b"{}", 400),
    ("/inspect/", {}, PNG, 404),
    ("/v2/models/toy/versions/7/infer", {}, b"{}", 404),
    ("/nothing", {}, b"", 404),
    ("/metrics", {}, b"", 405),
]


@pytest.mark.parametrize(("path", "headers", "body", "status"), MALFORMED)
def test_what_is_wrong_is_told_in_one_sentence(stationed, path, headers, body, status):
    station = stationed(Slow())
    (answer,) = together(station, sent(body, path, **headers))
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert "Traceback" not in answer.text


def tensor(**changes):
    data = list(PNG)
    return {"name": "image", "datatype": "UINT8", "shape": [len(data)], "data": data, **changes}


TENSORS = [
    ([tensor(shape=[10**4000] * 100)], "of more than 4 axes"),
    ([tensor(shape=[10**10, 1])], "of more than 4 axes"),
    ([tensor(shape=[1] * 300_000)], "of more than 4 axes"),
    ([tensor(data=[[1], [2, 3]])], "cannot be read"),
    ([tensor(), tensor()], "twice"),
    ([tensor(name="other")], "takes"),
    ([tensor(name=7)], "without a name"),
    ([tensor(shape=[3])], "of shape"),
    ([tensor(shape=[-1])], "no list of numbers from 0"),
    ([tensor(shape=[True])], "no list of numbers from 0"),
    ([tensor(shape=[len(PNG), 1, 1, 1])], "no file and no image"),
    ([tensor(datatype="FP32")], "datatype"),
    ([tensor(datatype="BYTES")], "holds text alone"),
    ([tensor(data=[256] * len(PNG))], "whole number"),
    ([tensor(data=[1.5] * len(PNG))], "whole number"),
    ([tensor(data=[True] * len(PNG))], "whole number"),
    ([tensor(data=None)], "cannot be read"),
    ([tensor(parameters={"binary_data_size": 5})], "0 are left"),
    ([tensor(parameters=[])], "no object"),
    ([7], "no object"),
]


@pytest.mark.parametrize(("inputs", "said"), TENSORS)
def test_a_tensor_that_is_none_is_told(stationed, inputs, said):
    body = json.dumps({"inputs": inputs}).encode()
    (answer,) = together(stationed(Slow()), sent(body, "/v2/models/toy/infer"))
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_a_form_holds_what_it_may(stationed):
    def form(*parts):
        body, kind = service_process.form(*parts)
        return sent(body, content_type=kind)

    answers = together(
        stationed(Slow()),
        form(("image", "a", PNG), ("image", "b", PNG)),
        form(("template", "a", PNG)),
        form(("image", "a", PNG), ("other", "", b"1")),
        form(("image", "a", PNG), ("metadata", "", b"[1]")),
        form(("image", "a", PNG), ("metadata", "", b'{"a": NaN}')),
        form(("image", "a", PNG), ("metadata", "", b'{"a": "%s"}' % (b"x" * 70_000))),
        form(("image", "a", PNG), ("metadata", "", b'{"lot": "7"}')),
    )
    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 400, 400, 200]
    assert answers[-1].json()["metadata"] == {"lot": "7"}


def test_a_form_that_stops_before_its_end_is_refused(stationed):
    body, kind = service_process.form(("image", "a", PNG))
    (answer,) = together(stationed(Slow()), sent(body[:-8], content_type=kind))
    assert answer.status_code == 400
    assert "stops before its end" in answer.json()["error"]
