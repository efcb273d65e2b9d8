"""The key figures of a book and of each of its sub-trees.

In reading order: `flow.py`, `scope_figures.py` (of one scope), `rollup.py` (up the tree, once a commit group),
`presence.py` (who is active and who is online), `active_customers.py` (the windows of it).
"""
