"""Bundle + image -> `Verdict`, on onnxruntime alone.

    inspector = runtime.Inspector.load("bundle")
    verdict = inspector.inspect("part.png")

An inspector may be shared by threads. It refuses to start when the bundle's golden samples do not
come out as they were recorded.
"""

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

# What declares pydantic sections is imported where it is first needed: `import pydantic` alone is
# lazy, and the first section brings the other two thirds of it.
if TYPE_CHECKING:
    from inspection_tf import bundle, decision

GOLDEN = "golden/expected.json"
# Other processors round differently; a wrong model is off by far more.
GOLDEN_TOLERANCE = 1e-3

_UNREADABLE = (
    errors.ConfigError,
    errors.DataError,
    ValueError,
    KeyError,
    TypeError,
    OSError,
    RecursionError,
    cv2.error,
)

Source = str | os.PathLike[str] | bytes | NDArray[Any]


def _read_map(path: Path) -> NDArray[Any]:
    try:
        # Mapped, not loaded: a header may lie about the size.
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as problem:  # NumPy parses the header as Python, with whatever that raises
        raise ValueError(f"{path.name} is no map ({problem})") from problem


class Engine:
    """A network that onnxruntime runs on the CPU.

    Attributes:
        session: of onnxruntime.
        providers: the execution providers in use.
    """

    def __init__(
        self, model: bytes, *, threads: int | None = None, providers: tuple[str, ...] | None = None
    ) -> None:
        """Parse a model.

        Args:
            model: bytes of an ONNX file.
            threads: of one inference; None: one for each core.
            providers: of onnxruntime; None: CPU.

        Raises:
            errors.BundleError: onnxruntime refuses the model.
        """
        import onnxruntime  # a quarter of what importing this module would cost

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                model, options, providers=list(providers or ("CPUExecutionProvider",))
            )
        except Exception as problem:  # onnxruntime's errors share no base class of their own
            first_line = str(problem).splitlines()[0]
            raise errors.BundleError(
                f"onnxruntime must be able to load the model. Got: {first_line}. "
                "Export the bundle again, or install a newer onnxruntime."
            ) from problem
        self.providers = tuple(self.session.get_providers())

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the first output for a batch.

        Args:
            batch: (images, height, width, channels), uint8.

        Raises:
            errors.StorageError: memory does not suffice.
            errors.BundleError: the network does not accept the batch.
        """
        try:
            (output, *_) = self.session.run(None, {self.session.get_inputs()[0].name: batch})
        except Exception as problem:  # as above; memory is the one thing that sound input lacks
            first_line = (str(problem).splitlines() or [type(problem).__name__])[0]
            if isinstance(problem, MemoryError) or "alloc" in first_line.lower():
                raise errors.StorageError(
                    f"The network must fit into memory. Got: {first_line}. Use smaller batches."
                ) from problem
            raise errors.BundleError(
                f"The network must accept {batch.dtype} of shape {batch.shape}. "
                f"Got: {first_line}. Export the bundle again."
            ) from problem
        return np.asarray(output)


class Inspector:
    """Inspects images as one bundle says.

    Attributes:
        manifest: of the bundle.
        engine: runs the network.
    """

    def __init__(self, manifest: "bundle.Manifest", engine: Engine, *, model_sha256: str) -> None:
        """Join a manifest and an engine; `load` is the way from a folder."""
        self.manifest = manifest
        self.engine = engine
        self.model_sha256 = model_sha256
        self.preprocessing = manifest.inputs[0].preprocessing

    @classmethod
    def load(
        cls, root: str | Path, *, check_golden: bool = True, threads: int | None = None
    ) -> "Inspector":
        """Read, check and start a bundle.

        Args:
            root: the bundle's folder.
            check_golden: run the golden samples; leave it on outside of tests.
            threads: of one inference; None: one for each core.

        Raises:
            errors.BundleError: the bundle is not as it was written, or its golden samples do not
                come out.
        """
        from inspection_tf import bundle

        root = Path(root)
        manifest = bundle.read(root)
        name = manifest.graphs[0].file
        engine = Engine((root / name).read_bytes(), threads=threads)
        inspector = cls(manifest, engine, model_sha256=manifest.files[name])
        if check_golden:
            inspector.check_golden(root)
        return inspector

    def probability(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probability map of a decoded image, in its own size.

        Args:
            image: (height, width) or (height, width, 3) RGB, uint8 or uint16.

        Returns:
            (height, width), 0..1.
        """
        from inspection_tf import images

        prepared, placement = images.preprocess(image, self.preprocessing)
        return placement.map_to_source(self._run(prepared))

    def _run(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        output = self.engine.run(prepared[None])
        if output.shape != (1, *self.preprocessing.size, 1) or output.dtype != np.float32:
            raise errors.BundleError(
                f"The network must return float32 of shape {(1, *self.preprocessing.size, 1)}. "
                f"Got {output.dtype} of shape {output.shape}. Export the bundle again."
            )
        return np.ascontiguousarray(output[0, ..., 0])

    def inspect(
        self, source: Source, *, metadata: Mapping[str, str] | None = None
    ) -> "decision.Verdict":
        """Decide about one image.

        Args:
            source: a path, a file's bytes, or an array: grey or RGB (never BGR), uint8 or uint16.
            metadata: passed through to the verdict: camera, lot, time.

        Raises:
            errors.ImageError: the image cannot be read or does not fit the bundle.
        """
        from inspection_tf import images

        started = time.perf_counter()
        image = images.read(source, orientation=self.preprocessing.orientation)
        prepared, placement = images.preprocess(image, self.preprocessing)
        ready = time.perf_counter()
        output = self._run(prepared)
        ran = time.perf_counter()
        verdict = self.decide(placement.map_to_source(output))
        done = time.perf_counter()
        return dataclasses.replace(
            verdict,
            model_id=self.manifest.model_id,
            model_sha256=self.model_sha256,
            image_sha256=images.digest(image),
            ms={
                "pre": 1e3 * (ready - started),
                "model": 1e3 * (ran - ready),
                "post": 1e3 * (done - ran),
            },
            metadata=dict(metadata or {}),
            image=image,
        )

    def decide(self, probability: NDArray[Any]) -> "decision.Verdict":
        """Apply the bundle's thresholds and rules to a map in the source's size."""
        from inspection_tf import decision

        return decision.decide(
            probability,
            self.manifest.operating_point,
            self.manifest.rules,
            mm_per_px=self.manifest.mm_per_px,
            class_name=self.manifest.classes[0],
        )

    def hidden_defects(
        self, probability: NDArray[Any], mask: NDArray[np.bool_]
    ) -> "tuple[decision.HiddenDefect, ...]":
        """Audit the bundle's rules on a labelled image; see `decision.hidden_defects`."""
        from inspection_tf import decision

        return decision.hidden_defects(
            probability,
            self.manifest.rules,
            mask,
            mask_threshold=self.manifest.operating_point.mask_threshold,
            mm_per_px=self.manifest.mm_per_px,
        )

    def inspect_many(
        self, sources: Iterable[Source], *, metadata: Mapping[str, str] | None = None
    ) -> "Iterator[decision.Verdict]":
        """Decide about images one after the other; see `inspect`."""
        for source in sources:
            yield self.inspect(source, metadata=metadata)

    def check_golden(self, root: str | Path) -> int:
        """Run the golden samples of a bundle.

        Args:
            root: the bundle's folder, already checked.

        Returns:
            The number of samples that came out as recorded.

        Raises:
            errors.BundleError: one did not.
        """
        from inspection_tf import images

        root = Path(root)
        try:
            if GOLDEN not in self.manifest.files:
                raise ValueError("none are listed")
            samples = json.loads((root / GOLDEN).read_bytes())
            if not isinstance(samples, list) or not samples:
                raise ValueError("there is none")
            for sample in samples:
                if not {sample["image"], sample["output"]} <= set(self.manifest.files):
                    raise ValueError(f"{sample['image']} is not listed")  # so not to be trusted
                image = images.read(root / sample["image"])
                self._compare(sample, self.probability(image), _read_map(root / sample["output"]))
        except _UNREADABLE as problem:
            raise errors.BundleError(
                f"{root}: a bundle must hold golden samples that can be read. "
                f"Got: {problem}. Export the bundle again."
            ) from problem
        return len(samples)

    def _compare(
        self, sample: Mapping[str, Any], found: NDArray[Any], expected: NDArray[Any]
    ) -> None:
        off = np.inf
        if found.shape == expected.shape:
            with np.errstate(invalid="ignore"):
                off = float(np.abs(found - expected).max())
        verdict = self.decide(found)
        recorded = sample["score"]
        score_off = abs(verdict.score - (math.nan if recorded is None else recorded))
        # NaN is never within it.
        is_near = off <= GOLDEN_TOLERANCE and score_off <= GOLDEN_TOLERANCE
        if not is_near or verdict.outcome != sample["outcome"]:
            raise errors.BundleError(
                f"Golden sample {sample['image']} must come out as recorded "
                f"({sample['outcome']}, within {GOLDEN_TOLERANCE:g}). Got {verdict.outcome}, "
                f"the map off by {off:.3g}, the score by {score_off:.3g}. "
                "Do not inspect with this bundle on this machine."
            )
