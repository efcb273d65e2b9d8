"""What all tests share."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

# A busy machine must not fail a test: how long an example takes says nothing of what it shows.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
EXTERNAL = ROOT.parent / "shared" / "data"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With FIRE22_NO_SKIPS a skipped test is a failed one, but for data that is kept outside the project."""
    report = yield
    if report.skipped and os.environ.get("FIRE22_NO_SKIPS") and not item.get_closest_marker("external_data"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that gives way to others would take this process, and all tests after it, along."""
    monkeypatch.setattr(os, "nice", lambda _: 0)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium on this machine; apt-get install -y chromium")


@pytest.fixture(scope="session")
def recorded_wagers() -> Path:
    """The 50,000 recorded wagers."""
    path = EXTERNAL / "bustabit" / "wagers.csv.gz"
    if not path.exists():
        pytest.skip(f"the recorded wagers are not at {path}")
    return path
