"""HTTP, on the port that WebSockets share.

In reading order: `routes.py` (the table of routes), `route.py` (what a row holds, and what is enforced before its
handler runs), `application.py` (errors, headers), `requests.py` (parameters, bodies, answers), `reading.py` (snapshots,
history, archive, questions), `writing.py` (events, commands, dead letters), `roles.py` (who may what), `session.py` (a
browser's sign-in), `oidc.py` (that of another provider), `machines.py` (tokens of machines), `archive.py` (closed
periods as JSON, CSV), `operating.py` (health, metrics), `files.py` (the page), `protocol.py` (what a request may bring,
and how long it may take to come).
"""
