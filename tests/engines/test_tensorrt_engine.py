"""The TensorRT engine on a stand-in for TensorRT and CUDA, in this machine's own memory."""

import ctypes
import gc
import sys
import types

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.conversion.builders import tensorrt_plan
from inspection_tf.engines import tensorrt_engine
from inspection_tf.engines.tensorrt_engine import TensorRtEngine

SIDE = 4


class Cuda(types.ModuleType):
    """CUDA's calls return a code first; device memory is memory."""

    def __init__(self):
        super().__init__("cuda.bindings.runtime")
        self.held = {}
        self.failing, self.code = "", 700
        self.destroyed = []
        self.cudaDeviceAttr = types.SimpleNamespace(
            cudaDevAttrComputeCapabilityMajor=8, cudaDevAttrComputeCapabilityMinor=6
        )
        self.cudaMemcpyKind = types.SimpleNamespace(
            cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2
        )

    def __getattr__(self, name):
        if not name.startswith("cuda"):
            raise AttributeError(name)
        return lambda *given: self._call(name, *given)

    def _call(self, name, *given):
        if name == self.failing:
            return (self.code,)
        if name == "cudaDeviceGetAttribute":
            return 0, given[0]
        if name == "cudaStreamCreate":
            return 0, 7
        if name == "cudaMalloc":
            buffer = ctypes.create_string_buffer(given[0])
            self.held[ctypes.addressof(buffer)] = buffer
            return 0, ctypes.addressof(buffer)
        if name == "cudaFree":
            del self.held[given[0]]
        if name == "cudaStreamDestroy":
            self.destroyed.append(given[0])
        if name == "cudaMemcpyAsync":
            ctypes.memmove(given[0], given[1], given[2])
        return (0,)


class Context:
    """Doubles each pixel; an output beside that adds one to it. Takes up to four images."""

    def __init__(self):
        self.shapes, self.addresses, self.is_broken = {}, {}, False

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)
        return shape[0] <= 4

    def get_tensor_shape(self, _name):
        return self.shapes["image"]

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        assert stream == 7
        shape = self.shapes["image"]
        given = (ctypes.c_uint8 * int(np.prod(shape))).from_address(self.addresses["image"])
        made = np.frombuffer(given, np.uint8).astype(np.float32) * 2
        for name, address in self.addresses.items():
            if name != "image":
                output = made if name == "probability" else made + np.float32(1)
                ctypes.memmove(address, output.ctypes.data, output.nbytes)
        return not self.is_broken


@pytest.fixture
def stand_in(monkeypatch):
    cuda, context = Cuda(), Context()
    names = ["image", "probability"]
    plan = types.SimpleNamespace(
        num_io_tensors=2,
        get_tensor_name=lambda place: names[place],
        get_tensor_mode=lambda name: "in" if name == "image" else "out",
        create_execution_context=lambda: context,
    )
    trt = types.ModuleType("tensorrt")
    trt.TensorIOMode = types.SimpleNamespace(INPUT="in", OUTPUT="out")
    trt.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    trt.Runtime = lambda _logger: types.SimpleNamespace(
        deserialize_cuda_engine=lambda data: plan if data == b"plan" else None
    )
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
    return types.SimpleNamespace(cuda=cuda, context=context, plan=plan, names=names)


def batch(count):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


def test_images_go_to_the_gpu_and_the_output_comes_back(stand_in):
    engine = TensorRtEngine(b"plan", module="tensorrt")
    for count in (1, 4, 2):
        output = engine.run(batch(count))
        assert output.dtype == np.float32
        np.testing.assert_array_equal(output, batch(count) * np.float32(2))
    assert len(stand_in.cuda.held) == 2  # one buffer each, which grew


def test_outputs_come_back_by_name_in_the_order_of_the_manifest(stand_in):
    stand_in.names.insert(0, "evidence")  # TensorRT's order is its own
    stand_in.plan.num_io_tensors = 3
    engine = TensorRtEngine(b"plan", module="tensorrt", outputs=("probability", "evidence"))
    expected = batch(2) * np.float32(2)
    first, second = engine.run_all(batch(2))
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, expected + 1)
    np.testing.assert_array_equal(engine.run(batch(2)), expected)
    # What the manifest does not list has room on the GPU, and stays there.
    one = TensorRtEngine(b"plan", module="tensorrt", outputs=("evidence",))
    (alone,) = one.run_all(batch(2))
    np.testing.assert_array_equal(alone, expected + 1)
    with pytest.raises(errors.BundleError, match=r"have the outputs x\. Got evidence, probability"):
        TensorRtEngine(b"plan", module="tensorrt", outputs=("x",))


def test_a_batch_beyond_the_profile_is_refused(stand_in):
    engine = TensorRtEngine(b"plan", module="tensorrt")
    with pytest.raises(errors.BundleError, match="within the profile"):
        engine.run(batch(5))


