"""What was won, lost, paid and earned, by customer, agent and period.

In reading order: `ledger.py` (balances, entry by entry); the day book: `daybook.py`, `customer_day.py` (its cells),
`day_accounts.py` (whose), `open_periods.py`, `past_days.py`, `period_totals.py`; what is summed of it:
`weekly_figures.py`, `commission_plans.py` (what agents earn), `commission_totals.py`, `commissions.py`, `reports.py`,
`revisions.py` (how often one was restated).
"""
