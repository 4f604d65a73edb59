"""Golden samples: images that a bundle must still judge as it did when it was written."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.bundle import listed_files
from inspection_tf.runtime.runner import Runner

if TYPE_CHECKING:
    from inspection_tf import images
    from inspection_tf.engines.entry import EngineEntry, GoldenSample
    from inspection_tf.tasks.base import Prepared

GOLDEN = "golden/expected.json"
_WHAT = "the golden samples"
# Other processors round differently; a wrong model is off by far more.
GOLDEN_TOLERANCE = 1e-3

_UNREADABLE = (
    errors.ConfigError,
    errors.DataError,
    ValueError,
    KeyError,
    TypeError,
    ArithmeticError,
    OSError,
    RecursionError,
    cv2.error,
)


def read(root: Path) -> Any:
    """Return what `golden/expected.json` holds: as a rule a list of samples, each an object.

    Raises:
        errors.BundleError: it is too large or too deep, or no JSON.
        OSError: it cannot be read.
    """
    return listed_files.read_json(root / GOLDEN, _WHAT)


def frames(root: Path) -> "list[tuple[images.Image, images.Image | None]]":
    """Return the images of the golden samples, with their templates.

    Args:
        root: the bundle's folder, already checked.
    """
    from inspection_tf import images

    def of(name: str | None) -> "images.Image | None":
        return None if name is None else images.read(root / name)

    return [(images.read(root / one["image"]), of(one.get("template"))) for one in read(root)]


def _parse_map(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read(stream)
        # A view of what is there, so a header cannot lie about the size.
        values = np.frombuffer(data, dtype, offset=stream.tell())
        return values.reshape(shape, order="F" if is_fortran else "C")
    except Exception as problem:  # NumPy parses the header as Python, with whatever that raises
        raise ValueError(f"an output is no map ({problem})") from problem


def check(
    runner: Runner,
    root: Path,
    files: Mapping[str, str],
    *,
    engine: "tuple[str, EngineEntry] | None" = None,
) -> int:
    """Run the golden samples of a bundle, every network on each of them.

    An engine must come out as it did when the gate let it through; the bundle's own ONNX files as
    when the bundle was written.

    Args:
        runner: of the bundle.
        root: the bundle's folder, already checked.
        files: SHA-256 of every file of the bundle.
        engine: name and entry of the engine that runs; None: the bundle's own ONNX files.

    Returns:
        The number of samples that came out as recorded.

    Raises:
        errors.BundleError: one did not.
    """
    from inspection_tf import images

    def listed(name: str) -> bytes:
        if name not in files:
            raise ValueError(f"{name} is not listed")  # so not to be trusted
        return listed_files.read_listed(root, files, name)

    turn = runner.context.preprocessing.orientation
    try:
        if GOLDEN not in files:
            raise ValueError("none are listed")
        samples = listed_files.parse_json(listed(GOLDEN), root / GOLDEN, _WHAT)
        if not isinstance(samples, list) or not samples:
            raise ValueError("there is none")
        if engine is not None and len(engine[1].golden) != len(samples):
            raise ValueError(f"the engine {engine[0]} has {len(engine[1].golden)} of them")
        for place, sample in enumerate(samples):
            image, template = images.read(listed(sample["image"]), orientation=turn), None
            if sample.get("template") is not None:
                template = images.read(listed(sample["template"]), orientation=turn)
            prepared = runner.prepare_decoded(image, template)
            if engine is None:
                _compare(runner, sample, prepared, _parse_map(listed(sample["output"])))
                continue
            recorded = engine[1].golden[place]
            _compare_engine(
                runner, *engine, recorded, prepared, _parse_map(listed(recorded.output))
            )
    except _UNREADABLE as problem:
        raise errors.BundleError(
            f"{root}: a bundle must hold golden samples that can be read. "
            f"Got: {str(problem).rstrip('.')}. Export the bundle again."
        ) from problem
    return len(samples)


def _difference(value: float, recorded: float | None) -> float:
    """Return the distance from what was recorded; a score that is not finite is not near any."""
    difference = abs(value - (math.nan if recorded is None else recorded))
    return math.inf if math.isnan(difference) else difference


def _compare_engine(
    runner: Runner,
    name: str,
    entry: "EngineEntry",
    recorded: "GoldenSample",
    prepared: "Prepared",
    expected: NDArray[np.float32],
) -> None:
    computed, off = runner.array_of(prepared), math.inf
    if computed.shape == expected.shape:
        with np.errstate(invalid="ignore"):
            differences = np.abs(computed - expected)
        # One grey value at the rim of a defect may differ by much in few bits; not the mean.
        counts_each = entry.precision == "float32" or _is_exact(runner)
        off = float(differences.max() if counts_each else differences.mean())
    verdict = runner.judge(prepared)
    score_off = _difference(verdict.score, recorded.score)
    is_near = off <= entry.output_tolerance and score_off <= entry.score_tolerance
    if not is_near or verdict.outcome != recorded.outcome:
        raise errors.BundleError(
            f"Golden sample {recorded.output} of the engine {name} must come out "
            f"as recorded ({recorded.outcome}, score within {entry.score_tolerance:g}, output "
            f"within {entry.output_tolerance:g}). Got {verdict.outcome}, the score off by "
            f"{score_off:.3g}, the output by {off:.3g}. Convert the bundle on this machine again, "
            "or choose another engine."
        )


def _is_exact(runner: Runner) -> bool:
    """Return whether every number of what the networks say counts."""
    context = runner.context
    specs = runner.task.graphs(context.settings, context.preprocessing, context.classes)
    return any(spec.is_exact for spec in specs)


def _compare(
    runner: Runner,
    sample: Mapping[str, Any],
    prepared: "Prepared",
    expected: NDArray[np.float32],
) -> None:
    (output,) = runner.run([prepared], every_stage=True)
    computed, off = runner.as_array(output, prepared), math.inf
    if computed.shape == expected.shape:
        with np.errstate(invalid="ignore"):
            off = float(np.abs(computed - expected).max())
    verdict = runner.decide(output, prepared)
    scores = runner.stage_scores(output, prepared)
    if verdict.decided_by not in runner.context.stage_points:
        scores["score"] = verdict.score  # else it is that of a stage, scaled by both thresholds
    score_off = max(_difference(value, sample[name]) for name, value in scores.items())
    # NaN is never within it.
    is_near = off <= GOLDEN_TOLERANCE and score_off <= GOLDEN_TOLERANCE
    if not is_near or verdict.outcome != sample["outcome"]:
        raise errors.BundleError(
            f"Golden sample {sample['image']} must come out as recorded "
            f"({sample['outcome']}, within {GOLDEN_TOLERANCE:g}). Got {verdict.outcome}, "
            f"the output off by {off:.3g}, the score by {score_off:.3g}. "
            "Do not inspect with this bundle on this machine."
        )
