"""Attacks that were found once, each of its kind, and whatever else somebody could try."""
