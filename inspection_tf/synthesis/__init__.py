"""Procedural images with exact labels."""
