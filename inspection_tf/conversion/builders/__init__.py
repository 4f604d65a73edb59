"""Builders of engines, one file a target."""
