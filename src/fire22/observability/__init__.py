"""What an operator sees of a running server: `logging.py`, `metrics.py`."""
