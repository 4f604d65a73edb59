"""Fitting, checkpoints and the run folder."""
