"""The command line, one file a command."""

from inspection_tf.cli.main import COMMANDS, main

__all__ = ["COMMANDS", "main"]
