"""Work that is done once, or fails, here or in another process."""

import dataclasses
import os
import signal

from inspection_tf import errors

DONE = []


@dataclasses.dataclass(frozen=True)
class Doubling:
    number: int

    @property
    def key(self):
        return bytes([self.number])

    def done(self):
        DONE.append(self.number)
        return 2 * self.number

    def size_of(self, result):
        return 10


@dataclasses.dataclass(frozen=True)
class Failing(Doubling):
    kills: bool = False

    def done(self):
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        raise errors.DataError("What a job needs. Got none. Give it.")
