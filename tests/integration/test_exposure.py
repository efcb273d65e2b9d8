"""Exposure of a running server over HTTP: the view of a scope, questions about outcomes, and who may ask."""

from pathlib import Path

import pytest

from fire22 import app
from fire22.core.message import Json
from fire22.core.times import to_text
from tests.integration.inside import make_book, make_config, sign, until
from tests.integration.test_http import request


def told(id: str, type: str, data: dict[str, Json]) -> Json:
    """An event."""
    return {"id": id, "type": type, "source": "test", "timestamp": to_text(app.now_ms()), "data": data}


def wager(id: str, selection: str, risk: int, to_win: int) -> Json:
    """A straight wager on one market."""
    data: dict[str, Json] = {
        "wagerId": id, "wagerNumber": 1, "customerId": "CX", "agentId": "A1", "path": "/M1/A1", "type": "straight",
        "riskMinor": risk, "toWinMinor": to_win, "freePlay": False, "channel": "web", "status": "accepted",
        "version": 1, "legs": [{"marketId": "m", "selectionId": selection, "odds": 1.9}],
    }  # fmt: skip
    return told(id, "wager.placed", data)


async def test_exposure_over_http(tmp_path: Path) -> None:
    """A risk manager asks what if, and follows the view; a customer does neither, an agent only within its scope."""
    config = make_config(tmp_path / "data", make_book(tmp_path / "book.db"), exposure={"interval_ms": 100})
    async with app.running(config) as server:
        await until(lambda: server.delivery.knows_scope("/M1/A1"))
        customer: dict[str, Json] = {
            "customerId": "CX",
            "agentId": "A1",
            "path": "/M1/A1",
            "name": "X",
            "status": "active",
        }
        events = [told("c", "customer.created", customer), wager("x1", "A", 1_100, 1_000), wager("x2", "B", 550, 500)]
        assert (await request(server, "POST", "/v1/events", events)).status == 202
        await until(lambda: server.delivery.document("exposure", "/M1/A1", "m"))
        view = await request(server, "GET", "/v1/views/exposure?scope=/M1/A1", token=sign(server, role="risk"))
        documents = view.json["documents"]
        assert isinstance(documents, list)
        assert {"", "m"} <= {str(each.get("key", "")) for each in documents if isinstance(each, dict)}
        path = "/v1/query/what-if?scope=/M1/A1&outcome=A"
        answer = await request(server, "GET", path, token=sign(server, role="agent", scope="/M1"))
        assert (answer.status, answer.json["pnl"], answer.json["isBound"]) == (200, -4.5, False)
        for query, role, scope, code in (
            (path, "customer", "/M1/A1/@CX", "topic_forbidden"),
            (path, "agent", "/M2", "scope_forbidden"),
            (path + "&outcome=B", "risk", "/", "command_invalid"),
            ("/v1/query/what-if?outcome=Z", "risk", "/", "not_found"),
            ("/v1/query/weather", "risk", "/", "not_found"),
        ):
            refused = await request(server, "GET", query, token=sign(server, role=role, scope=scope))
            assert refused.code == code


@pytest.mark.parametrize("role", ["customer", "cashier"])
async def test_customers_and_cashiers_do_not_see_exposure(tmp_path: Path, role: str) -> None:
    """What the book may lose is not for them."""
    async with app.running(make_config(tmp_path / "data")) as server:
        refused = await request(server, "GET", "/v1/views/exposure", token=sign(server, role=role))
        assert refused.code == "topic_forbidden"
