"""Segmentation: one network finds where defects are."""
