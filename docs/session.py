"""Writes the page "A whole session" from a real server: `python -m docs.session`.

A server without a book runs on a temporary folder. Each step sends a command as a client would, and waits for answers.
What differs between two runs (times, offsets, the epoch) is written the same way, so that a test can compare.
"""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import websockets

PAGE: Final = Path(__file__).parent / "pages" / "protocol" / "transcript.md"
PORT: Final = 21_650
WAIT_S: Final = 30
WHEN: Final = "2026-01-31T12:00:00.250Z"  # of the events
NOW: Final = "2026-01-31T12:00:01.000Z"  # of everything that the server dates
EPOCH: Final = "1f0c9a2b"
FIRST_OFFSET: Final = 101
FIRST_SEQ: Final = 11
WIDTH: Final = 84
SCOPE: Final = "/M1/@C12"
Frame = dict[str, Any]

HEAD: Final = """# A whole session

These are the frames of one session, with the subprotocol `fire22.v1.plain`: each frame is one JSON message.
`python -m docs.session` recorded them from a real server, and a test compares them with what the server sends now.
Times, offsets and the epoch are made even. Ticks are shown where they tell something.
"""


def event(number: int, type: str, data: Frame) -> Frame:
    """An event of a book."""
    return {"id": f"book-7:{number}", "type": type, "source": "book-7", "timestamp": WHEN, "data": data}


AGENT: Final = event(
    1, "agent.created", {"agentId": "M1", "name": "Master", "path": "/M1", "level": 1, "status": "active"}
)
WHO: Final = {"customerId": "C12", "agentId": "M1", "path": "/M1"}
CUSTOMER: Final = event(2, "customer.created", {**WHO, "name": "Anna", "status": "active", "creditLimitMinor": 50_000})


def placed(number: int, wager: str, risk_minor: int) -> Frame:
    """An accepted wager."""
    data = {
        "wagerId": wager, "wagerNumber": number, **WHO, "type": "straight", "riskMinor": risk_minor,
        "toWinMinor": risk_minor, "freePlay": False, "channel": "web", "status": "accepted", "version": 1,
        "legs": [{"marketId": "K1", "selectionId": "S1", "odds": 2.0}],
    }  # fmt: skip
    return event(number, "wager.placed", data)


