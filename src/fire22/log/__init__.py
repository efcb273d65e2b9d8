"""The log: events in an order, durable before they are acknowledged.

In reading order: `base.py` (the contract), `database.py` (a SQLite file that is created whole and checked), `file.py`
(the one of the log and the feed), `seal.py` (what each row is verified by), `cipher.py` and `rekey.py` (encryption at
rest), `writer.py` (the one thread that writes), `rows.py` and `sqlite.py` (the embedded log), `maintenance.py` (backup,
restore, full checks).
"""
