"""HTTP, on the port that WebSockets share.

In reading order: `application.py` (all addresses, errors, headers), `requests.py` (who asks, parameters, bodies),
`reading.py` (snapshots, history, archive, questions), `writing.py` (events, commands, dead letters), `session.py`
(a browser's sign-in), `archive.py` (closed periods as JSON, CSV), `protocol.py` (how long a request may take to come).
"""
