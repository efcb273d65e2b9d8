"""What a bet is and what it pays: pure arithmetic and the names of things, which every other room uses.

In reading order: `facts.py` (the data of every event), `bounds.py` (what its fields may hold), `terms.py` (what a
wager was agreed on) and `decoding.py` (how it is read), `money.py`, `odds.py`,
`settlement.py` (how a leg ended), `wager_types.py` (what each type of wager returns), `payoff.py` (what is then paid),
`lifecycle.py` (what may become of a wager), `payments.py` (and of a payment), `periods.py` (business days, weeks,
months), `settings.py` (a book's currency and calendar), `codes.py` and `errors.py`.
"""
