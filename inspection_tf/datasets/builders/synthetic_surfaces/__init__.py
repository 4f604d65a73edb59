"""`tfds.load("synthetic_surfaces")`: surfaces with exact masks, drawn on the spot."""

from inspection_tf.datasets.builders.synthetic_surfaces.synthetic_surfaces_dataset_builder import (
    SurfacesConfig,
    SyntheticSurfaces,
)

__all__ = ["SurfacesConfig", "SyntheticSurfaces"]