def test_a_failure_of_the_gpu_is_a_sentence(stand_in):
    engine = TensorRtEngine(b"plan", module="tensorrt")
    stand_in.context.is_broken = True
    with pytest.raises(errors.BundleError, match="able to run the network"):
        engine.run(batch(1))
    stand_in.context.is_broken = False
    stand_in.cuda.failing = "cudaMemcpyAsync"
    with pytest.raises(errors.BundleError, match="Got 700 from cudaMemcpyAsync"):
        engine.run(batch(1))


def test_too_little_memory_of_the_gpu_is_another_exit_code(stand_in, monkeypatch):
    engine = TensorRtEngine(b"plan", module="tensorrt")
    stand_in.cuda.failing, stand_in.cuda.code = "cudaMalloc", 2
    with pytest.raises(errors.StorageError, match="Got 2 from cudaMalloc"):
        engine.run(batch(1))
    stand_in.cuda.failing = ""
    np.testing.assert_array_equal(engine.run(batch(1)), batch(1) * np.float32(2))
    monkeypatch.setattr(stand_in.plan, "create_execution_context", lambda: None)
    with pytest.raises(errors.StorageError, match="fit into the GPU's memory"):
        TensorRtEngine(b"plan", module="tensorrt")


def test_an_engine_that_is_gone_has_given_back_what_it_held(stand_in):
    engine = TensorRtEngine(b"plan", module="tensorrt")
    engine.run(batch(3))
    assert (len(stand_in.cuda.held), stand_in.cuda.destroyed) == (2, [])
    del engine
    gc.collect()
    assert (stand_in.cuda.held, stand_in.cuda.destroyed) == ({}, [7])


def test_a_plan_of_another_version_is_refused(stand_in):
    with pytest.raises(errors.BundleError, match="Build the engine on this machine"):
        TensorRtEngine(b"another", module="tensorrt")


def test_what_is_not_installed_is_named(stand_in, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(errors.BundleError, match="pip install cuda-python"):
        TensorRtEngine(b"plan", module="tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(errors.BundleError, match="pip install tensorrt"):
        TensorRtEngine(b"plan", module="tensorrt")


def test_the_gpu_says_what_plans_it_runs(stand_in, monkeypatch):
    assert tensorrt_engine.capability() == "8.6"
    stand_in.cuda.failing = "cudaDeviceGetAttribute"
    assert tensorrt_engine.capability() is None
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    assert tensorrt_engine.capability() is None


def test_a_tensorrt_that_knows_no_other_gpu_says_so(monkeypatch):
    config, trt = types.SimpleNamespace(), types.SimpleNamespace()
    monkeypatch.setattr(tensorrt_engine, "capability", lambda: "9.0")
    assert tensorrt_plan.set_target(trt, config, "") == "SM90"
    assert tensorrt_plan.set_target(trt, config, "9.0") == "SM90"
    with pytest.raises(errors.ConfigError, match=r"GPU alone \(9\.0\)\. Got '8\.6'"):
        tensorrt_plan.set_target(trt, config, "8.6")
    monkeypatch.setattr(tensorrt_engine, "capability", lambda: None)
    assert tensorrt_plan.set_target(trt, config, "") == "the GPU that built it"


def test_a_tensorrt_that_cannot_be_imported_is_left_out(monkeypatch, tmp_path, caplog):
    for name, text in (("broken_trt", "raise ImportError('libnvinfer.so')"), ("other_trt", "")):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tensorrt_plan, "MODULES", ("absent_trt", "broken_trt", "other_trt"))
    assert tensorrt_plan.installed_module() == "other_trt"
    assert "broken_trt is left out: libnvinfer.so" in caplog.text
    monkeypatch.setattr(tensorrt_plan, "MODULES", ("absent_trt", "broken_trt"))
    assert tensorrt_plan.installed_module() is None


def test_plans_are_for_the_gpu_that_is_there_unless_another_is_asked_for(monkeypatch, caplog):
    set_up = []
    config = types.SimpleNamespace(
        set_compute_capability=lambda kind, _place: set_up.append(kind), num_compute_capabilities=0
    )
    trt = types.SimpleNamespace(ComputeCapability=types.SimpleNamespace(SM86="a", SM89="b"))
    # TensorRT-RTX has no plans for 9.0: the default is that without a GPU.
    for present, expected in (("8.6", "SM86"), (None, "SM89"), ("9.0", "SM89")):
        monkeypatch.setattr(tensorrt_engine, "capability", lambda present=present: present)
        assert tensorrt_plan.set_target(trt, config, "") == expected
    assert "no plans for this machine's GPU (9.0): this one is for 8.9" in caplog.text
    assert tensorrt_plan.set_target(trt, config, "8.6") == "SM86"
    with pytest.raises(errors.ConfigError, match=r"must be one of 8\.6, 8\.9\. Got '9\.0'"):
        tensorrt_plan.set_target(trt, config, "9.0")
    assert set_up == ["a", "b", "b", "a"]
