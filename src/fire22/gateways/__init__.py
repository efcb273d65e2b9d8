"""The transports, and what is the same for all of them.

In reading order: `sign_in.py` (who asks), `service.py` (what is checked of each request), `commands.py` (what each
command does), `replies.py` and `errors.py` (what is answered), `connection.py` (who is connected, places, commands in
order, ends), `quota.py` and `deadlines.py` (who holds how many connections, who is late), `tcp.py` and `liveness.py`
(a connection on a socket of its own, and whether its peer is still there). One transport is `websocket.py` with
`handshake.py` and `echo.py`, the other `http/`; `dead_letters.py` is served by HTTP alone.
"""
