"""The key figures of a book and of each of its sub-trees.

In reading order: `flow.py`, `scope_figures.py` (of one scope), `rollup.py` (up the tree, once a commit group),
`active_customers.py` (who was seen lately).
"""
