"""SQLite books.

In reading order: `connection.py` (opens one, and names its errors), `install.py` (puts triggers in it), `reader.py`
(reads what they copied).
"""
