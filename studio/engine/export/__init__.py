"""Merging what was trained into a model of its own."""
