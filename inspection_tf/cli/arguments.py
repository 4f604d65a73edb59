"""The words of the command line: what tyro makes of each, and what it calls it in `--help`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro

from inspection_tf import config, errors

Bundle = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
RunOrBundle = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|BUNDLE")]
Root = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ROOT]")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
Scan = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCAN")]
Paths = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...")]
FurtherBundles = Annotated[
    tuple[Path, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="BUNDLE")
]
Metadata = Annotated[
    tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")
]
Costs = Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="ESCAPE OVERKILL")]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]

PATHS = tyro.constructors.ConstructorRegistry()
"""How tyro reads a path, while it is entered as a context."""


@PATHS.primitive_rule
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


def parse_metadata(words: Iterable[str]) -> dict[str, str]:
    """Return what `--metadata NAME=VALUE` says, each of them once.

    Raises:
        errors.ConfigError: a word has no name or no `=`, or a name comes twice.
    """
    metadata: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise errors.ConfigError(
                f"metadata must be NAME=VALUE. Got {word!r}. Write for example camera=left."
            )
        if name in metadata:
            raise errors.ConfigError(
                f"Each name of the metadata must come once. Got {name} twice. Leave one out."
            )
        metadata[name] = value
    return metadata
