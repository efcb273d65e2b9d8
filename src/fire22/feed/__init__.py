"""The feed: messages in an order, derived from the log.

In reading order: `base.py` (the contract), `ring.py` (the recent part, in memory), `rows.py` (its tables), `sqlite.py`
(the embedded feed).
"""
