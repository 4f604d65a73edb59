"""What a person says of a result is on the disk before the service says so, or refused."""

import asyncio
import errno
import json
import os
import types
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import service_process
from service_process import KEPT

from inspection_tf import errors, images, runtime, service, tasks
from inspection_tf.datasets.readers import formats
from inspection_tf.datasets.writers.collect import collect
from inspection_tf.service import web
from inspection_tf.service.models import Place, Served

BUNDLES = {
    "segmentation": "schema_4_segmentation",
    "cascade": "schema_4_cascade",
    "fields": "schema_4_fields",
    "classification": "schema_5_classification",
    "pose": "schema_5_pose",
}
SEGMENTATION = KEPT / BUNDLES["segmentation"]


def pictures(name="segmentation"):
    return sorted((KEPT / BUNDLES[name] / "golden").glob("*.png"))


@pytest.fixture(scope="module")
def models():
    found = {
        name: Served(
            name, "1", KEPT / folder,
            runtime.Inspector.load(KEPT / folder, threads=1, check_golden=False),
            Place(name, KEPT / folder),
        )
        for name, folder in BUNDLES.items()
    }  # fmt: skip
    return types.SimpleNamespace(all=lambda: found)


@pytest.fixture
def station(models, tmp_path):
    found = service.Station(models, service.ServiceSpec(labels=tmp_path / "labels", upload_s=0.5))
    yield found
    found.close()


