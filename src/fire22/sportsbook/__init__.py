"""One domain on the server: a sportsbook, in rooms whose imports run one way.

In reading order: `betting/` (what a bet is and pays); what reads facts: `registry/` (the gate before all figures),
`ticker/` (what is published as it happens), `accounting/`, `exposure/`, `kpi/`, `risk/`; what has to do with the book's
database: `book/`, `desk/` (commands that act on it), `replay/` (recorded files into it), `demo/` (the invented book).
`domain.py` hands all of it to the application, with `settings.py` and `roles.py`; `reconcile.py` compares a book with
the figures.
"""
