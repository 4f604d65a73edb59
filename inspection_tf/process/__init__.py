"""What a process promises: exit codes, results on stdout, all else on stderr, and no surprise."""

from inspection_tf.process.ending import Terminated, exit_code_of, run, set_up_logging

__all__ = ["Terminated", "exit_code_of", "run", "set_up_logging"]
