"""What an operator sees of a running server: `logging.py`, `sample.py` and `metrics.py`."""
