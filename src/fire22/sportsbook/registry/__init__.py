"""What the book is known to hold, and the gate before every figure: which facts fit what was told before.

In reading order: `flow.py` (the gate), `movement.py` (what a fact of a wager does), `records.py` (agents, customers,
markets), `directory.py` and `markets.py`, which keep them, `open_wager.py` and `wager_table.py` (its wagers),
`published_leg.py` (what was bet on, as it is said), `currencies.py` (what amounts are worth) and `conversion.py` (facts
in other currencies), `reviews.py` (wagers that wait to be accepted) on `waiting_list.py`, `agent_tree.py` (which scopes
there are).
"""
