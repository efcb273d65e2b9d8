"""What the page shows of an alert's evidence, for every alert that the tests of the rules raise."""

import inspect
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fire22.sportsbook.risk.rules import RULES
from tests.support.risk_desk import Desk, Document
from tests.unit.sportsbook.risk import test_rules

SCRIPT = Path(__file__).parent / "evidence_of.js"
NUMBER = re.compile(r"(?<![\w.])[−+]?\d[\d,]*(?:\.\d+)?%?")
NO_WORDS = re.compile(r"\d{4}-\d\d-\d\dT|[0-9a-f]{8}-[0-9a-f]{4}-|[a-z]_[a-z]|undefined|NaN|\[object", re.I)


def raised() -> list[Document]:
    """The alerts that stand at the end of each test of a rule."""
    by_name = {rule.name: rule for rule in RULES}
    desks: list[Desk] = []

    def make(rule: str, *, clocked: bool = True, **settings: Any) -> Desk:
        desks.append(Desk((by_name[rule],), {rule: settings}, clocked=clocked))
        return desks[-1]

    for name, test in vars(test_rules).items():
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["make"]:
            test(make)
    return [alert for desk in desks for alert in desk.alerts()]


def shown(alerts: list[Document]) -> list[dict[str, Any]]:
    """What the page shows of each."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine; apt-get install -y nodejs")
    done = subprocess.run(
        [node, str(SCRIPT)], input=json.dumps(alerts), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    pages: list[dict[str, Any]] = json.loads(done.stdout)
    return pages


def test_the_evidence_of_every_rule_reads_as_its_title_does() -> None:
    """Whoever reads an alert finds each number of its title in the evidence, money as money, and no code or id."""
    alerts = raised()
    assert {alert["rule"] for alert in alerts} == {rule.name for rule in RULES}
    for alert, page in zip(alerts, shown(alerts), strict=True):
        said = ", ".join(f"{entry['title']} {entry['text']}" for entry in page["entries"])
        title = alert["title"].replace(alert["entity"]["name"], "")
        missing = [number for number in NUMBER.findall(title) if not _stands_in(number, said)]
        assert not missing, f"{alert['rule']}: {alert['title']} says {missing}; the evidence: {said}"
        assert not NO_WORDS.search(said), f"{alert['rule']}: {said}"
        assert not NO_WORDS.search(alert["title"]), f"{alert['rule']}: {alert['title']}"
        assert page["unknown"] == [], f"{alert['rule']}: nobody has told the page what {page['unknown']} are"


def _stands_in(number: str, text: str) -> bool:
    return re.search(rf"(?<![\d.,−]){re.escape(number)}(?![\d%]|[.,]\d)", text) is not None
