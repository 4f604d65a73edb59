"""Synthetic surfaces: what is drawn follows from the builder's config alone."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import tensorflow_datasets as tfds

from inspection_tf.datasets.builders import features
from inspection_tf.datasets.drawn import surfaces
from inspection_tf.synthesis import surface


@dataclasses.dataclass(eq=False, kw_only=True)
class SurfacesConfig(tfds.core.BuilderConfig):
    """One synthetic set; give your own to `tfds.load(..., builder_kwargs={"config": ...})`.

    TFDS knows a prepared set by its `name`: choose a new one when you change anything else.

    Attributes:
        spec: what to draw from.
        seed: of the set.
        count: number of images.
        defective_fraction: share of defective images, 0..1.
        weak_labels: covering ellipses instead of exact masks.
    """

    spec: surface.SurfaceSpec = dataclasses.field(default_factory=surface.SurfaceSpec)
    seed: int = 0
    count: int = 480
    defective_fraction: float = 0.5
    weak_labels: bool = False


class SyntheticSurfaces(tfds.core.GeneratorBasedBuilder):
    """One split, `train`; split it by `group` as any other set."""

    # The drawing's version, so that a prepared set is not taken for one that is drawn differently.
    VERSION = tfds.core.Version(f"{surfaces.DRAWING_VERSION}.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {str(VERSION): "See CHANGELOG.md."}
    BUILDER_CONFIGS: ClassVar[list[SurfacesConfig]] = [
        SurfacesConfig(name="exact", description="Exact pixel masks."),
        SurfacesConfig(
            name="weak", description="Covering ellipses, as in DAGM 2007.", weak_labels=True
        ),
        SurfacesConfig(
            name="faint",
            description="Defects of low contrast, exact masks.",
            spec=surface.SurfaceSpec(contrast=(0.2, 0.5)),
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return features.info(
            self,
            description="Textured surfaces, drawn, with defects whose pixels are known.",
            homepage="https://www.tensorflow.org/datasets",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, features.Example]]]:
        del dl_manager  # nothing is downloaded
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, features.Example]]:
        chosen = self.builder_config
        drawn = surfaces.surfaces(
            count=chosen.count,
            defective_fraction=chosen.defective_fraction,
            spec=chosen.spec,
            seed=chosen.seed,
            weak_labels=chosen.weak_labels,
        )
        for number, record in enumerate(drawn):
            yield number, features.example(record)
