"""The demo: `catalogue.py` (what a new book holds), `simulator.py` (the outside process that writes it), and the book's
life, decided purely: from a seed, a rate, the book as it is found, and the time that is given.

In reading order: `world.py` (what is known of the book), `agents.py` (its agents), `offer.py` (its games and markets),
`prices.py` (what is true, what is offered, and how money moves it), `board.py` (what can be bet on), `bettors.py` (who
bets what), `sessions.py` (who is there), `bookmaker.py` (games from opening to the end), `grading.py` (results and
settlements), `counter.py` (the counter), `corrections.py` (cancellations, cash-outs), `cashier.py` (payments, limits),
`incidents.py` (what a back office must notice), `agenda.py` (what is due when), and `simulation.py`, which puts them
together; `loading.py` reads what is there, and `others.py` what others have done since. `create.py` makes the book,
`names.py` and `ids.py` name what is in it.
"""
