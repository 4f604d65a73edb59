import backbone_checks as checks
import pytest

from inspection_tf import errors
from inspection_tf.models import backbones
from inspection_tf.models.backbones import parts

# A block from which fine-tuning may begin, the layer before it, and its first layer.
BLOCKS = {
    "vgg10": ("block3", "block2_pool", "block3_conv1"),
    "vgg16_talk": ("block5", "block4_pool", "block5_conv1"),
    "vgg16": ("block5", "block4_pool", "block5_conv1"),
    "resnet18": ("conv4_block1", "conv3_block2_relu", "conv4_block1_conv1"),
    "mobilenet": ("separable7", "separable6_pointwise_relu", "separable7_depthwise"),
    "cnn": ("conv4", "conv3_pool", "conv4"),
    "keras_vgg16": ("block5", "block4_pool", "block5_conv1"),
    "keras_vgg19": ("block5", "block4_pool", "block5_conv1"),
    "keras_resnet50": ("conv5", "conv4_block6_out", "conv5_block1_1_conv"),
    "keras_mobilenet": ("conv_dw_12", "conv_pad_12", "conv_dw_12"),
    "keras_mobilenet_v2": ("block_13", "block_12_add", "block_13_expand"),
    "keras_efficientnet_b0": ("block6", "block5c_add", "block6a_expand_conv"),
    "keras_xception": ("block13", "add_11", "block13_sepconv1_act"),
    "keras_inception_v3": ("mixed8", "max_pooling2d_4", "mixed8"),
}


def build(name, **options):
    """A backbone of its deepest feature."""
    deepest = backbones.available_strides(backbones.Options(name=name))[-1]
    return checks.build(name, side=64, strides=(deepest,), **options)


def test_every_backbone_has_a_block_to_begin_with():
    assert BLOCKS.keys() == backbones.BACKBONES.keys()


@checks.each(BLOCKS)
def test_a_block_begins_after_all_that_it_reads(name):
    block, before, first = BLOCKS[name]
    backbone = build(name)
    earlier = [layer.name for layer in parts.layers_before(backbone, block)]
    assert earlier[-1] == before
    assert backbone.layers[len(earlier)].name == first
    # No layer of the block itself, such as the convolution of its shortcut, lies before it.
    assert [layer for layer in earlier if layer.startswith(f"{block}_")] == []


@checks.each(BLOCKS)
def test_each_block_that_is_named_can_be_begun_with(name):
    backbone = build(name)
    names = parts.block_names(backbone)
    begins = [len(parts.layers_before(backbone, block)) for block in names]
    assert begins == sorted(set(begins))


def test_blocks_are_named_from_the_image_on():
    assert parts.block_names(build("resnet18")) == ("conv1", "conv2", "conv3", "conv4", "conv5")
    assert parts.block_names(build("vgg10")) == ("block1", "block2", "block3", "block4")


def test_a_number_is_given_whole():
    # separable1 is also the beginning of separable10_depthwise to separable13_pointwise.
    earlier = parts.layers_before(build("mobilenet"), "separable1")
    assert [layer.name for layer in earlier[1:]] == ["conv1", "conv1_norm", "conv1_relu"]


def test_a_single_layer_can_be_begun_with():
    earlier = parts.layers_before(build("vgg10"), "block4_conv2")
    assert earlier[-1].name == "block4_conv1_relu"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("vgg10", "block9"),
        ("vgg10", ""),
        ("vgg10", "block"),  # the number is missing
        ("mobilenet", "conv"),
        ("keras_mobilenet", "conv_pw"),  # of every block
    ],
)
def test_a_part_that_is_none_is_refused_with_those_there_are(name, part):
    with pytest.raises(errors.ConfigError, match=rf"Got '{part}'\. Choose one of .*1, .*2, "):
        parts.layers_before(build(name), part)


@pytest.mark.slow
def test_layers_that_keras_alone_numbers_are_no_block():
    backbone = build("keras_xception")
    assert "conv2d" not in "".join(parts.block_names(backbone))
    with pytest.raises(errors.ConfigError, match="Got 'conv2d'"):
        parts.layers_before(backbone, "conv2d")
    assert parts.layers_before(backbone, "conv2d_4")[-1].name == "block13_sepconv2_bn"
