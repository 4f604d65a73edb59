"""Looks at the sealed images of a run: what was found on images that nothing had read before."""

from typing import Any

import pydantic

from inspection_tf import config
from inspection_tf.bundle.manifest import Manifest

UNSEAL = "unseal"
"""What a look is called in the audit of a bundle."""


class Look(config.Section):
    """One look at the sealed images of a run, through its bundle."""

    at: str
    """When, ISO 8601 in UTC."""
    number: int = pydantic.Field(ge=1)
    """The how-manieth look at these images, by any run of the folder of runs."""
    before: tuple[str, ...] = ()
    """The looks before: when, and by which model."""
    model_id: str
    manifest_sha256: str
    """Of the bundle as it was looked through."""
    threshold: float
    images_sha256: str
    """Of the sealed images and their labels."""
    counts: dict[str, int]
    """Images and defective ones; of parts where several images show one."""
    metrics: dict[str, dict[str, Any]]
    """Value, low and high of each, as in metrics.json."""

    @property
    def warning(self) -> str:
        """Say why its figures are of unseen images no more; "" for the first look."""
        if not self.before:
            return ""
        return (
            f"This is look {self.number} at these images ({'; '.join(self.before)} came before). "
            "What was changed since the first was changed by who knew its figures, so these "
            "flatter. Seal other images for figures that hold."
        )

    def heading(self) -> str:
        """Return what was looked at, as the beginning of a sentence."""
        counts = self.counts
        parts = f" of {counts['groups']} parts" if "groups" in counts else ""
        return (
            f"Look {self.number}, {self.at}, threshold {self.threshold:.6g}: {counts['images']} "
            f"sealed images{parts}, {counts['defective']} of them defective"
        )


def looks(manifest: Manifest) -> tuple[Look, ...]:
    """Return the looks at sealed images through a bundle, the first one first."""
    return tuple(
        config.validate(Look, edit["look"], origin="the bundle's audit")
        for edit in manifest.audit
        if edit.get("what") == UNSEAL
    )
