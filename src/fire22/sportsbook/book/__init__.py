"""The book's database: `changes.py` (what can be changed, as data), `writer.py` (writes it), and `schema/` (what a book
looks like, and how a book with other tables becomes that).
"""
