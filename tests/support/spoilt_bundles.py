"""Ways to spoil a bundle: by accident, and on purpose."""

import json
import os

import numpy as np
import onnx as library
import spoilt_networks

from inspection_tf import files
from inspection_tf.bundle import listed_files

ENGINE = {
    "kind": "openvino",
    "precision": "float32",
    "files": {"segmenter": "engines/own/segmenter.xml"},
    "state": "passed",
}


class Bundle:
    """A toy bundle that is being spoilt, beside a folder `outside` with a canary in it."""

    def __init__(self, root, outside):
        self.root, self.outside = root, outside
        self.canary = outside / "canary.npy"

    def text(self, text):
        (self.root / "manifest.json").write_bytes(
            text if isinstance(text, bytes) else text.encode()
        )

    def values(self):
        return json.loads((self.root / "manifest.json").read_text())

    def change(self, **changes):
        self.text(json.dumps(self.values() | changes))

    def listed(self, name, digest="0" * 64):
        values = self.values()
        values["files"][name] = digest
        self.text(json.dumps(values))

    def write(self, name, data=b"payload"):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def seal(self, **changes):
        """Make hashes fit what lies there: whoever wrote it knew of them."""
        values = self.values() | changes
        values["files"] = {
            path.relative_to(self.root).as_posix(): files.sha256(path)
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "manifest.json"
        }
        self.text(json.dumps(values))

    def model(self, change, name="model.onnx"):
        proto = library.load(self.root / name)
        change(proto)
        (self.root / name).write_bytes(proto.SerializeToString())
        self.seal()

    def golden(self, **changes):
        path = self.root / "golden" / "expected.json"
        samples = json.loads(path.read_text())
        samples[0] |= changes
        path.write_text(json.dumps(samples))
        self.seal()

    def engine(self, **changes):
        entry = {**ENGINE, **changes}
        self.write("engines/own/segmenter.xml", b"<net/>")
        self.write("engines/own/segmenter.bin")
        self.seal(engines={"own": entry})


def _sized(bundle, side):
    (item,) = bundle.values()["inputs"]
    return [{**item, "preprocessing": {**item["preprocessing"], "size": [side, side]}}]


def _link(name, target=None):
    def spoil(bundle):
        path = bundle.root / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target or bundle.canary)

    return spoil


def _hard_link(bundle):
    path = bundle.root / "golden" / "0.npy"
    path.unlink()
    os.link(bundle.canary, path)
    bundle.seal()


def _object_array(bundle):
    class Payload:
        def __reduce__(self):
            return (exec, ("open('/tmp/inspection_tf_payload', 'w')",))

    np.save(bundle.root / "golden" / "0.npy", np.array([Payload()], object), allow_pickle=True)
    bundle.seal()


def _lying_array(bundle):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    bundle.write("golden/0.npy", data)
    bundle.seal()


def _image_bomb(bundle):
    import struct
    import zlib

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body))
            + kind
            + body
            + struct.pack(">I", zlib.crc32(kind + body) & 0xFFFFFFFF)
        )

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999))
    bundle.write("golden/0.png", data + chunk(b"IEND", b""))
    bundle.seal()


def _twice(name):
    def spoil(bundle):
        text = json.dumps(bundle.values())
        value = json.dumps(bundle.values()[name])
        bundle.text(text[:-1] + f', "{name}": {value}}}')

    return spoil


def _sparse_file(bundle):
    with (bundle.root / "model.onnx").open("r+b") as stream:
        stream.truncate(listed_files.MAX_FILE_BYTES + 1)


def _other_engine(bundle):
    bundle.write("engines/other/segmenter.xml", b"<net/>")
    bundle.write("engines/other/segmenter.bin")
    bundle.engine(files={"segmenter": "engines/other/segmenter.xml"})


def _entities(bundle):
    bundle.engine()
    text = b'<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/hostname">]><net>&a;</net>'
    bundle.write("engines/own/segmenter.xml", text)
    bundle.seal()


def _without_weights(bundle):
    bundle.engine()
    (bundle.root / "engines/own/segmenter.bin").unlink()
    bundle.seal()


def _engine_of_onnx(change):
    def spoil(bundle):
        proto = library.load(bundle.root / "model.onnx")
        change(proto)
        bundle.write("engines/own/segmenter.onnx", proto.SerializeToString())
        entry = {
            **ENGINE,
            "kind": "onnxruntime",
            "files": {"segmenter": "engines/own/segmenter.onnx"},
        }
        bundle.seal(engines={"own": entry})

    return spoil