def talk(station, conversation):
    """Have a conversation with a client of a station; returns what it returns."""

    async def run():
        transport = httpx.ASGITransport(web.build(station), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
            return await conversation(client)

    return asyncio.run(run())


async def inspected(client, picture=None, model="segmentation"):
    data = (picture or pictures(model)[0]).read_bytes()
    answer = await client.post(f"/inspect?model={model}", content=data)
    assert answer.status_code == 200
    return answer.json()


def corrected(station, body, *, path=None, **options):
    """Inspect an image and send a body about it; returns the verdict and the answer."""

    async def conversation(client):
        verdict = await inspected(client, **options)
        answer = await client.post(path or f"/results/{verdict['id']}/label", content=body)
        return verdict, answer

    return talk(station, conversation)


def lines(station):
    path = station.spec.labels / "labels.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def about(label, note=""):
    return json.dumps({"label": label, "note": note})


def test_image_mask_and_verdict_are_kept_with_what_was_said(station):
    verdict, answer = corrected(station, about("NG", "ü\n"))
    assert answer.status_code == 200
    (line,) = lines(station)
    assert answer.json().items() <= line.items()
    assert (line["label"], line["note"], line["id"]) == ("NG", "ü\n", verdict["id"])
    assert (line["model"], line["version"], line["label_kind"]) == ("segmentation", "1", "masks")
    same = verdict.keys() - {"queue_ms", "links", "id", "model", "version"}
    assert {name: line[name] for name in same} == {name: verdict[name] for name in same}
    assert line["image"] == f"images/{verdict['image_sha256']}.png"
    kept = images.read(station.spec.labels / line["image"])
    np.testing.assert_array_equal(kept, images.read(pictures()[0]))
    mask = images.read(station.spec.labels / line["mask"])
    inspector = station.models.all()["segmentation"].inspector
    np.testing.assert_array_equal(mask > 0, inspector.inspect(pictures()[0]).mask())
    assert line["time"].endswith("+00:00")


def test_16_bits_stay_16_bits(station):
    picture = pictures("pose")[0]
    assert images.read(picture).dtype == np.uint16
    corrected(station, about("OK"), picture=picture, model="pose")
    (line,) = lines(station)
    kept = cv2.imread(str(station.spec.labels / line["image"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(kept, images.read(picture))
    assert kept.dtype == np.uint16
    assert line["mask"] is None


@pytest.mark.parametrize("model", BUNDLES)
def test_what_any_task_found_is_collected_and_read_by_its_usual_reader(station, model, tmp_path):
    """Whatever it found: what is called OK is in the data set or to be labelled, never lost."""

    async def conversation(client):
        for picture in pictures(model)[:4]:
            verdict = await inspected(client, picture, model)
            label = "OK" if verdict["outcome"] == "OK" else "NG"
            answer = await client.post(f"/results/{verdict['id']}/label", content=about(label))
            assert answer.status_code == 200

    talk(station, conversation)
    found = collect([station.spec.labels], tmp_path / "out")
    total = len({line["image_sha256"] for line in lines(station)})
    assert found.ok + found.ng + found.wrong + found.unmarked == total
    manifest = station.models.all()[model].inspector.manifest
    kind = tasks.get(manifest.task).label_kind
    assert found.format == formats.usual(kind).name
    assert all(line["label_kind"] == kind for line in lines(station))


@pytest.mark.parametrize(
    "body",
    [
        "", "null", "[]", '"OK"', "{", "{}", '{"label": "ok"}', '{"label": "REVIEW"}',
        '{"label": null}', '{"label": ["OK"]}', '{"label": {"OK": 1}}', '{"label": NaN}',
        '{"label": "OK", "note": NaN}', '{"label": "OK", "note": 7}', '{"label": "OK", "more": 1}',
        '{"note": "OK"}', r'{"label": "OK", "note": "\ud800"}', b"\xff",
        json.dumps({"label": "OK", "note": "a" * 2001}), json.dumps({"label": "a" * 40_000}),
    ],
)  # fmt: skip
def test_what_is_no_correction_is_400_and_changes_nothing(station, body):
    _, answer = corrected(station, body)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert lines(station) == []
    assert list((station.spec.labels / "images").iterdir()) == []


def test_a_note_as_long_as_it_may_be_is_kept(station):
    note = "\U0001f600" * 2000  # twelve bytes of JSON each
    _, answer = corrected(station, about("region", note))
    assert answer.status_code == 200
    assert lines(station)[0]["note"] == note


def test_a_result_that_is_not_kept_any_more_is_404(station):
    _, answer = corrected(station, about("OK"), path="/results/none/label")
    assert answer.status_code == 404
    assert lines(station) == []
    station.results = type(station.results)(budget=70_000)  # one result, and no second one

    async def conversation(client):
        first = await inspected(client)
        await inspected(client, pictures()[1])
        return await client.post(f"/results/{first['id']}/label", content=about("OK"))

    assert talk(station, conversation).status_code == 404


def test_a_service_without_a_folder_says_so(models):
    station = service.Station(models, service.ServiceSpec())
    try:
        _, answer = corrected(station, about("OK"))
        assert answer.status_code == 409
        assert "--labels DIR" in answer.json()["error"]
        status = talk(station, lambda client: client.get("/status")).json()
        assert status["keeps_labels"] is False
    finally:
        station.close()


def test_corrections_at_once_are_whole_lines(station):
    async def conversation(client):
        verdicts = [await inspected(client, one) for one in pictures()]
        posts = [
            client.post(f"/results/{one['id']}/label", content=about("NG", f"{number} " * 500))
            for number in range(10)
            for one in verdicts
        ]
        return await asyncio.gather(*posts)

    answers = talk(station, conversation)
    assert {answer.status_code for answer in answers} == {200}
    found = lines(station)
    assert len(found) == len(answers) == 40
    assert {line["note"] for line in found} == {f"{number} " * 500 for number in range(10)}
    assert len(list((station.spec.labels / "images").iterdir())) == len(pictures())


@pytest.mark.parametrize("place", ["fsync", "write"])
def test_a_full_disk_is_said_and_costs_no_earlier_line(station, monkeypatch, place):
    corrected(station, about("OK"))
    before = (station.spec.labels / "labels.jsonl").read_bytes()

    opened = Path.open

    def full(file, mode="w", **named):
        if "r" in mode:
            return opened(file, mode, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if place == "fsync" else (Path, "open")), full)
        answers = []
        for picture in pictures()[:2]:  # one image is there already, one is not
            answers.append(corrected(station, about("NG"), picture=picture)[1])
    for answer in answers:
        assert answer.status_code == 409
        assert "a disk that takes none" in answer.json()["error"]
        assert str(station.spec.labels) not in answer.json()["error"]
    assert (station.spec.labels / "labels.jsonl").read_bytes() == before
    assert not [one for one in station.spec.labels.rglob("*") if one.name.endswith(".tmp")]
    assert corrected(station, about("NG"))[1].status_code == 200
    assert [line["label"] for line in lines(station)] == ["OK", "NG"]


def test_a_correction_that_does_not_arrive_is_408(station):
    async def conversation(client):
        verdict = await inspected(client)

        async def slowly():
            yield b'{"label": '
            await asyncio.sleep(30)

        return await client.post(f"/results/{verdict['id']}/label", content=slowly())

    assert talk(station, conversation).status_code == 408
    assert lines(station) == []


def test_a_folder_that_cannot_be_made_ends_the_start(tmp_path, models):
    (tmp_path / "file").touch()
    with pytest.raises(errors.StorageError, match="must be writable"):
        service.Station(models, service.ServiceSpec(labels=tmp_path / "file"))


def test_every_status_of_the_route_is_described(station):
    description = talk(station, lambda client: client.get("/openapi.json")).json()
    said = description["paths"]["/results/{identity}/label"]["post"]
    assert said["responses"].keys() == {"200", "400", "401", "404", "408", "409"}
    schema = said["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["OK", "NG", "region"]
    assert schema["properties"]["note"]["maxLength"] == 2000
    for path in ("/inspect", "/inspect/part"):
        assert "422" in description["paths"][path]["post"]["responses"]


def test_the_process_keeps_corrections_and_asks_for_its_token(tmp_path):
    token, labels = tmp_path / "token", tmp_path / "new" / "labels"
    token.write_text("abc\n")
    options = {"token_file": token, "labels": labels}
    with service_process.serving(f"line={SEGMENTATION}", **options) as found:
        key = {"Authorization": "Bearer abc"}
        verdict = found.json("POST", "/inspect", pictures()[0].read_bytes(), **key)
        path = f"/results/{verdict['id']}/label"
        assert found.ask("POST", path, about("OK"))[0] == 401
        assert found.ask("GET", path, **key)[0] == 405
        assert found.json("POST", path, about("OK"), **key)["label"] == "OK"
        assert found.json("GET", "/status", **key)["keeps_labels"] is True
        assert found.stop()[0] == 143
    (line,) = [json.loads(one) for one in (labels / "labels.jsonl").read_text().splitlines()]
    assert line["version"] == verdict["version"]
    assert line["image_sha256"] == verdict["image_sha256"]
