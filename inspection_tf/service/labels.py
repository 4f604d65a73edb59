"""What people say of results, on disk: the image, what was found on it, and a line in a file."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import files, images
from inspection_tf.datasets.writers import labels_file
from inspection_tf.service.refusals import not_kept
from inspection_tf.service.results import Entry

if TYPE_CHECKING:
    from inspection_tf import decision

_SHORT = 12  # letters of a mask's SHA-256 in the name of its file


class Labels:
    """Keeps corrections in one folder; none is changed later, the last of an image counts."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is absent.

        Raises:
            errors.StorageError: it cannot be made.
        """
        self._folder = folder
        for name in (labels_file.IMAGES, labels_file.MASKS):
            files.make_folder(folder / name)
        self._writing = threading.Lock()

    def keep(self, entry: Entry, *, label: labels_file.Label, note: str) -> dict[str, Any]:
        """Keep a correction; when this returns, the disk holds it.

        The files that a line names are there before it.

        Args:
            entry: the result.
            label: what it should have been.
            note: in the person's words.

        Returns:
            What the line says beside the verdict.

        Raises:
            Refusal: the result has no image.
            errors.StorageError: the disk does not take it; no line was lost or added.
        """
        verdict = entry.verdict
        if verdict.image is None:
            raise not_kept(
                "A correction must be of a result with its image. Got one without. Inspect the "
                "image again."
            )
        name = self._stored(f"{labels_file.IMAGES}/{verdict.image_sha256}.png", verdict.image)
        told = {
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "id": entry.beside["id"],
            "label": label,
            "note": note,
            "label_kind": entry.label_kind,
            "model": entry.beside["model"],
            "version": entry.beside["version"],
            "image": name,
            **self._mask(verdict),
        }
        line = json.dumps({**told, **verdict.to_dict()}, allow_nan=False)
        with self._writing:
            files.append_line(self._folder / labels_file.NAME, line, sync=True)
        return told

    def _mask(self, verdict: "decision.Verdict") -> Mapping[str, str | None]:
        """Store the pixels of the regions, where there are some; returns what a line says of them.

        Where there are several classes, the gray values are their ids.
        """
        if not verdict.regions:
            return {"mask": None, "mask_sha256": None}
        mask: NDArray[Any] = verdict.class_mask() if len(verdict.classes) > 1 else verdict.mask()
        gray = np.asarray(255 * mask, np.uint8) if mask.dtype == np.bool_ else mask
        digest = images.digest(gray)
        name = f"{labels_file.MASKS}/{verdict.image_sha256}_{digest[:_SHORT]}.png"
        return {"mask": self._stored(name, gray), "mask_sha256": digest}

    def _stored(self, name: str, pixels: NDArray[Any]) -> str:
        """Write a picture where it is not there yet, named after what it holds."""
        path = self._folder / name
        if not path.is_file():
            files.write(path, images.encode_png(pixels))
        return name
