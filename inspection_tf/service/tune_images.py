"""The images that chose the threshold of a bundle, where the bundle or its data has them."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, decision, errors, images
from inspection_tf.bundle import listed_files
from inspection_tf.runtime import golden

if TYPE_CHECKING:
    from inspection_tf.datasets.records import Record

_LOG = logging.getLogger("inspection_tf")


class TuneImages:
    """Tune images by their places in the scores of a bundle; they are looked for when asked for.

    The bundle has those among its golden samples. Of drawn images each is drawn again; others are
    read from their folder, if it is named.
    """

    def __init__(
        self,
        root: Path,
        manifest: bundle.Manifest,
        scores: decision.TuneScores,
        data: Path | None,
    ) -> None:
        """Name the images; none is read yet.

        Args:
            root: the bundle's folder.
            manifest: of the bundle.
            scores: of the images.
            data: folder of the images that the bundle was made from; None: not known.
        """
        self._root, self._manifest, self._data = root, manifest, data
        self._ids = scores.ids
        self._lock = threading.Lock()
        self._golden: Mapping[str, str] | None = None
        self._records: Mapping[str, Record] | None = None

    def picture(self, place: int) -> NDArray[np.generic] | None:
        """Return an image as it can be shown; None where it is not at hand.

        Args:
            place: in the scores.

        Raises:
            errors.DataError: its data is not what it was, or cannot be read.
        """
        if not 0 <= place < len(self._ids):
            return None
        name, turn = self._ids[place], self._manifest.context.preprocessing.orientation
        with self._lock:  # two that ask at once must not read the data twice
            if self._golden is None:
                self._golden = self._golden_files()
            if name in self._golden:
                data = listed_files.read_listed(
                    self._root, self._manifest.files, self._golden[name]
                )
                return images.to_8bit(images.read(data, orientation=turn))
            if self._records is None:
                self._records = self._read()
        record = self._records.get(name)
        return None if record is None else images.to_8bit(record.read_pair(orientation=turn)[0])

    def _golden_files(self) -> dict[str, str]:
        samples: list[dict[str, Any]] = golden.read(self._root)
        return {sample["id"]: sample["image"] for sample in samples}

    def _read(self) -> "dict[str, Record]":
        """Return the records of the tune images; none where nobody says where they lie."""
        is_drawn = self._manifest.provenance.data.source.get("root") is None
        if self._data is None and not is_drawn:
            return {}
        from inspection_tf.export import source_data

        try:
            parts = source_data.parts(self._manifest, self._data)
        except errors.InspectionError as problem:
            _LOG.warning("tune images of %s cannot be shown: %s", self._root, problem)
            return {}
        wanted = set(self._ids)
        return {
            record.id: record for part in parts.values() for record in part if record.id in wanted
        }
