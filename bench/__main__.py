"""`python -m bench [NAME ...] [--quick]`: measure everything, or what is named."""

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Final

from bench.report import Report, Row, machine, table

NAMES: Final = (
    "log",
    "tokens",
    "audit",
    "costs",
    "flows",
    "latency",
    "delivery",
    "crowd",
    "resume",
    "stopped",
    "attack",
    "mix",
    "pauses",
    "wire",
    "start",
    "simulator",
    "restart",
    "backup",
    "memory",
)


def main() -> None:
    """Measure, say what is found as it comes, and print the whole table at the end."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ourselves beside peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all of them if none is named")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds, for a first look")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are: {', '.join(NAMES)}")
    print(f"On {machine()}.\n", flush=True)
    rows: list[Row] = []
    notes: list[str] = []
    for name in arguments.names or NAMES:
        report = _run(name, quick=arguments.quick)
        rows += report.rows
        notes += [f"{name}: {note}" for note in report.notes]
    print(table(rows))
    print("\nThe ratio says how many times better than the peer.")
    for note in notes:
        print(f"- {note}")


def _run(name: str, *, quick: bool) -> Report:
    measure: Callable[..., Report] = importlib.import_module(f"bench.{name}").measure
    began = time.monotonic()
    report = measure(quick=quick)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return report


if __name__ == "__main__":
    main()
