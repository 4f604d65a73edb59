"""The images that set the scales of an int8 engine: which ones, and what each network sees."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, errors, runtime, tasks
from inspection_tf.datasets.records import Records
from inspection_tf.engines.entry import Calibration
from inspection_tf.export import kit
from inspection_tf.runtime.runner import Runner

RULE = (
    "of the train split, each label's share of the images as in the split (at least one of each), "
    "within a label by the lowest SHA-256 of seed and id"
)

GraphSamples = list[dict[str, NDArray[np.uint8]]]
"""What a graph is fed, one image each: input name to (1, height, width, channels), uint8."""
Samples = dict[str, GraphSamples]
"""Graph to what it is fed."""


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def choose(found: Records, *, count: int, seed: int) -> Records:
    """Choose calibration images; the same for the same records and seed, whatever their order.

    Args:
        found: of the train split.
        count: of images; all there are where it is more.
        seed: of the choice.

    Raises:
        errors.DataError: there is no image.
        errors.ConfigError: `count` is not positive.
    """
    if count < 1:
        raise errors.ConfigError(f"Calibration needs at least 1 image. Got {count}. Use 64.")
    if not len(found):
        raise errors.DataError(
            "Calibration needs images that taught the network. Got none in the train split. "
            "Give the data that the bundle was made from."
        )
    strata: dict[bool | None, list[str]] = defaultdict(list)
    for record in found:
        strata[record.is_defect].append(record.id)
    chosen: set[str] = set()
    for members in strata.values():
        share = max(1, round(count * len(members) / len(found)))
        chosen |= set(sorted(members, key=lambda name: _rank(seed, name))[:share])
    return found.select(sorted(chosen))


def entry(chosen: Records, *, seed: int, split: str) -> Calibration:
    """Return what the manifest says of the calibration."""
    return Calibration(rule=RULE, seed=seed, split=split, ids=tuple(r.id for r in chosen))


def record_inputs(
    manifest: bundle.Manifest, networks: Mapping[str, runtime.Network], chosen: Records
) -> Samples:
    """Return what each network of a bundle is fed on these images; a segmenter sees all of them.

    Args:
        manifest: of the bundle.
        networks: the float32 ones, by graph.
        chosen: of `choose`.

    Raises:
        errors.DataError: a network saw nothing: no field was found on any image.
    """
    listeners = kit.listening(networks)
    runner = Runner(tasks.get(manifest.task), listeners, manifest.context)
    turn = runner.context.preprocessing.orientation
    pairs = [
        (record, runner.prepare_decoded(*record.read_pair(orientation=turn))) for record in chosen
    ]
    for _, prepared in pairs:
        runner.run([prepared], every_stage=True)
    if not all(listener.seen for listener in listeners.values()):
        for record, prepared in pairs:
            runner.task.run_on_labels(listeners, record, prepared, runner.context)
    for name, listener in listeners.items():
        if not listener.seen:
            raise errors.DataError(
                f"Calibration must show the {name} something. Got {len(chosen)} images that give "
                "it nothing to see. Choose more calibration images."
            )
    return {name: [given for given, _ in listener.seen] for name, listener in listeners.items()}
