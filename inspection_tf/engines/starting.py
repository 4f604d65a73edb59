"""A network of an engine is started by the module of its kind."""

import importlib
from typing import Protocol

from inspection_tf.engines.kinds import KINDS
from inspection_tf.engines.network import Network, StoredNetwork


class _Starter(Protocol):
    """A module of this room that starts networks of a kind."""

    def start_network(self, stored: StoredNetwork, *, threads: int | None, device: str) -> Network:
        """Start one network; see `start`."""
        ...


def start(stored: StoredNetwork, *, threads: int | None = None, device: str = "cpu") -> Network:
    """Start one network of an engine that the runtime can start.

    Args:
        stored: the network as it lies in a bundle.
        threads: of one inference; None: as many as its software likes.
        device: cpu, cuda, tensorrt; of OpenVINO one that it names, such as gpu.

    Raises:
        errors.ConfigError: its software has no such device.
        errors.BundleError: its software is absent, or refuses the network.
        errors.StorageError: memory does not suffice.
    """
    kind = KINDS[stored.entry.kind]
    # Imported where used: each brings a library of its own.
    starter: _Starter = importlib.import_module(f"inspection_tf.engines.{kind.module}")
    return starter.start_network(stored, threads=threads, device=device)
