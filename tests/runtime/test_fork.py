"""A child of a fork works to its end, or says in a sentence that it does not."""

import gc
import os
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest

from inspection_tf import runtime
from inspection_tf.engines import native, tensorrt_engine

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")

_BEGIN = """
import os
import sys

import numpy as np

from inspection_tf import errors, runtime


def fork(work):
    child = os.fork()
    if child == 0:
        work()
        sys.exit(0)  # and not os._exit: what is inherited is let go of
    print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

"""
_INSPECTOR = """
root, threads = sys.argv[1], int(sys.argv[2])
inspector = runtime.Inspector.load(root, threads=threads)
paths = [f"{root}/golden/{number}.png" for number in range(2)]
expected = [inspector.inspect(path).score for path in paths]
"""


_QUIET = ("CI", "ORT_DISABLE_TELEMETRY")  # with which onnxruntime tells nothing by itself


def ran(code, *words):
    # A child that hangs is what must not be: it takes the parent along.
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _BEGIN + code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={key: value for key, value in os.environ.items() if key not in _QUIET},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("threads", [1, 4])
def test_an_inspector_that_was_loaded_before_the_fork_works_in_the_child(toy_bundle, threads):
    code = """
def child():
    assert [inspector.inspect(path).score for path in paths] == expected
    assert [verdict.score for verdict in inspector.inspect_many(paths)] == expected
    fork(lambda: print("grandchild", inspector.inspect(paths[0]).score == expected[0], flush=True))

fork(child)
assert [inspector.inspect(path).score for path in paths] == expected  # the parent goes on
"""
    said = ran(_INSPECTOR + code, toy_bundle, threads)
    assert said.split("\n")[:3] == ["grandchild True", "child ended with 0", "child ended with 0"]


def test_a_child_that_never_inspects_ends(toy_bundle):
    code = "fork(lambda: None)\nfork(lambda: sys.exit(3))"
    said = ran(_INSPECTOR + code, toy_bundle, 4)
    assert said == "child ended with 0\nchild ended with 3\n"


def test_verdicts_that_the_parent_has_asked_for_are_refused_in_the_child(toy_bundle):
    code = """
verdicts = inspector.inspect_many(paths * 4)
first = next(verdicts).score

def child():
    try:
        next(verdicts)
    except errors.ConfigError as problem:
        print(problem, flush=True)

fork(child)
fork(lambda: None)  # nor does it wait for the threads of the parent at its end
assert [first, *(verdict.score for verdict in verdicts)] == expected * 4
"""
    said = ran(_INSPECTOR + code, toy_bundle, 2).splitlines()
    assert "Call inspect_many again after the fork" in said[0]
    assert said[1:] == ["child ended with 0"] * 2


_ENGINE = """
from pathlib import Path
image = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 1), np.uint8)
expected = engine.run(image)

def child():
    import threading

    found = []
    threads = [threading.Thread(target=lambda: found.append(engine.run(image))) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(all((one == expected).all() for one in found), len(found), flush=True)

fork(child)
fork(lambda: None)
assert (engine.run(image) == expected).all()
"""
_WORKED = "True 3\nchild ended with 0\nchild ended with 0\n"


@pytest.mark.parametrize("threads", [1, 4])
def test_openvino_works_in_the_child(toy_bundle, threads):
    pytest.importorskip("openvino")
    begin = (
        "from inspection_tf.engines.openvino_engine import OpenVinoEngine\n"
        "model = open(sys.argv[1], 'rb').read()\n"
        "engine = OpenVinoEngine(model, threads=int(sys.argv[2]))\n"
    )
    assert ran(begin + _ENGINE, toy_bundle / "model.onnx", threads) == _WORKED


def test_litert_works_in_the_child(toy_model, tmp_path):
    pytest.importorskip("ai_edge_litert")
    import tensorflow

    toy_model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    (tmp_path / "toy.tflite").write_bytes(converter.convert())
    begin = (
        "from inspection_tf.engines.litert_engine import LiteRtEngine\n"
        "engine = LiteRtEngine(open(sys.argv[1], 'rb').read(), threads=4)\n"
    )
    shape = _ENGINE.replace("(3, 64, 64, 1)", "(1, 64, 64, 1)")
    assert ran(begin + shape, tmp_path / "toy.tflite") == _WORKED


def test_what_cannot_work_after_a_fork_says_so():
    code = """
from inspection_tf.engines.native import Native

class Context:
    def __del__(self):
        if os.getpid() != parent:
            print("freed in the child", flush=True)

parent = os.getpid()
on_gpu = Native(Context, survives_fork=False)
assert on_gpu.get() is on_gpu.get()

def child():
    try:
        on_gpu.get()
    except errors.ConfigError as problem:
        print(problem, flush=True)

fork(child)
assert on_gpu.get()
"""
    said = ran(code)
    assert "Load the inspector after the fork" in said
    assert said.endswith("\nchild ended with 0\n")
    assert "freed" not in said


def test_a_network_on_another_device_than_the_processor_does_not_survive(toy_bundle, monkeypatch):
    made = []

    class Recorded(native.Native):
        def __init__(self, build, *, survives_fork=True):
            made.append(survives_fork)
            super().__init__(build, survives_fork=survives_fork)

    monkeypatch.setattr("inspection_tf.engines.onnxruntime_engine.Native", Recorded)
    model = (toy_bundle / "model.onnx").read_bytes()
    runtime.Engine(model)
    runtime.Engine(model, providers=("CPUExecutionProvider",))
    monkeypatch.setattr(
        "inspection_tf.engines.onnxruntime_engine.start",
        lambda *_given, **_options: SimpleNamespace(
            get_providers=lambda: ["CUDA"], get_outputs=list
        ),
    )
    runtime.Engine(model, providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    assert made == [True, True, False]


@pytest.mark.parametrize("survives_fork", [True, False])
def test_the_bytes_of_a_network_are_kept_only_where_a_child_may_need_them(survives_fork):
    class Model:
        layers = 6

    def started():
        model = Model()
        return native.Native(lambda: model.layers, survives_fork=survives_fork), weakref.ref(model)

    network, model = started()
    gc.collect()
    assert network.get() == 6
    assert (model() is not None) == survives_fork


def test_the_memory_of_a_gpu_is_not_given_back_by_a_child(monkeypatch):
    freed = []
    cuda = SimpleNamespace(cudaFree=freed.append, cudaStreamDestroy=freed.append)
    tensorrt_engine.release(cuda, {"image": (5, 10)}, 7, os.getpid() + 1)
    assert freed == []
    tensorrt_engine.release(cuda, {"image": (5, 10)}, 7, os.getpid())
    assert freed == [5, 7]


def test_nothing_tells_over_the_network_that_it_is_used(toy_bundle):
    # What would, starts threads with the import, and a child waits for them forever at its end.
    code = """
import onnxruntime
print(os.environ["ORT_DISABLE_TELEMETRY"])
fork(lambda: None)
"""
    assert ran(code) == "1\nchild ended with 0\n"
