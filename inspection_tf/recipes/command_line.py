"""The command line of a recipe: its YAML, the fields on top of it, and the exit code."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from inspection_tf import config, process

SectionT = TypeVar("SectionT", bound=config.Section)


def launch(
    section: type[SectionT], body: Callable[[SectionT, Path | None], object], script: str
) -> int:
    """Run a recipe from the command line; returns the exit code.

    Args:
        section: the class of the configuration.
        body: the recipe's `run(cfg, out)`.
        script: its `__file__`; the YAML of the same name beside it holds the defaults.
    """
    path = Path(script)

    def command() -> int:
        config.help_texts.restore()
        settings, out = config.from_command_line(
            section,
            default_path=path.with_suffix(".yaml"),
            program=f"python -m pipelines.{path.stem}",
            description=(sys.modules["__main__"].__doc__ or "").split("\n")[0],
        )
        body(settings, out)
        return 0

    return process.run(command)
