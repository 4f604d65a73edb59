"""From corrections to a data set, a file of COCO, and tasks of Label Studio."""

import collections
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from inspection_tf import files, process
from inspection_tf.datasets.readers import formats
from inspection_tf.datasets.writers import label_studio, labels_file, segments
from inspection_tf.datasets.writers.coco import Coco
from inspection_tf.datasets.writers.dataset_folder import FOLDERS

DATASET, TO_LABEL = "dataset", "to_label"
COCO, TASKS, CONFIGURATION = "coco.json", "label_studio.json", "label_studio.xml"


@dataclasses.dataclass(frozen=True, slots=True)
class Collected:
    """How many images were collected.

    Attributes:
        format: of the data set.
        ok: images of the data set that are OK.
        ng: those that are NG.
        wrong: images to be labelled, since a person called what was marked wrong.
        unmarked: images to be labelled, since nobody marked what is wrong with them.
    """

    format: str
    ok: int
    ng: int
    wrong: int
    unmarked: int

    def summary(self) -> str:
        """Return it in a sentence."""
        return (
            f"{self.ok + self.ng} images in {DATASET} (format {self.format}): {self.ok} OK, "
            f"{self.ng} NG; {self.wrong + self.unmarked} left to label in {TO_LABEL}: "
            f"{self.wrong} marked wrongly, {self.unmarked} not marked"
        )


def collect(
    words: Iterable[Path],
    out: Path,
    *,
    model: str | None = None,
    progress: process.Progress | None = None,
) -> Collected:
    """Write corrections as a data set, a file of COCO, and tasks of Label Studio.

    The new folder appears complete or not at all.

    Args:
        words: files of corrections, or folders that hold one.
        out: the new folder; it must not exist yet, or be empty.
        model: whose corrections are taken; None: of all.
        progress: called with (done, of).

    Raises:
        errors.DataError: there is no correction, a line is none, a file is missing or another one,
            or not all corrections have the same classes and kind of label.
        errors.ConfigError: the new folder holds something.
        errors.StorageError: it cannot be written.
    """
    files.require_free(out)
    corrections = labels_file.read(words, model=model)
    first = corrections[0].line
    names = segments.class_names(first)
    counts = collections.Counter[str]()
    tasks = []
    with files.new_folder(out) as partial:
        dataset = FOLDERS[first.label_kind](partial / DATASET, first.classes)
        coco = Coco(names)
        for done, correction in enumerate(corrections, start=1):
            sample = correction.load()
            found = segments.of(sample)
            taken = dataset.add(sample)
            if taken is None:
                path = PurePosixPath(TO_LABEL, f"{sample.name}.png")
                files.make_folder(partial / TO_LABEL)
                files.write(partial / path, sample.image, sync=False)
                counts["wrong" if sample.line.label == "region" else "unmarked"] += 1
            else:
                path = DATASET / taken
                coco.add(sample, path, found)
                counts[sample.line.label] += 1
            tasks.append(label_studio.task(sample, path, found))
            if progress is not None:
                progress(done, len(corrections))
        dataset.close()
        for name, content in ((COCO, coco.content()), (TASKS, tasks)):
            files.write(partial / name, json.dumps(content, allow_nan=False) + "\n")
        configuration = label_studio.configuration(first.label_kind, names)
        files.write(partial / CONFIGURATION, configuration)
    return Collected(
        formats.usual(first.label_kind).name,
        counts["OK"],
        counts["NG"],
        counts["wrong"],
        counts["unmarked"],
    )
