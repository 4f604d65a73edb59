"""Features on disk: files that are whole or absent, which several processes may write at once."""

import contextlib
import dataclasses
import hashlib
import io
import logging
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files

_LOG = logging.getLogger("inspection_tf")
_KEY_BYTES = 32

Rows = Mapping[bytes, NDArray[np.float32]]
"""The features of each image, (width,), by its fingerprint."""


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureStore:
    """The features that one network has computed.

    A file holds those of some hundred images, so that ten thousand images are a few dozen files.
    Its name follows from which images these are. It is written whole or not at all, and never
    changed: processes that compute the same images at once leave one file with one content.

    Attributes:
        folder: for this network alone; made when something is written.
        width: features of an image.
    """

    folder: Path
    width: int

    def read(self, keys: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the features that are stored, by the fingerprints of their images.

        A file that is damaged counts as absent: what it held is computed anew.

        Args:
            keys: fingerprints of images.
        """
        missing, found = set(keys), dict[bytes, NDArray[np.float32]]()
        for path in sorted(self.folder.glob("*.npz")):
            if not missing:
                break
            try:
                rows = self._read_file(path, missing)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
                _LOG.warning("%s is left aside, as its features cannot be read: %s", path, problem)
                continue
            found |= rows
            missing -= rows.keys()
        return found

    def _read_file(self, path: Path, wanted: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
        # NumPy would leave a damaged file open that it has opened itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            stored_keys = [bytes(key) for key in stored["keys"]]
            rows = [row for row, key in enumerate(stored_keys) if key in wanted]
            if not rows:
                return {}  # the larger array is not even read
            features = stored["features"]
        if features.shape != (len(stored_keys), self.width) or features.dtype != np.float32:
            raise ValueError(f"got {features.dtype} of shape {features.shape}")
        return {stored_keys[row]: features[row] for row in rows}

    def write(self, rows: Rows) -> None:
        """Store the features of some images.

        Args:
            rows: each (width,) float32.

        Raises:
            errors.StorageError: the disk is full or the folder cannot be written; what was stored
                before is still there.
        """
        keys = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, _KEY_BYTES)
        buffer = io.BytesIO()
        np.savez(buffer, keys=keys, features=np.stack(list(rows.values())))
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:32]
        files.make_folder(self.folder)
        try:
            files.write(self.folder / f"{name}.npz", buffer.getvalue())
        except errors.StorageError:
            with contextlib.suppress(OSError):
                self.folder.rmdir()  # where nothing is in it
            raise
