"""What a process promises: exit codes, results on stdout, all else on stderr, and no surprise."""

from inspection_tf.process.console import (
    complain,
    is_terminal,
    is_unheard,
    say,
    set_up_logging,
    show_table,
    steady,
)
from inspection_tf.process.ending import Terminated, exit_code_of, report, run
from inspection_tf.process.packages import installed_versions
from inspection_tf.process.progress import Progress, bar
from inspection_tf.process.text import cell, escaped, json_line, markdown, printable

__all__ = [
    "Progress",
    "Terminated",
    "bar",
    "cell",
    "complain",
    "escaped",
    "exit_code_of",
    "installed_versions",
    "is_terminal",
    "is_unheard",
    "json_line",
    "markdown",
    "printable",
    "report",
    "run",
    "say",
    "set_up_logging",
    "show_table",
    "steady",
]
