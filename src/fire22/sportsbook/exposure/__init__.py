"""What the book can lose on its open wagers, for each scope.

In reading order: `flow.py`, `books.py` (what a wager does to every scope that sees it), `netting.py` (straight wagers),
`parlay.py` (what is left of a parlay), `linked_markets.py` and `components.py` (which markets parlays link),
`worst_case.py` (their worst joint outcome), `search_schedule.py` (when it is searched), `view.py` and `documents.py`
(what is said when), `top_markets.py`, `what_if.py`.
"""
