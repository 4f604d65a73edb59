"""Whatever is sent, the service answers with a status that it documents, and is never wrong."""

import asyncio
import json
import os
import subprocess
import sys
import types

import cv2
import httpx
import numpy as np
import pytest
import service_process
from service_process import KEPT, form

from inspection_tf import errors, images, runtime, service
from inspection_tf.service import web
from inspection_tf.service.models import Place, Served

BUNDLE = KEPT / "schema_4_segmentation"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
SUFFIXES = (".png", ".jpg", ".bmp", ".tif", ".webp")


@pytest.fixture(scope="module")
def station():
    inspector = runtime.Inspector.load(BUNDLE, threads=1, check_golden=False)
    served = Served("toy", "1", BUNDLE, inspector, Place("toy", BUNDLE))
    models = types.SimpleNamespace(all=lambda: {"toy": served})
    found = service.Station(models, service.ServiceSpec(max_mib=1, queue=1000))
    yield found
    found.close()


def mutated(rng):
    """Return an image file, spoilt in one of several ways, or not."""
    pixels = rng.integers(0, 256, (64, 64), np.uint8)
    data = bytearray(cv2.imencode(SUFFIXES[rng.integers(len(SUFFIXES))], pixels)[1].tobytes())
    kind = rng.integers(6)
    if kind == 1:
        del data[rng.integers(1, len(data)) :]
    elif kind == 2:
        for _ in range(rng.integers(1, 9)):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif kind == 3:
        place = rng.integers(min(len(data), 64))  # in the header
        data[place : place + 4] = rng.bytes(4)
    elif kind == 4:
        data[rng.integers(len(data)) :] = rng.bytes(rng.integers(1, 200))
    elif kind == 5:
        data = bytearray(rng.bytes(rng.integers(0, 200)))
    return bytes(data)


def body_of(rng):
    """Return path, headers, body, and the image that they hold; None where the request is none."""
    image = mutated(rng)
    way = rng.integers(5)
    if way == 0:
        return "/inspect", {}, image, image
    if way == 1:
        body, kind = form(("image", "a.png", image))
        return "/inspect", {"content-type": kind}, body, image
    if way == 2:
        body, kind = form(("image", "a.png", image), ("metadata", "", b'{"a": "b"}'))
        place = rng.integers(len(body))
        return "/inspect", {"content-type": kind}, body[:place] + rng.bytes(2) + body[place:], None
    head = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [len(image)]}]}
    head["inputs"][0]["parameters"] = {"binary_data_size": len(image)}
    text = json.dumps(head).encode()
    headers = {"inference-header-content-length": str(len(text))}
    if way == 3:
        return "/v2/models/toy/infer", headers, text + image, image
    spoilt = bytearray(text)
    spoilt[rng.integers(len(spoilt))] = rng.integers(256)
    return "/v2/models/toy/infer", headers, bytes(spoilt) + image, None


def is_image(data):
    """Whether the bundle can read it."""
    try:
        image = images.read(data)
    except errors.ImageError:
        return False
    return image.shape[:2] == (64, 64)


def fuzz(station, count, *, seed):
    """Send requests; returns what was wrong, and how many were decided."""
    rng = np.random.default_rng(seed)

    async def run():
        transport = httpx.ASGITransport(web.build(station), raise_app_exceptions=False)
        wrong, decided = [], 0
        async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
            for _ in range(count):
                path, headers, body, image = body_of(rng)
                answer = await asyncio.wait_for(
                    client.post(path, content=body, headers=headers), timeout=60
                )
                decided += answer.status_code == 200
                if answer.status_code not in (200, 400, 413, 415, 422) or (
                    image is not None and (answer.status_code == 200) != is_image(image)
                ):
                    wrong.append((path, headers, body, answer.status_code, answer.text))
        return wrong, decided

    return asyncio.run(run())


def test_what_is_spoilt_is_never_decided(station):
    count = int(os.environ.get("INSPECTION_FUZZ", "500"))
    wrong, decided = fuzz(station, count, seed=1)
    assert wrong == []
    assert decided > count / 20


@pytest.mark.slow
def test_every_status_is_documented(tmp_path):
    pytest.importorskip("schemathesis")
    options = {"queue": 100, "upload_s": 2, "labels": tmp_path / "labels"}
    with service_process.serving(f"line={BUNDLE}", **options) as service_:
        words = ["run", f"http://127.0.0.1:{service_.port}/openapi.json", "--max-examples", "25"]
        words += ["--checks", ",".join(CHECKS), "--seed", "1", "--request-timeout", "20"]
        found = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,  # where it writes what it remembers
        )
        assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
        assert service_.json("GET", "/v2/health/ready") == {"ready": True}
