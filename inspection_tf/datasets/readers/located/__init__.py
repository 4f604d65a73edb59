"""Readers of images whose label says where what they show lies: corners of a field."""