def _extra(name, *, is_sealed=False, data=b"payload"):
    def spoil(bundle):
        bundle.write(name, data)
        if is_sealed:
            bundle.seal()

    return spoil


def _bytes(data, name="model.onnx"):
    def spoil(bundle):
        bundle.write(name, data)
        bundle.seal()

    return spoil


def _listed(name):
    return lambda bundle: bundle.listed(name)


def _changed(**changes):
    return lambda bundle: bundle.change(**changes)


def _text(text):
    return lambda bundle: bundle.text(text)


def _truncated(bundle):
    data = (bundle.root / "model.onnx").read_bytes()
    bundle.write("model.onnx", data[: len(data) // 2])
    bundle.seal()


SPOILT = {
    # the manifest
    "no manifest": lambda b: (b.root / "manifest.json").unlink(),
    "manifest is a folder": lambda b: (
        (b.root / "manifest.json").unlink(),
        (b.root / "manifest.json").mkdir(),
    ),
    "manifest is a link": _link("manifest.json"),
    "empty manifest": _text(b""),
    "binary manifest": _text(b"\x80\x04\x95payload"),
    "a list": _text("[]"),
    "a string": _text('"manifest"'),
    "wide letters": lambda b: b.text(json.dumps(b.values()).encode("utf-16")),
    "nesting in wide letters": lambda b: b.text(
        ('{"schema_version": 1, "\u2200": ' + "[" * 200 + "]" * 200 + "}").encode("utf-16-le")
    ),
    "cut off": lambda b: b.text(json.dumps(b.values())[:-20]),
    "nesting of lists": _text('{"schema_version": 1, "a": ' + "[" * 90000),
    "nesting of objects": _text('{"schema_version": 1, "a": ' + '{"a":' * 90000),
    "nesting within limits of size": _text('{"a": ' + "[" * 41 + "]" * 41 + "}"),
    "size bomb": lambda b: b.text(b" " * (listed_files.MAX_MANIFEST_BYTES + 1)),
    "a number of 5000 digits": _text('{"schema_version": ' + "9" * 5000 + "}"),
    "files twice": _twice("files"),
    "schema twice": _twice("schema_version"),
    "newer schema": _changed(schema_version=10**6),
    "schema is a string": _changed(schema_version="1"),
    "schema is true": _changed(schema_version=True),
    "schema is 0": _changed(schema_version=0),
    "unknown field": _changed(plugin="payload"),
    "unknown task": _changed(task="shell"),
    "no graphs": _changed(graphs=[]),
    "two graphs": lambda b: b.change(graphs=b.values()["graphs"] * 2),
    "graph elsewhere": lambda b: b.change(
        graphs=[{**b.values()["graphs"][0], "file": "../outside/canary.npy"}]
    ),
    "graph at an absolute path": lambda b: b.change(
        graphs=[{**b.values()["graphs"][0], "file": str(b.canary)}]
    ),
    "graph is no ONNX": lambda b: b.change(
        graphs=[{**b.values()["graphs"][0], "file": "golden/0.png"}]
    ),
    "images that fill the memory": lambda b: b.change(inputs=_sized(b, 100_000)),
    "too many files": lambda b: b.change(files={f"{n}.md": "0" for n in range(10_001)}),
    # files
    "another hash": _listed("model.onnx"),
    "a missing file": _listed("absent.md"),
    "an extra file": _extra("README.md"),
    "a hidden file": _extra(".profile"),
    "an extra folder": _extra("more/README.md"),
    "a file of a user's site": _extra("sitecustomize.py"),
    "a folder with a manifest": _extra("inner/manifest.json"),
    "absolute path": lambda b: b.listed(str(b.canary)),
    "parent path": _listed("../outside/canary.npy"),
    "parent path inside": _listed("golden/../../outside/canary.npy"),
    "backslashes": _listed("..\\outside\\canary.npy"),
    "drive": _listed("C:canary.npy"),
    "second spelling": _listed("./model.onnx"),
    "double slash": _listed("golden//0.npy"),
    "new line in a name": _listed("model\n.onnx"),
    "empty name": _listed(""),
    "names that differ by case": _listed("MODEL.onnx"),
    "pickle": _extra("payload.pkl", is_sealed=True),
    "h5": _extra("weights.h5", is_sealed=True),
    "shared library": _extra("custom_op.so", is_sealed=True),
    "script": _extra("run.sh", is_sealed=True),
    "python": _extra("golden/payload.py", is_sealed=True),
    "no type": _extra("payload", is_sealed=True),
    "link to a file": _link("golden/0.npy"),
    "link to the right file": lambda b: (
        (b.root / "model.onnx").rename(b.outside / "model.onnx"),
        (b.root / "model.onnx").symlink_to(b.outside / "model.onnx"),
    ),
    "link to a folder": _link("more", target="../outside"),
    "link to itself": _link("golden/loop.npy", target="loop.npy"),
    "link to nothing": _link("golden/gone.npy", target="/nowhere/at/all"),
    "hard link": _hard_link,
    "pipe": lambda b: os.mkfifo(b.root / "golden" / "pipe.npy"),
    "a file of 2 GiB": _sparse_file,
    "folders in folders": lambda b: (b.root / "/".join("a" * 20)).mkdir(parents=True),
    # networks
    "external data": lambda b: b.model(spoilt_networks.external),
    "external data by a flag": lambda b: b.model(spoilt_networks.external_flag),
    "external data of a constant": lambda b: b.model(spoilt_networks.external_constant),
    "external data in a branch": lambda b: b.model(spoilt_networks.external_in_branch),
    "external sparse data": lambda b: b.model(spoilt_networks.external_sparse),
    "external data in a function": lambda b: b.model(spoilt_networks.external_in_function),
    "foreign operator": lambda b: b.model(spoilt_networks.foreign_operator),
    "foreign opset": lambda b: b.model(spoilt_networks.foreign_import),
    "foreign function": lambda b: b.model(spoilt_networks.foreign_function),
    "foreign operator in a branch": lambda b: b.model(spoilt_networks.foreign_in_branch),
    "nested graphs": lambda b: b.model(spoilt_networks.nested_graphs),
    "half a network": _truncated,
    "empty network": _bytes(b""),
    "pickled network": _bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os."),
    "endless number": _bytes(b"\xff" * 64),
    "field beyond the end": _bytes(b"\x3a\xff\xff\xff\x7f"),
    "unknown wire type": _bytes(b"\x3f\x00"),
    "onnxruntime's own format": lambda b: b.model(spoilt_networks.marked),
    # golden samples
    "pickled array": _object_array,
    "array that lies about its size": _lying_array,
    "image bomb": _image_bomb,
    "golden sample elsewhere": lambda b: b.golden(output="../outside/canary.npy"),
    "golden sample at an absolute path": lambda b: b.golden(output=str(b.canary)),
    "golden image elsewhere": lambda b: b.golden(image="../outside/canary.npy"),
    "golden samples are none": _bytes(b"[]", "golden/expected.json"),
    "golden samples are deep": _bytes(b"[" * 41 + b"]" * 41, "golden/expected.json"),
    "golden samples are a bomb": _bytes(b" " * (16 * 2**20) + b"[]", "golden/expected.json"),
    "golden samples say it twice": _bytes(b'[{"id": 1, "id": 2}]', "golden/expected.json"),
    "golden score beyond any number": lambda b: b.golden(score=10**400),
    "golden samples are no JSON": _bytes(b"payload", "golden/expected.json"),
    # engines
    "engine in another folder": lambda b: b.engine(files={"segmenter": "model.onnx"}),
    "engine elsewhere": lambda b: b.engine(files={"segmenter": "engines/own/../../../outside/x"}),
    "engine at an absolute path": lambda b: b.engine(files={"segmenter": str(b.canary)}),
    "engine of another engine": _other_engine,
    "engine without its graph": lambda b: b.engine(files={}),
    "engine of an unknown kind": lambda b: b.engine(kind="shell"),
    "engine of an unknown state": lambda b: b.engine(state="trusted"),
    "engine that nobody declared": _extra("engines/own/segmenter.xml", is_sealed=True),
    "engine with a pickle": lambda b: (b.engine(), b.write("engines/own/x.pkl"), b.seal()),
    "engine with a library": lambda b: (b.engine(), b.write("engines/own/x.so"), b.seal()),
    "engine that writes elsewhere": lambda b: b.engine(options={"CACHE_DIR": str(b.outside)}),
    "engine called onnx": lambda b: b.seal(engines={"onnx": ENGINE}),
    "engine called by a path": lambda b: b.seal(engines={"../own": ENGINE}),
    "engine with entities": _entities,
    "engine without weights": _without_weights,
    "engine of another type of file": lambda b: b.engine(kind="onnxruntime"),
    "engine with external data": _engine_of_onnx(spoilt_networks.external),
    "engine with foreign operators": _engine_of_onnx(spoilt_networks.foreign_operator),
    "golden sample of an engine elsewhere": lambda b: b.engine(
        golden=[{"outcome": "OK", "score": 0.1, "output": "../outside/canary.npy"}]
    ),
    "file directly under engines": _extra("engines/payload.xml", is_sealed=True),
}
