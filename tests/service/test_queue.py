"""What waits for the networks: each gets its own answer, and what is late or gone never runs."""

import asyncio
import threading
import time
import types

import pytest
import service_process
from toy_station import PNG, Slow, png, scope, sent, together, until

from inspection_tf.service import web
from inspection_tf.service.owner import Job, Owner, TooLateError


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


def test_what_is_late_before_it_was_decoded_never_is(stationed):
    may_load, begun = threading.Event(), []

    class SlowToLoad(Slow):
        def load_image(self, image, template=None):
            begun.append(image)
            assert may_load.wait(30)
            return super().load_image(image, template)

    slow = SlowToLoad()
    station = stationed(slow, deadline_ms=200)
    images = [png(name) for name in (b"a", b"b", b"c")]
    answers = together(station, *map(sent, images))
    assert [answer.status_code for answer in answers] == [504] * 3
    may_load.set()
    station.close()
    assert len(begun) == 2  # as many as there are loaders
    assert slow.calls == []


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
