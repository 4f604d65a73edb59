"""A station whose model waits until it may go on, and a client of its application."""

import asyncio
import struct
import threading
import time
import types
import zlib

import cv2
import httpx
import numpy as np

from inspection_tf import decision, errors
from inspection_tf.decision.results import Regions
from inspection_tf.service import web


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
