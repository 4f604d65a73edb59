import keras
import numpy as np
import pytest

from inspection_tf import errors, runtime
from inspection_tf.export import onnx
from inspection_tf.models import unet

SIZE = (32, 48)  # height and width differ, so that a swap would show


@pytest.fixture(autouse=True)
def float32_policy():
    yield
    keras.config.set_dtype_policy("float32")


def build(policy="float32", **options):
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    model = unet.build(image_size=SIZE, filters=(4, 8), **options)
    keras.config.set_dtype_policy("float32")
    # Weights as after a training: biases and moving statistics that are not 0 and 1.
    rng = np.random.default_rng(2)
    model.set_weights([w + rng.uniform(0.0, 0.1, w.shape) for w in model.get_weights()])
    return model


def images(count, channels=1):
    return np.random.default_rng(3).integers(0, 256, (count, *SIZE, channels), np.uint8)


def keras_output(model, batch):
    return np.array(model({"image": batch}, training=False)["probability"])


@pytest.fixture(scope="module")
def plain():
    model = build()
    return model, onnx.convert(model)


def test_the_file_says_names_types_opset_and_batch(plain):
    library = pytest.importorskip("onnx")
    proto = library.load_from_string(plain[1])
    (given,), (returned,) = proto.graph.input, proto.graph.output
    assert (given.name, returned.name) == ("image", "probability")
    types = [value.type.tensor_type for value in (given, returned)]
    assert [t.elem_type for t in types] == [library.TensorProto.UINT8, library.TensorProto.FLOAT]
    shapes = [[d.dim_param or d.dim_value for d in t.shape.dim] for t in types]
    assert shapes == [["batch", 32, 48, 1], ["batch", 32, 48, 1]]
    assert {entry.domain: entry.version for entry in proto.opset_import}[""] >= 17


def test_equal_models_give_equal_files(plain):
    assert onnx.convert(build()) == plain[1]


def test_metadata_is_added_replaced_and_does_not_change_the_network(plain):
    _, data = plain
    once = onnx.set_metadata(data, {"a": "1", "b": "2"})
    twice = onnx.set_metadata(once, {"b": "ä"})
    engine = runtime.Engine(twice, threads=1)
    found = engine.session.get_modelmeta().custom_metadata_map
    assert {name: found[name] for name in ("a", "b")} == {"a": "1", "b": "ä"}
    np.testing.assert_array_equal(
        engine.run(images(1)), runtime.Engine(data, threads=1).run(images(1))
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization": "batch", "dropout": 0.5, "channels": 3},
        {"normalization": "batch", "policy": "mixed_float16", "upsampling": "bilinear"},
        {"normalization": "group", "working_stride": 4, "residual": True, "upsampling": "nearest"},
    ],
    ids=["plain", "dropout", "mixed", "strided"],
)
def test_the_export_computes_what_the_model_computes_at_any_batch(options, plain):
    model, data = plain if not options else (build(**options), None)
    engine = runtime.Engine(data or onnx.convert(model), threads=1)
    batch = images(3, options.get("channels", 1))
    expected = keras_output(onnx.rebuild_float32(model), batch)
    assert expected.std() > 1e-3  # not saturated: a comparison that could fail
    found = engine.run(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(engine.run(batch[1:2]), expected[1:2], atol=1e-5)


def test_the_float32_twin_has_the_weights_of_a_mixed_model():
    mixed = build(policy="mixed_float16", normalization="batch", dropout=0.5)
    twin = onnx.rebuild_float32(mixed)
    assert onnx.is_float32(twin)
    assert not onnx.is_float32(mixed)
    for before, after in zip(mixed.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    # float16 has 11 bits: about 1e-3 of a value, times a few layers.
    np.testing.assert_allclose(
        keras_output(twin, images(2)), keras_output(mixed, images(2)), atol=0.02
    )


def test_the_twin_does_not_share_weights_with_the_model():
    model = build()
    twin = onnx.rebuild_float32(model)
    twin.set_weights([0 * w for w in twin.get_weights()])
    assert any(w.any() for w in model.get_weights())


def layered(head, *, size=(16, 16, 1), dtype="uint8", name="image", output="probability"):
    image = keras.Input(size, dtype=dtype, name=name)
    x = head(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model({name: image}, {output: keras.layers.Identity(name=output)(x)})


def same(x):
    return x


def functional_list():
    image = keras.Input((16, 16, 1), dtype="uint8", name="image")
    return keras.Model(image, keras.layers.Rescaling(1 / 255)(image))


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: layered(same, name="picture"), "must map {'image': ...}"),
        (lambda: layered(same, output="mask"), "Got .*'mask'"),
        (functional_list, "must map"),
        (lambda: layered(same, dtype="float32"), "must be uint8"),
        (lambda: layered(same, size=(None, None, 1)), "of fixed size"),
        (lambda: keras.Sequential([keras.layers.Rescaling(1 / 255)]), "must map"),
    ],
)
def test_a_model_with_another_contract_is_refused(model, match):
    with pytest.raises(errors.BundleError, match=match) as caught:
        onnx.convert(model())
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "head",
    [
        lambda x: keras.layers.Resizing(16, 16, antialias=True)(x),
        lambda x: keras.layers.Lambda(lambda y: y + 1)(x),
    ],
    ids=["antialias", "lambda"],
)
def test_a_layer_that_cannot_be_exported_is_a_bundle_error(head):
    with pytest.raises(errors.BundleError):
        onnx.convert(layered(head))


def test_weights_that_are_not_finite_are_refused():
    model = build()
    weights = model.get_weights()
    weights[0][:] = np.nan
    model.set_weights(weights)
    with pytest.raises(errors.BundleError, match="must run at batch 1 with finite output"):
        onnx.convert(model)
