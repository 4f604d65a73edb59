"""Cascade: one network decides which images a second one searches for defects."""
