"""Who may come in is asked before a byte of the body is read."""

import asyncio
import json

from toy_station import PNG, Slow, scope, sent, together, until

from inspection_tf.service import web


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
