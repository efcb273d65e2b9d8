"""What should be looked at: `alerts.py` (the flow), `base.py` (what a rule is), `rules/` (one a file), `recall.py`,
`customer_history.py` and `backers.py` (what rules remember), `alert_queue.py` (what they have opened).
"""
