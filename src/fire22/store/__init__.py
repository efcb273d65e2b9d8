"""The store: the server's own rows, which do not follow from the log.

In reading order: `base.py` (the contract), `sqlite.py`, `watch.py` (what other processes write).
"""
