"""Requests made from the description of the HTTP interface: `python -m tests.security.api_cases --cases 10000`.

Starts a demo of its own, takes ids that exist from it, and lets schemathesis (the program beside this Python) make
requests that fit the description and requests that do not. Every answer must be as described, and none a fault of the
server (5xx). Ends with 1 where one is not.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2

from tests.integration.processes import Server, run_program, serving

HOOKS = "tests.security.api_hooks"
TOPICS = ("wagers", "balances", "exposure", "payment_queue")
CHECKS = "not_a_server_error,response_schema_conformance"
PHASES = "examples,coverage,fuzzing"
TOTAL = re.compile(r"^\s+(\d+) generated", re.MULTILINE)
SETTLE_S = 8.0  # until the demo has some of everything


async def ids(url: str, token: str) -> dict[str, list[str]]:
    """What exists: the values of all fields of documents that name something, by the field."""
    found: dict[str, dict[str, None]] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                if isinstance(each, str) and (name.endswith(("Id", "path", "key")) or name == "status"):
                    found.setdefault(name, {})[each] = None
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    async with httpx2.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}) as client:
        for topic in TOPICS:
            for kind in ("views", "history"):
                look((await client.get(f"/v1/{kind}/{topic}")).json())
    return {name: list(values)[:200] for name, values in found.items()}


async def run(cases: int, seed: int, folder: Path) -> int:
    """Start the demo and attack it; the exit code."""
    async with serving(Server("demo", folder / "data", "--seed", str(seed), "--rate", "20")) as server:
        await asyncio.sleep(SETTLE_S)
        token = (await run_program("token", "--data", str(server.data), "--role", "admin", "--scope", "/")).split()[-1]
        known = await ids(server.url, token)
        (folder / "ids.json").write_text(json.dumps(known))
        print(f"seed {seed}; ids: {', '.join(f'{len(each)} {name}' for name, each in sorted(known.items()))}")
        generated, each = 0, 40
        while generated < cases:
            code, count = await attack(server.url, token, folder, seed, each)
            generated += count
            if code:
                return code
            seed, each = seed + 1, min(1_000, max(each, each * (cases - generated) // max(count, 1)))
        print(f"{generated} cases, no answer of 5xx and none other than described")
    return 0


async def attack(url: str, token: str, folder: Path, seed: int, each: int) -> tuple[int, int]:
    """One run with `each` cases for an address; its exit code and how many cases there were."""
    environment = os.environ | {"SCHEMATHESIS_HOOKS": HOOKS, "FIRE22_IDS": str(folder / "ids.json")}
    arguments = ["run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {token}", "--checks", CHECKS, "--no-color"]
    arguments += [
        "--phases",
        PHASES,
        "-n",
        str(each),
        "--seed",
        str(seed),
        "--continue-on-failure",
        "--warnings",
        "off",
    ]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    text = said.decode()
    total = TOTAL.search(text)
    if process.returncode or total is None:
        print(text, file=sys.stderr)
        return process.returncode or 1, 0
    return 0, int(total[1])


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(options.cases, options.seed, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