class Session:
    """One connection after the other, and what the page says of them."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._socket: websockets.ClientConnection | None = None
        self._number = 0
        self.parts: list[str | list[tuple[str, Frame]]] = []
        self.position = ""

    async def open(self) -> None:
        """Connect."""
        headers = {"Authorization": f"Bearer {self._token}"}
        self._socket = await websockets.connect(f"{self._url}/v1/ws", additional_headers=headers, proxy=None)

    async def lose(self) -> None:
        """End the connection."""
        assert self._socket is not None
        await self._socket.close()

    def say(self, text: str) -> None:
        """A heading or a paragraph of the page."""
        self.parts.append(text)

    async def ask(self, command: Frame, *types: str) -> None:
        """Send a command, and show what comes: its answer, and one message of each of the types."""
        assert self._socket is not None
        self._number += 1
        sent = {"id": self._number, **command}
        await self._socket.send(json.dumps(sent))
        frames: list[tuple[str, Frame]] = [("To the server", sent)]
        missing = ["answer", *types]
        async with asyncio.timeout(WAIT_S):
            while missing:
                found = json.loads(await self._socket.recv())
                if found["type"] == "tick":
                    self.position = found["data"]["position"]
                kind = "answer" if found.get("id") == self._number else found["type"]
                # The tick is that behind the messages, whether or not the answer has come by then.
                if kind in missing and not (kind == "tick" and set(missing) - {"answer", "tick"}):
                    missing.remove(kind)
                    frames.append(("From the server", found))
        # An answer comes before or after what it brings about.
        order = {"update": 1, "wager_update": 2, "tick": 3}
        answers = [(who, each) for who, each in frames if "id" in each]
        others = [(who, each) for who, each in frames if "id" not in each]
        self.parts.append(answers + sorted(others, key=lambda pair: order[pair[1]["type"]]))

    async def wait_for_document(self, topic: str, scope: str) -> None:
        """Wait until a view has a document."""
        request = urllib.request.Request(
            f"{self._url.replace('ws:', 'http:')}/v1/views/{topic}?scope={scope}",
            headers={"Authorization": f"Bearer {self._token}"},
        )

        def look() -> None:
            deadline = time.monotonic() + WAIT_S
            while time.monotonic() < deadline:
                # An agent that is not folded yet is an unknown scope.
                with (
                    contextlib.suppress(urllib.error.HTTPError),
                    urllib.request.urlopen(request, timeout=WAIT_S) as answer,
                ):
                    if json.load(answer)["documents"]:
                        return
                time.sleep(0.05)
            raise TimeoutError(f"{topic} has no document at {scope}")

        await asyncio.to_thread(look)


async def play(session: Session) -> None:
    """The whole session."""
    session.say("## Publish\n\nThe role `service` may publish. An event is on disk when its reply comes.")
    await session.open()
    await session.ask({"command": "publish", "event": AGENT})
    session.say("The same event again is a repeat:")
    await session.ask({"command": "publish", "event": AGENT})
    await session.ask({"command": "publish", "event": CUSTOMER})
    # Durable is not folded yet: until then the agent and its customer are unknown scopes.
    await session.wait_for_document("balances", SCOPE)
    session.say("## Subscribe to a stream\n\nNothing has happened yet, so the snapshot is empty.")
    await session.ask({"command": "subscribe", "target": "wagers", "scope": "/M1", "last": 2})
    session.say("## Subscribe to a view\n\nThe snapshot has the document. With `delta`, patches follow.")
    await session.ask({"command": "subscribe", "target": "balances", "scope": SCOPE, "delta": True})
    session.say(
        "## A wager is placed\n\nThe patch of the view and the message of the stream come, and a tick ends the flush.\n"
        "The client stores the position of the tick."
    )
    command = {"command": "publish", "event": placed(3, "W1", 2_000)}
    await session.ask(command, "wager_update", "update", "tick")
    session.say("## Errors\n\nA refused command has a code. The connection goes on.")
    await session.ask({"command": "subscribe", "target": "wagers", "scope": "M1"})
    stored = session.position
    session.say(
        "## The connection is lost\n\nMeanwhile a second wager is placed. The client connects again.\n"
        "It subscribes after the position that it has stored, and gets what it missed, without a snapshot."
    )
    await session.lose()
    quiet = Session(session._url, session._token)
    await quiet.open()
    await quiet.ask({"command": "subscribe", "target": "wagers", "scope": "/M1"})
    await quiet.ask({"command": "publish", "event": placed(4, "W2", 1_000)}, "wager_update")
    await quiet.lose()
    await session.open()
    command = {"command": "subscribe", "target": "wagers", "scope": "/M1", "after": stored}
    await session.ask(command, "wager_update", "tick")
    session.say("## Read back\n\n`history` reads older messages. `before` is what to ask with next.")
    await session.ask({"command": "history", "target": "wagers", "scope": "/M1", "limit": 1})
    session.say("## End")
    await session.ask({"command": "unsubscribe", "target": "wagers", "scope": "/M1"})
    await session.lose()


def even(parts: list[str | list[tuple[str, Frame]]]) -> list[str | list[tuple[str, Frame]]]:
    """The same parts with times, epoch and offsets that every run has."""
    text = json.dumps(parts, ensure_ascii=False)
    text = re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"', lambda found: found[0] if WHEN in found[0] else f'"{NOW}"', text)
    offsets = {
        int(each)
        for pair in re.findall(r'"(?:offset|base|before)": (\d+)|"[0-9a-f]{8}-(\d+)"', text)
        for each in pair
        if each
    }
    numbers = {offset: FIRST_OFFSET + place for place, offset in enumerate(sorted(offsets))}
    text = re.sub(r'"(offset|base|before)": (\d+)', lambda found: f'"{found[1]}": {numbers[int(found[2])]}', text)
    text = re.sub(r'"[0-9a-f]{8}-(\d+)"', lambda found: f'"{EPOCH}-{numbers[int(found[1])]}"', text)
    seqs = sorted({int(each) for each in re.findall(r'"seq": (\d+)', text)})
    text = re.sub(r'"seq": (\d+)', lambda found: f'"seq": {FIRST_SEQ + seqs.index(int(found[1]))}', text)
    result: list[str | list[tuple[str, Frame]]] = json.loads(text)
    return result


def shown(value: Any, indent: int = 0, taken: int = 0) -> str:
    """A frame in lines of a readable width.

    Args:
        indent: of the lines after the first one.
        taken: how much of the first line is taken already.
    """
    text = json.dumps(value, ensure_ascii=False)
    if indent + taken + len(text) <= WIDTH or not isinstance(value, dict | list) or not value:
        return text
    named = isinstance(value, dict)
    pairs = [(f"{json.dumps(key)}: ", value[key]) for key in value] if named else [("", each) for each in value]
    lines, line = [], "{" if named else "["
    for number, (key, each) in enumerate(pairs):
        flat = key + json.dumps(each, ensure_ascii=False)
        if number and indent + len(line) + len(flat) + 3 > WIDTH:
            lines.append(line)
            line = " " * (indent + 1)
        elif number:
            line += " "
        line += key + shown(each, indent + 1, len(line) + len(key)) + ("," if number < len(pairs) - 1 else "")
        *done, line = line.split("\n")
        lines += done
    return "\n".join([*lines, line]) + ("}" if named else "]")


def page(parts: list[str | list[tuple[str, Frame]]]) -> str:
    """The page."""
    texts = [HEAD]
    for part in parts:
        if isinstance(part, str):
            texts.append(part + "\n")
        else:
            texts += [f'```json title="{title}"\n{shown(frame)}\n```\n' for title, frame in part]
    return "\n".join(texts)


def record(folder: Path, port: int = PORT) -> str:
    """The page, as a server says it now.

    Args:
        folder: empty, for the server's data.
    """
    command = [sys.executable, "-m", "fire22"]
    data = ["--data", str(folder / "data")]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, "serve", *data, "--port", str(port)], stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout is not None
        try:
            next(line for line in server.stdout if "/#code=" in line)
            token = subprocess.run(
                [*command, "token", *data, "--role", "service"], capture_output=True, text=True, check=True
            )
            session = Session(f"ws://127.0.0.1:{port}", token.stdout.strip())
            asyncio.run(play(session))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(WAIT_S)
    return page(even(session.parts))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(record(Path(folder)))
