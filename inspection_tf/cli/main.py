"""The console script `inspection`: what a deployment team does with a bundle, and synthetic sets.

stdout carries results only; everything else goes to stderr. Exit codes: see `errors`.
"""

from collections.abc import Callable
from pathlib import Path

import tyro

from inspection_tf import config, errors, process
from inspection_tf.cli.commands import (
    bench,
    convert,
    evaluate,
    markers,
    predict,
    synthesize,
    threshold,
    tiles,
    verify,
)

COMMANDS: dict[str, Callable[..., int]] = {
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "verify": verify.verify,
    "bench": bench.bench,
    "convert": convert.convert,
    "threshold": threshold.threshold,
    "tiles": tiles.tiles,
    "synthesize": synthesize.synthesize,
    "markers": markers.markers,
}

_PATHS = tyro.constructors.ConstructorRegistry()


@_PATHS.primitive_rule
def _path(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Path] | None:
    """Read a path whose `~` no shell has expanded, as in `--out=~/verdicts`."""
    if info.type is not Path:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: config.expanded(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )


def main(arguments: list[str] | None = None) -> int:
    """Run `inspection`; returns the exit code.

    Args:
        arguments: words after the program's name; `sys.argv` by default.
    """

    def body() -> int:
        import pydantic

        config.help_texts.restore()
        try:
            with _PATHS:
                return int(
                    tyro.extras.subcommand_cli_from_dict(
                        COMMANDS,
                        prog="inspection",
                        description=f"Inspect images with a bundle. {config.NOTATION}",
                        args=arguments,
                    )
                )
        except pydantic.ValidationError as problem:  # sections check their own fields
            raise errors.ConfigError(config.in_a_sentence(problem)) from None

    return process.run(body)
