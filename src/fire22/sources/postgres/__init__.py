"""PostgreSQL books, from version 13 on, read by an outbox that triggers fill.

In reading order: `connection.py` (opens one, and names its errors), `tables.py` (where a mapping's tables are),
`install.py` (puts triggers in it), `undecided.py` (which changes may be read, and in which order), `reader.py` (reads
what the triggers copied).
"""
