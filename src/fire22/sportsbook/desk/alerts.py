"""What the desk does about an alert. The alert is the risk rules'; that somebody took it up is the book's to keep."""

from typing import Final, Literal

from fire22.core.errors import RequestError
from fire22.sportsbook.betting import codes
from fire22.sportsbook.book import changes
from fire22.sportsbook.desk import commands
from fire22.sportsbook.desk.case import Case, Done

_ACTIONS: Final[dict[str, Literal["acknowledged", "closed"]]] = {
    "alert.acknowledge": "acknowledged",
    "alert.close": "closed",
}
# What may follow each status of an alert.
_FOLLOWING: Final = {"open": ("acknowledged", "closed"), "acknowledged": ("closed",), "closed": ()}


_ORDER: Final = ("", *_FOLLOWING)


def decide(case: Case, command: commands.DecideAlert) -> Done:
    """An alert is acknowledged or closed."""
    action = _ACTIONS[case.name]
    # The rules may not have heard yet what the book has; and what they close by themselves the book has not.
    before = max(case.read.alert_action(command.alert_id), case.alert_status, key=_ORDER.index)
    if action not in _FOLLOWING.get(before, ()):
        message = f"An alert that is {before} cannot be {action}."
        raise RequestError(codes.TRANSITION_ILLEGAL, message, details={"before": before, "after": action})
    case.write([changes.DecideAlert(command.alert_id, action, case.actor.subject, command.note, case.now_ms)])
    result = {"alertId": command.alert_id, "status": action}
    return Done(f"alert:{command.alert_id}", result, {"status": before}, {"status": action, "note": command.note})
