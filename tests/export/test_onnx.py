import keras
import numpy as np
import pytest

from inspection_tf import errors, runtime
from inspection_tf.export import onnx
from inspection_tf.models import classifier, segmenter, unet

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
    return trained(model)


def trained(model):
    """Give a model weights as after a training: biases and statistics that are not 0 and 1."""
    rng = np.random.default_rng(2)
    model.set_weights([w + rng.uniform(0.0, 0.1, w.shape) for w in model.get_weights()])
    return model


VGG = {"name": "vgg10", "strides": (1, 2)}
# Few channels: the weights of `trained` stay within what a softmax can tell apart.
PAIRS = {
    "segmenter": lambda: segmenter.build(
        image_size=SIZE,
        classes=2,
        template=True,
        backbone=VGG,
        decoder_filters=(4,),
        upsampling="bilinear_aligned",
        context=True,
    ),
    "classifier": lambda: classifier.build(
        image_size=SIZE, classes=3, template=True, backbone=VGG, input_shrink=2
    ),
    "unet": lambda: unet.build(image_size=SIZE, filters=(4, 8), classes=2, template=True),
}
every_pair = pytest.mark.parametrize("name", PAIRS)


def build_pair(name, policy="float32"):
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    model = PAIRS[name]()
    keras.config.set_dtype_policy("float32")
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


@every_pair
def test_the_file_of_a_pair_names_both_images_and_each_feeds_a_cast(name):
    library = pytest.importorskip("onnx")
    proto = library.load_from_string(onnx.convert(build_pair(name)))
    assert [value.name for value in proto.graph.input] == ["image", "template"]
    (returned,) = proto.graph.output
    found = [d.dim_param or d.dim_value for d in returned.type.tensor_type.shape.dim]
    if name == "classifier":
        assert (returned.name, found) == ("class_probability", ["batch", 3])
    else:
        assert (returned.name, found) == ("probability", ["batch", 32, 48, 2])
    # TensorRT takes uint8 into a Cast and nothing else.
    for value in proto.graph.input:
        readers = [node.op_type for node in proto.graph.node if value.name in node.input]
        assert readers == ["Cast"]


@every_pair
def test_the_export_of_a_pair_computes_what_the_model_computes(name):
    model = build_pair(name)
    image, template = images(3), images(3)[::-1].copy()
    engine = runtime.Engine(onnx.convert(model), threads=1)
    inputs = {"image": image, "template": template}
    (expected,) = (np.asarray(value) for value in model(inputs, training=False).values())
    assert expected.std() > 1e-4
    np.testing.assert_allclose(engine.run(image, template), expected, atol=1e-5)
    # The images are not interchangeable: a swap would show.
    assert np.abs(engine.run(template, image) - expected).max() > 1e-4


def test_equal_models_give_equal_files(plain):
    assert onnx.convert(build()) == plain[1]


@every_pair
def test_equal_models_with_a_backbone_give_equal_files(name):
    assert onnx.convert(build_pair(name)) == onnx.convert(build_pair(name))


def test_names_do_not_tell_which_of_equal_constants_was_kept():
    helper = pytest.importorskip("onnx").helper

    def graph(kept):
        nodes = [
            helper.make_node("Add", ["image", kept], [f"sum__{len(kept)}"], name="first"),
            helper.make_node("Add", [f"sum__{len(kept)}", kept], ["probability"], name="second"),
        ]
        values = [helper.make_tensor(kept, 1, [1], [0.5])]
        ends = [helper.make_tensor_value_info(v, 1, [1]) for v in ("image", "probability")]
        proto = helper.make_model(helper.make_graph(nodes, "any", ends[:1], ends[1:], values))
        onnx._name_in_order(proto, "name", ["image", "probability"])
        return proto

    proto = graph("one/epsilon")
    assert proto == graph("other_layer/epsilon__12")
    assert [list(node.input) for node in proto.graph.node] == [
        ["image", "first:input1"],
        ["sum", "first:input1"],
    ]


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


@pytest.mark.parametrize("name", ["segmenter", "classifier"])
def test_nested_models_are_rebuilt_in_float32_with_their_weights(name):
    mixed = trained(build_pair(name, policy="mixed_float16"))
    backbone = mixed.get_layer("backbone")
    # Names tell which weights belong together, not the order of the graph.
    for value in backbone.weights:
        value.assign(np.full(value.shape, len(value.path)))
    for layer in mixed.layers:
        if layer is not backbone:
            layer.dtype_policy = "float32"
    assert not onnx.is_float32(mixed)  # the backbone's layers alone are not
    keras.config.set_dtype_policy("mixed_float16")  # the session's policy does not matter
    twin = onnx.rebuild_float32(mixed)
    assert onnx.is_float32(twin)
    for before, after in zip(mixed.weights, twin.weights, strict=True):
        assert before.path == after.path
        np.testing.assert_array_equal(before, after)


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


def two_inputs(name, *, size=(16, 16, 1), dtype="uint8"):
    image = keras.Input((16, 16, 1), dtype="uint8", name="image")
    second = keras.Input(size, dtype=dtype, name=name)
    x, y = (keras.layers.Rescaling(1 / 255)(value) for value in (image, second))
    x = keras.layers.Add(name="probability")([x, y])
    return keras.Model({"image": image, name: second}, {"probability": x})


def two_outputs(*names):
    image = keras.Input((16, 16, 1), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    outputs = {name: keras.layers.Identity(name=name)(x) for name in names}
    return keras.Model({"image": image}, outputs)


def functional_list():
    image = keras.Input((16, 16, 1), dtype="uint8", name="image")
    return keras.Model(image, keras.layers.Rescaling(1 / 255)(image))


def test_a_number_that_scales_and_counts_elsewhere_too_keeps_its_axes():
    # tf2onnx writes 2 once: as the scale of the image, and as the factor of a vector.
    image = keras.Input((4, 6, 1), dtype="uint8", name="image")
    x = keras.layers.Rescaling(2.0)(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    doubled = keras.layers.Rescaling(2.0, name="class_probability")(x)
    model = keras.Model({"image": image}, {"class_probability": doubled})
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 1), dtype=np.uint8)
    found = runtime.Engine(onnx.convert(model)).run(pixels)
    assert found.shape == (3, 1)
    np.testing.assert_allclose(found[:, 0], 4 * pixels.mean(axis=(1, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: layered(same, name="picture"), "must map {'image': ...}"),
        (lambda: layered(same, output="mask"), "Got .*'mask'"),
        (functional_list, "must map"),
        (lambda: layered(same, dtype="float32"), "must be uint8"),
        (lambda: layered(same, size=(None, None, 1)), "of fixed size"),
        (lambda: two_inputs("reference"), "with or without 'template'.* Got .*'reference'"),
        (lambda: two_inputs("template", dtype="float32"), "input template must be uint8"),
        (lambda: two_inputs("template", size=(None, None, 1)), "input template .* of fixed size"),
        (lambda: layered(same, name="template"), "must map"),
        (lambda: two_outputs("probability", "classes"), "Got .*'classes'"),
        (lambda: two_outputs("probability", "corners"), "or to several of one task. Got"),
        (
            lambda: two_outputs("probability", "class_probability"),
            r"output class_probability must be \(batch, classes\)",
        ),
        (lambda: layered(same, output="class_probability"), r"must be \(batch, classes\)"),
        (
            lambda: layered(keras.layers.GlobalMaxPooling2D()),
            r"must be \(batch, height, width, classes\)",
        ),
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
