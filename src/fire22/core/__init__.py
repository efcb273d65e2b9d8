"""The pure core: no asyncio, no I/O, no clock, no randomness.

In reading order: `times.py`, `strict.py` (values that a person wrote), `codes.py` and `errors.py`;
what goes in: `event.py`, `address.py` (for whom alone), `role.py` (what a token lets its holder do), `outbox.py` (what
a user's database gets), `letter.py` (events that no flow could use), `audit.py` and `merkle.py` (who did what,
and its hashes);
what comes out: `topic.py`, `scope.py`, `position.py`, `message.py`, `patch.py`, `filter.py`, `sayable.py` (values that
every codec can encode), `question.py` (a question about figures);
the protocol: `frames.py` and `deflate.py` (WebSocket), `command.py` (what a client asks for), `interest.py` and
`session.py` (the client's half, fed by hand).
"""
