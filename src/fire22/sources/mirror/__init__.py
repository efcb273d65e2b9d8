"""A copy of a book in the shape that a domain wants, whose triggers make the facts.

In reading order: `file.py` (the SQLite file: its tables, facts and state), `statements.py` (the SQL of one table),
`rows.py` (one row is made as it shall be), `copy.py` (changes of a book, taken in order), `whole.py` (a whole book is
brought in, or compared), `seconds.py` (several rows with one key), `seal.py` (the checksum of a row),
`alike.py` (whether a mirror is of a book).
"""
