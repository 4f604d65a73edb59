"""Recipes: each a straight line from a configuration to a bundle."""
