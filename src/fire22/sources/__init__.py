"""Sources make events of what changes in a book's database, and of time.

In reading order: `base.py` (what a source is, and what each kind of database brings), `kinds.py` (the kinds there are),
`reading.py` (from a book to the log), `follower.py` (the book's changes), `mirror/` (a copy of the book, whose
triggers make the facts), `events.py` (facts become events), `sqlite/` (SQLite books), `postgres/` (PostgreSQL books);
`pipeline.py` (a book that is read in a thread of the server), `process.py` (in a process of its own), `child.py` (that
process), `wire.py` (what the two say to each other), `opening.py` (makes either); `clock.py` (the watermark), `idle.py`
(nothing happens), `own_events.py` (which appends what both say).
"""
