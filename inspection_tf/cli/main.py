"""The console script `inspection`: what a deployment team does with a bundle, and synthetic sets.

stdout carries results only; everything else goes to stderr. Exit codes: see `errors`.
"""

from collections.abc import Callable

import tyro

from inspection_tf import config, errors, process
from inspection_tf.cli.arguments import PATHS
from inspection_tf.cli.commands import (
    bench,
    convert,
    evaluate,
    predict,
    report,
    serve,
    threshold,
    tiles,
    unseal,
    verify,
)
from inspection_tf.cli.commands.datasets import collect, markers, synthesize

COMMANDS: dict[str, Callable[..., int]] = {
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "verify": verify.verify,
    "bench": bench.bench,
    "convert": convert.convert,
    "threshold": threshold.threshold,
    "tiles": tiles.tiles,
    "unseal": unseal.unseal,
    "serve": serve.serve,
    "report": report.report,
    "collect": collect.collect,
    "synthesize": synthesize.synthesize,
    "markers": markers.markers,
}


def main(arguments: list[str] | None = None) -> int:
    """Run `inspection`; returns the exit code.

    Args:
        arguments: words after the program's name; `sys.argv` by default.
    """

    def body() -> int:
        import pydantic

        config.help_texts.restore()
        try:
            with PATHS:
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
