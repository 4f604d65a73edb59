"""DAGM 2007: ten classes of textured surfaces, weakly labelled by ellipses.

Source: Wieler, Hahn: Weakly supervised learning for industrial optical inspection, DAGM 2007.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from inspection_tf.datasets import readers
from inspection_tf.datasets.builders import features
from inspection_tf.datasets.records import Record

ALL = "all"
CLASSES = tuple(f"Class{number}" for number in range(1, 11))


class Dagm2007(tfds.core.GeneratorBasedBuilder):
    """Config `all` reads every class folder there is, `class1` to `class10` a single one.

    Splits: `train`, and `test` where the folders have a `Test` part.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack DAGM 2007 (https://hci.iwr.uni-heidelberg.de/content/"
        "weakly-supervised-learning-industrial-optical-inspection) so that the manual directory "
        "holds Class1, Class2 and so on, each with its images and Label folder, or with Train and "
        "Test inside."
    )
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        tfds.core.BuilderConfig(name=ALL, description="Every class folder there is."),
        *(
            tfds.core.BuilderConfig(name=name.lower(), description=f"Only {name}.")
            for name in CLASSES
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return features.info(
            self,
            description="Statistical textures with one defect on some, labelled by an ellipse.",
            homepage="https://hci.iwr.uni-heidelberg.de/content/"
            "weakly-supervised-learning-industrial-optical-inspection",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, features.Example]]]:
        root = Path(dl_manager.manual_dir)
        if self.builder_config.name != ALL:
            root /= CLASSES[int(self.builder_config.name.removeprefix("class")) - 1]
        parts: dict[str, list[Record]] = {}
        for record in readers.read_dagm(root):
            parts.setdefault("test" if record.split == "test" else "train", []).append(record)
        return {name: self._generate_examples(part) for name, part in sorted(parts.items())}

    def _generate_examples(self, records: list[Record]) -> Iterator[tuple[int, features.Example]]:
        for number, record in enumerate(records):
            yield number, features.example(record)
