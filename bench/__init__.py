"""Measurements: ourselves and peers, side by side, in one run. See README.md."""
