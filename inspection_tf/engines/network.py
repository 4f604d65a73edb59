"""A network as an inspector sees it, whatever runs it, and what every answer must be."""

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf.engines.entry import EngineEntry

IMAGE, TEMPLATE = "image", "template"
"""Names of a network's inputs."""


class Network(Protocol):
    """What an inspector runs: an engine, or what stands for one when an export is compared.

    A network returns one output as a rule. Where its graph has several, the first one is what the
    bundle decides by, and the others stand beside it, such as a map that shows why.
    """

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """Return the first output for a batch of images and, if it compares, of templates.

        Args:
            batch: (images, height, width, channels), uint8.
            template: likewise, for a network that compares.

        The array must be its own for each call: verdicts keep views of it, and one batch is decided
        while the next one runs. An engine that can leaves out the other outputs.
        """
        return self.run_all(batch, template)[0]

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return every output for a batch, in the order in which the manifest lists them.

        Args:
            batch: (images, height, width, channels), uint8.
            template: likewise, for a network that compares.

        Each array must be its own for each call; see `run`.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class StoredNetwork:
    """One network of an engine, as it lies in a bundle.

    Attributes:
        graph: its name.
        entry: what the manifest says of the engine.
        read: returns the bytes of a file that the manifest lists. No parser is given a path: the
            file could be replaced while it runs, and OpenVINO would go on with the new weights.
        outputs: names of its outputs, in the order of the manifest; empty: those of the file, in
            the order of the file.
    """

    graph: str
    entry: "EngineEntry"
    read: Callable[[str], bytes]
    outputs: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file that it starts from."""
        return self.entry.files[self.graph]

    def model(self) -> bytes:
        """Return the bytes of the file that it starts from."""
        return self.read(self.file)


def named_inputs(
    batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
) -> dict[str, NDArray[np.uint8]]:
    """Return what a network is fed, by the names that the inputs of every network have.

    Args:
        batch: (images, height, width, channels), uint8.
        template: likewise, for a network that compares.
    """
    return {IMAGE: batch} if template is None else {IMAGE: batch, TEMPLATE: template}


def output_names(wanted: Sequence[str], available: Collection[str]) -> tuple[str, ...]:
    """Return the names of the outputs that an engine is asked for, in the order of the manifest.

    Engines list outputs in an order of their own, so each is asked for by its name.

    Args:
        wanted: names that the manifest lists; empty: all that there are.
        available: names that the engine has, in its order.

    Raises:
        errors.BundleError: the engine lacks one of them.
    """
    if not set(wanted) <= set(available):
        raise errors.BundleError(
            f"The network must have the outputs {', '.join(wanted)}. "
            f"Got {', '.join(available) or 'none'}. Convert or export the bundle again."
        )
    return tuple(wanted or available)


def ng_score(row: NDArray[np.float32]) -> float:
    """Return the first stage's score of one image from the probabilities of its classes.

    Args:
        row: (classes,), OK first.

    Returns:
        0..1; nan where any of them is not finite.
    """
    if not np.isfinite(row).all():
        return math.nan
    # Summed, not 1 - p(OK), which has no digits left where OK is nearly sure.
    return float(row[1:].sum(dtype=np.float64))


def checked(output: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the output of a network that is what its bundle says.

    Raises:
        errors.BundleError: it has another shape or dtype.
    """
    if output.shape != shape or output.dtype != np.float32:
        raise errors.BundleError(
            f"The network must return float32 of shape {shape}. "
            f"Got {output.dtype} of shape {output.shape}. Export the bundle again."
        )
    return output
