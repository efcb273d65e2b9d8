"""Lines of the log about refusals."""

from structlog.testing import capture_logs

from fire22.gateways.refusals import LINES_MAX, Refusals


def test_refusals_are_logged_at_a_bounded_rate() -> None:
    """An operator sees who is refused, and a flood fills no disk: what was left out is a number in the next line."""
    now = [0.0]
    with capture_logs() as lines:
        refusals = Refusals(lambda: now[0])
        for _ in range(LINES_MAX + 7):
            refusals.tell("forbidden", address="1.1.1.1", route="/v1/events")
        assert len(lines) == LINES_MAX
        now[0] = 1.0
        refusals.tell("forbidden", address="1.1.1.1", route="/v1/events")
    assert lines[0] == {
        "event": "refused",
        "log_level": "warning",
        "code": "forbidden",
        "address": "1.1.1.1",
        "route": "/v1/events",
    }
    assert lines[-1]["left_out"] == 7
