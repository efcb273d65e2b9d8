"""Peers in Python, each a process of its own: `python -m bench.peers hold|broadcast|relay --port N`.

They print `ready` when they listen, and end with SIGTERM. `bench/beside.py` starts these and those in other languages.
"""

import argparse
import asyncio
import json
import resource
import sqlite3
from pathlib import Path
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve

POLL_S: Final = 0.005
SELECT: Final = (
    "SELECT w.rowid, w.id AS wagerId, w.status, w.risk_cents / 100.0 AS amount, c.code AS customerId,"
    " a.code AS agentId, 'placed' AS action, w.wager_number AS wagerNumber, w.agent_path AS agentPath, w.type,"
    " w.to_win_cents / 100.0 AS toWin FROM wagers w JOIN customers c ON c.id = w.customer_id"
    " JOIN agents a ON a.id = w.agent_id WHERE w.rowid > ? ORDER BY w.rowid"
)


async def _hold(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def _relay(connection: ServerConnection) -> None:
    """Whatever comes on a connection to /publish goes to every other one."""
    if connection.request is None or connection.request.path != "/publish":
        await connection.wait_closed()
        return
    async for message in connection:
        broadcast(connection.server.connections - {connection}, message)


async def _broadcast(server: Server, book: Path) -> None:
    """The simplest thing that works: ask the table every few milliseconds, tell everybody every new row."""
    database = sqlite3.connect(f"file:{book}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    last = database.execute("SELECT coalesce(max(rowid), 0) FROM wagers").fetchone()[0]
    while True:
        await asyncio.sleep(POLL_S)
        connections = server.connections
        for row in database.execute(SELECT, (last,)):
            fields = dict(row)
            last = fields.pop("rowid")
            broadcast(connections, json.dumps({"type": "wager_update", "data": fields}))


async def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("kind", choices=("hold", "broadcast", "relay"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--book", type=Path)
    parser.add_argument("--compressed", action="store_true", help="agree on permessage-deflate, as it comes")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    handler = _relay if arguments.kind == "relay" else _hold
    compression = "deflate" if arguments.compressed else None
    async with serve(handler, "127.0.0.1", arguments.port, compression=compression, ping_interval=None) as server:
        print("ready", flush=True)
        if arguments.kind == "broadcast":
            await _broadcast(server, arguments.book)
        else:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
