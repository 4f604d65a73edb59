"""The registry of what a bundle can be converted to."""

import pytest

from inspection_tf import cli, errors
from inspection_tf.conversion import request, targets


@pytest.mark.parametrize("target", targets.TARGETS.values(), ids=lambda target: target.name)
def test_every_target_has_a_builder_and_options_that_there_are(target):
    builder = request.load_builder(target)
    assert callable(builder.build)
    assert callable(builder.start)
    assert set(target.options) <= set(request.ConvertSpec.model_fields) - {"gate"}


def test_every_option_is_heeded_by_some_target():
    heeded = {option for target in targets.TARGETS.values() for option in target.options}
    assert heeded == set(request.ConvertSpec.model_fields) - {"gate"}


def test_an_unknown_target_is_answered_with_those_there_are():
    with pytest.raises(errors.ConfigError, match=r"must be one of openvino, .*Got 'cuda'"):
        targets.find("cuda")


def test_help_names_the_targets_and_which_option_is_for_which(capsys):
    with pytest.raises(SystemExit):
        cli.main(["convert", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in targets.TARGETS:
        assert f"{name} (" in text
    assert "triton: an engine of the bundle that it serves" in text
    assert "tensorrt, tftrt: fp32, fp16 or" in text
