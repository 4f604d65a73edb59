"""What native code builds to run a network, and the process that it belongs to.

The libraries that run networks start threads. A child of `os.fork()` inherits the memory of its
parent but none of these threads: to use there what the parent built may wait for them forever, and
so does freeing it, or it crashes. So a child never touches what it inherits. It leaks that on
purpose, and builds its own when it first needs one.
"""

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from inspection_tf import errors

Built = TypeVar("Built")


class Native(Generic[Built]):
    """Something of a native library, one for each process that uses it.

    It cannot be pickled or copied: another process loads its own.
    """

    def __init__(self, build: Callable[[], Built], *, survives_fork: bool = True) -> None:
        """Build it for this process.

        Args:
            build: makes it, from bytes that no one changes.
            survives_fork: whether the library works in a child of a process that has used it, so
                that the child may build its own.
        """
        # What is never built again need not keep the network's bytes.
        self._build = build if survives_fork else None
        self._lock = threading.Lock()
        self._built: Built | None = build()
        _OF_THIS_PROCESS.add(self)

    def get(self) -> Built:
        """Return it; the first call in a child of a fork builds it again.

        Raises:
            errors.ConfigError: this is a child of a fork, where the library does not work.
        """
        built = self._built
        if built is not None:
            return built
        build = self._build
        if build is None:
            raise errors.ConfigError(
                "A network on such a device must run in the process that loaded it. Got a call in "
                "a child of its fork. Load the inspector after the fork, in each process."
            )
        with self._lock:  # only one of the child's threads builds
            if self._built is None:
                self._built = build()
            return self._built

    def _abandon(self) -> None:
        """Let go of what the parent built, without freeing it."""
        leak(self._built)
        self._built = None
        self._lock = threading.Lock()  # a thread of the parent may have held the other one

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied.

        Raises:
            errors.ConfigError: always.
        """
        raise errors.ConfigError(
            "A loaded inspector must stay in its process. Got one that is pickled or copied. "
            "Load one in each process: runtime.Inspector.load(BUNDLE)."
        )


_OF_THIS_PROCESS: weakref.WeakSet[Native[Any]] = weakref.WeakSet()


def leak(value: object) -> None:
    """Keep an object from ever being freed, not even when the process ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _abandon_all() -> None:
    for native in list(_OF_THIS_PROCESS):
        native._abandon()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_abandon_all)
