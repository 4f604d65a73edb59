"""The images that chose the threshold of a bundle, where the bundle or its data has them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
        self._golden: Mapping[str, str] | None = None
        self._records: Mapping[str, Record] | None = None

    def png(self, place: int) -> bytes | None:
        """Return an image as a screen shows it; None where it is not at hand, and the log says why.

        One thread at a time may ask: the first time may read the whole data set.

        Args:
            place: in the scores.
        """
        if not 0 <= place < len(self._ids):
            return None
        try:
            image = self._image(self._ids[place])
        except (errors.InspectionError, OSError) as problem:
            _LOG.warning("a tune image of %s cannot be shown: %s", self._root, problem)
            return None
        return None if image is None else images.encode_png(images.to_8bit(image))

    def _image(self, name: str) -> "images.Image | None":
        turn = self._manifest.context.preprocessing.orientation
        if self._golden is None:
            self._golden = {one["id"]: one["image"] for one in golden.read(self._root)}
        if name in self._golden:
            data = listed_files.read_listed(self._root, self._manifest.files, self._golden[name])
            return images.read(data, orientation=turn)
        if self._records is None:
            self._records = self._read()
        record = self._records.get(name)
        return None if record is None else record.read_pair(orientation=turn)[0]

    def _read(self) -> "Mapping[str, Record]":
        """Return the records of the data; none where nobody says where they lie."""
        from inspection_tf.export import source_data

        if self._data is None and not source_data.is_drawn(self._manifest):
            return {}
        try:
            return source_data.by_id(self._manifest, self._data)
        except errors.InspectionError as problem:
            _LOG.warning("tune images of %s cannot be shown: %s", self._root, problem)
            return {}
