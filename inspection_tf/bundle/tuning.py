"""Scores of the images that chose the thresholds of a bundle, in a file of it."""

import dataclasses
from pathlib import Path

from inspection_tf import config, decision, errors, thresholds
from inspection_tf.bundle.listed_files import TUNE_SCORES, parse_json, read_listed, refuse
from inspection_tf.bundle.manifest import Draft, Manifest, read


@dataclasses.dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """A bundle's threshold, and the scores that it was chosen on: see `plots.threshold_panel`.

    Attributes:
        root: the bundle's folder.
        operating_point: of the score that decides.
        scores: of the tune images; None: an earlier version wrote the bundle without.
    """

    root: Path
    operating_point: thresholds.OperatingPoint
    scores: decision.TuneScores | None


def chosen_threshold(root: str | Path) -> ChosenThreshold:
    """Read the threshold of a bundle and the scores that it was chosen on.

    Args:
        root: the bundle's folder.

    Raises:
        errors.BundleError: it is no bundle, or not as it was written.
    """
    manifest = read(root)
    return ChosenThreshold(Path(root), manifest.operating_point, read_tune_scores(root, manifest))


def read_tune_scores(root: str | Path, manifest: Manifest) -> decision.TuneScores | None:
    """Return the scores of the tune images; None: an earlier version wrote the bundle without.

    Args:
        root: the bundle's folder.
        manifest: of the bundle, already checked.

    Raises:
        errors.BundleError: the file is not as it was written, or holds no scores.
    """
    if TUNE_SCORES not in manifest.files:
        return None
    root = Path(root)
    text = read_listed(root, manifest.files, TUNE_SCORES)
    values = parse_json(text, root / TUNE_SCORES, "the scores of the tune images")
    try:
        return config.validate(decision.TuneScores, values, origin=str(root / TUNE_SCORES))
    except errors.ConfigError as problem:
        raise refuse(
            root / TUNE_SCORES,
            "the scores of the tune images must be as they were written",
            str(problem).partition("Got ")[2].partition(". ")[0] or "others",
            "Copy the bundle again",
        ) from problem


def write_tune_scores(draft: Draft, scores: decision.TuneScores) -> None:
    """Add the scores of the tune images to a bundle, or replace those that it has."""
    draft.write(TUNE_SCORES, scores.model_dump_json() + "\n")
