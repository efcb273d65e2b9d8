"""What the book is known to hold, and the gate before every figure: which facts fit what was told before.

In reading order: `flow.py` (the gate), `open_wager.py` and `wager_table.py` (its wagers), `reviews.py` (those that wait
to be accepted) on `waiting_list.py`, `agent_tree.py` (which scopes there are).
"""
