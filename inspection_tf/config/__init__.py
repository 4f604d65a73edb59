"""Sections of configuration: frozen, strict, kept in YAML, each field on the command line."""

from inspection_tf.config import help_texts
from inspection_tf.config.command_line import NOTATION, from_command_line
from inspection_tf.config.paths import (
    absolute,
    expanded,
    map_paths,
    paths_of,
    with_absolute_paths,
)
from inspection_tf.config.section import (
    Section,
    in_a_sentence,
    load,
    replace,
    to_yaml,
    validate,
)
from inspection_tf.config.tagged import TaggedSection

__all__ = [
    "NOTATION",
    "Section",
    "TaggedSection",
    "absolute",
    "expanded",
    "from_command_line",
    "help_texts",
    "in_a_sentence",
    "load",
    "map_paths",
    "paths_of",
    "replace",
    "to_yaml",
    "validate",
    "with_absolute_paths",
]
