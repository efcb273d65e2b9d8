"""Recorded wagers into a book: `recording.py` (reads the file), `pacing.py` (writes them at their pace)."""
