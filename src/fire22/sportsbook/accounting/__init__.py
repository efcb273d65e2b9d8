"""What was won, lost, paid and earned, by customer, agent and period.

In reading order: `ledger.py` (balances, entry by entry); the day book: `daybook.py` (the flow), `accounts.py` (where a
fact counts), `customer_day.py` (its cells), `day_accounts.py` (whose), `late_facts.py`, `open_periods.py`,
`past_days.py`, `ended_periods.py` and `period_totals.py`; what is summed of it: `weekly_figures.py`,
`commission_plans.py` (what agents earn), `commission_totals.py`, `commissions.py`, `reports.py`, `revisions.py` (how
often one was restated); `settings.py`.
"""
