"""`inspection collect`: what people said of results -> a data set and files of labelling tools."""

from pathlib import Path
from typing import Annotated

import tyro

from inspection_tf import errors, process

Labels = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="LABELS...")]


def collect(labels: Labels, /, *, out: Path, model: str | None = None) -> int:
    """Turn corrections that a service has kept (serve --labels) into data to train with.

    Writes dataset/, which the recipes read; coco.json, the same with run lengths; and
    label_studio.json with label_studio.xml: a task for each image, with pre-labels. Images whose
    regions are wrong or absent lie in to_label/ and are tasks alone.

    Args:
        labels: folders that hold labels.jsonl, or such files. The last correction of an image
            counts.
        out: new folder.
        model: take the corrections of this model alone.
    """
    from inspection_tf.datasets.writers import collect as collecting

    if not labels:
        raise errors.ConfigError(
            "collect needs at least one folder of corrections. Got none. Name that of serve "
            "--labels."
        )
    with process.bar("collecting") as progress:
        done = collecting.collect(labels, out, model=model, progress=progress)
    process.say(str(out))
    process.say(done.summary())
    return errors.OK
