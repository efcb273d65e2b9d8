"""Delivers the feed to connections: every message is encoded once, and its bytes are shared by all who follow the same.

In reading order: `base.py` (what gateways may call, and a connection as the hub sees it); `delivery.py`, which is put
together of all that follows, and `loop.py`, which drives it.
What connections share: `codec.py` (messages to bytes), `encoding.py` (a message, or a document's change), `lane.py`,
`lanes.py` and `index.py` (which lanes a message reaches), `views.py` (documents as of the live edge).
Where connections stand: `edge.py` (up to where has been written, and how complete that is), `placement.py` (live,
behind, ahead), `recipients.py` (who can be addressed).
What is written: `flush.py` (the live path), `pacing.py` (when a lane may be written to), `ticks.py`, `catch_up.py` (who
is behind reads on), `history.py` (blocks, snapshots, history), `statistics.py` (what was done).
"""
