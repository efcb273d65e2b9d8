"""The desk: commands that act on the book, checked, once for each key, in one transaction of the book.

Nothing here says an event or touches a figure: a command writes the book's tables as the book's own program would, and
the events come from the triggers.

In reading order: `commands.py` (what can be asked), `execution.py` (takes a command, and answers once it is durable),
`orders.py` (how it is read and remembered), `case.py` (one command at work), `permits.py` (who may do what),
`approvals.py` (what waits for a second person), `reads.py` (what is read before it is decided), `limits.py` (how much
one wager may be), `wagers.py`, `accounts.py`, `markets.py` and `alerts.py` (what each command does), `settings.py`.
"""
