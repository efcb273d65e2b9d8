"""What should be looked at.

In reading order: `alerts.py` (the flow), `base.py` (what a rule is), `rules/` (one a file), `context.py` (what every
rule is given), `customer_history.py` and `prices.py` (what it remembers), `expiring_table.py` (for how long),
`backers.py` (who has backed an outcome of late), `alert_queue.py` (what rules have opened).
"""
