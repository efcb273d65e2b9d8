"""The book's database: `changes.py` (what can be changed, as data), `database.py` (opened, and one transaction),
`writer.py` (writes changes), `create.py` (a new one), `schema/` (what a book looks like, and how a book with other
tables becomes that), `configured.py` (what a source makes of its rows), `mapping_file.py`.
"""
