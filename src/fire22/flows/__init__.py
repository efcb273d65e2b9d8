"""Flows fold events into state and messages: pure functions, which the runner drives.

In reading order: `base.py` (what a flow is); `engine.py` (all flows, folded by hand: groups in, batches out) with
`horizon.py` (when a fact counts), `state.py` (what is stored of it) and `output.py` (what is published at the end of a
group); `runner.py` (from the log, to the feed); `faults.py` (what a flow's own failure costs).
How flows keep rows: `journal.py` (rows that change with nearly every event), `kept.py` (rows that are objects),
`packed.py` (millions of small ones), `backlog.py` (what is yet to be published).
The server's own flows: `relay.py` (open topics), `letters.py` (dead letters), `trail.py` (the audit trail;
`audit_check.py` verifies it). `questions.py` answers from the flows.
Folding again: `replica.py` (without a feed), `replay_check.py`, `recompute.py` (archived documents), `rebuild.py` (a
damaged file).
"""
