"""`tfds.load("dagm2007")`: DAGM 2007 from the folders you put into TFDS's manual directory."""

from inspection_tf.datasets.builders.dagm2007.dagm2007_dataset_builder import Dagm2007

__all__ = ["Dagm2007"]
