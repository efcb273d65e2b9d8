"""Time from `fire22 demo` on an empty folder to the first figure in a browser."""

import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from playwright.sync_api import Browser, Playwright, sync_playwright

from bench.processes import Child, child, free_port, wait_for
from bench.report import Report, Row

TARGET_S: Final = 5
CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LINK: Final = re.compile(rb"http://\S+/#code=\S+")
FIGURE: Final = ".kpi-value:not(.is-empty)"
STATIC: Final = '<!doctype html><title>Static</title><p class="kpi-value">1</p>'
WAIT_S: Final = 60
PEER: Final = "http.server, static page"
Program = Callable[[], AbstractContextManager[str]]


class Started(Struct, frozen=True):
    """Seconds from the start of the program: the browser was told to open the page; the figure was there."""

    opened_s: float
    figure_s: float


def measure(*, quick: bool) -> Report:
    """In turns with a static page of the standard library, in a browser that runs and in one that starts as well."""
    if not Path(CHROMIUM).exists():
        return Report((), (f"not measured: there is no {CHROMIUM}",))
    rounds = 1 if quick else 5
    with sync_playwright() as playwright, _browser(playwright) as browser:
        warm = [(_open(_demo, browser), _open(_static, browser)) for _ in range(rounds)]
        cold = [(_cold(playwright, _demo), _cold(playwright, _static)) for _ in range(rounds)]
    ours, peer = [one for one, _ in warm], [other for _, other in warm]
    sides = tuple(zip(*warm, strict=True))
    ours, peer = (statistics.median(one.figure_s for one in side) for side in sides)
    ours_cold, peer_cold = (statistics.median(side) for side in zip(*cold, strict=True))
    printed = statistics.median(one.opened_s for one, _ in warm)
    browsers = statistics.median(other.figure_s - other.opened_s for _, other in warm)
    return Report(
        (
            Row("start to the first figure, s, browser running", ours, "less", TARGET_S, peer, PEER),
            Row("start to the first figure, s, browser started too", ours_cold, "less", TARGET_S, peer_cold, PEER),
        ),
        (
            f"{rounds} rounds in turns, a new folder and a new browser profile each; the sign-in link was printed "
            f"after {printed:.2f} s, the rest is the page: sign-in, modules, WebSocket, snapshot",
            f"the static page is there {browsers:.2f} s after the browser was told to open it: that much is its own",
        ),
    )


def _open(program: Program, browser: Browser) -> Started:
    began = time.perf_counter()
    with program() as link:
        opened_s = time.perf_counter() - began
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(link, wait_until="commit")
            page.wait_for_selector(FIGURE, timeout=WAIT_S * 1000)
            return Started(opened_s, time.perf_counter() - began)
        finally:
            context.close()


def _cold(playwright: Playwright, program: Program) -> float:
    began = time.perf_counter()
    with _browser(playwright) as browser:
        launched_s = time.perf_counter() - began
        return launched_s + _open(program, browser).figure_s


@contextmanager
def _browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def _demo() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        child("fire22", "demo", "--data", Path(folder) / "demo", "--port", free_port()) as process,
    ):
        yield _link(process)


def _link(process: Child) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = LINK.search(process.line(WAIT_S))
        if found:
            return found[0].decode()
    raise TimeoutError("the demo printed no link")


@contextmanager
def _static() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_text(STATIC)
        with child("http.server", port, "--bind", "127.0.0.1", "--directory", folder):
            url = f"http://127.0.0.1:{port}/"
            wait_for(url)
            yield url
