"""Customers of several agents on one selection within minutes, from one address: a syndicate that splits its money.

That customers of several agents back one side is what happens at every popular game; that they sit at one address while
their agents know nothing of each other is not. `linked = false` drops that condition.

Nothing of its own is kept: the wagers are the open ones, which the registry knows. One that is settled within the
window no longer counts.
"""

from typing import ClassVar, Final, Literal

from fire22.core.scope import common_path
from fire22.sportsbook.registry.open_wager import OpenWager
from fire22.sportsbook.risk.base import Count, Entity, Finding, Rule, RuleSettings, Scene, Seconds, listed, side_of

LATE: Final = 2  # windows behind the watermark, from which on a wager comes too late to be counted


class AgentSwarmSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        agents: so many or more ...
        window_s: ... within less than this.
        linked: only wagers from one address.
        exempt_channels: whose address is not the customer's own.
    """

    agents: Count = 3
    window_s: Seconds = 300
    linked: bool = True
    exempt_channels: tuple[str, ...] = ("agent", "phone")


class AgentSwarm(Rule):
    """One alert for each selection; at the deepest agent over all of it."""

    name: ClassVar[str] = "agent_swarm"
    settings_type: ClassVar[type[RuleSettings]] = AgentSwarmSettings
    looks_at: ClassVar[Literal["all", "straight", "parlays"]] = "straight"
    settings: AgentSwarmSettings

    def adjust(self) -> None:
        """Take the window."""
        self._window_ms = self.settings.window_s * 1_000
        self._exempt = frozenset(self.settings.exempt_channels)
        self.needs_address = self.settings.linked
        self.loaded()

    def loaded(self) -> None:
        """Derive the recent wagers from those that are open."""
        self._groups: dict[tuple[str, str], list[str]] = {}
        self._swept_ms = self.context.watermark_ms
        # By the watermark, not by what was swept when: a restart must find the same.
        self._since_ms = self._swept_ms - LATE * self._window_ms
        for wager in self.book.wagers():
            self.resumed(wager)

    def resumed(self, wager: OpenWager) -> None:
        """Remember a wager where it counts."""
        if len(wager.legs) == 1 and wager.at_ms > self._since_ms:
            ip = self._address(wager)
            if ip is not None:
                self._groups.setdefault((wager.legs[0].selection_id, ip), []).append(wager.wager_id)

    def placed(self, scene: Scene) -> Finding | None:
        """Judge a straight wager by those on its selection, from its address."""
        bet = scene.bet
        ip = self._address(bet)
        if ip is None or bet.at_ms <= self._since_ms:
            return None
        key = (bet.legs[0].selection_id, ip)
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = [bet.wager_id]
            return None
        group.append(bet.wager_id)
        return self._judge(scene, group) if len(group) >= self.settings.agents else None

    def clock(self, now_ms: int) -> tuple[Finding, ...]:
        """Forget, once a window, what is too old to count, or over."""
        self._since_ms = now_ms - LATE * self._window_ms
        if now_ms - self._swept_ms >= self._window_ms:
            self._swept_ms = now_ms
            for key, group in list(self._groups.items()):
                kept = [one.wager_id for one in self._counting(group)]
                if kept:
                    self._groups[key] = kept
                else:
                    del self._groups[key]
        return ()

    def _address(self, wager: OpenWager) -> str | None:
        """What links a wager with others; None where it does not count."""
        if not self.settings.linked:
            return ""
        return wager.ip if wager.ip and wager.channel not in self._exempt else None

    def _counting(self, group: list[str]) -> list[OpenWager]:
        """The wagers of a group that are open, and not too old."""
        wagers = (self.book.wager(id) for id in dict.fromkeys(group))
        return [one for one in wagers if one is not None and one.at_ms > self._since_ms]

    def _judge(self, scene: Scene, group: list[str]) -> Finding | None:
        """The window of the most agents that this wager lies in."""
        bet, span_ms = scene.bet, self._window_ms
        near = [one for one in self._counting(group) if abs(one.at_ms - bet.at_ms) < span_ms]
        near.sort(key=lambda one: (one.at_ms, one.wager_id))
        ends = [one.at_ms for one in near if one.at_ms >= bet.at_ms]
        windows = [[one for one in near if end - span_ms < one.at_ms <= end] for end in ends]
        best = max(windows, key=_agents, default=[])
        return self._found(scene, best) if bet in best and _agents(best) >= self.settings.agents else None

    def _found(self, scene: Scene, group: list[OpenWager]) -> Finding:
        leg = scene.bet.legs[0]
        name = side_of(scene.market, leg.market_id, leg.selection_id)
        money = sum(one.risk for one in group)
        return Finding(
            cause=leg.selection_id,
            entity=Entity("selection", leg.selection_id, name),
            severity=self.settings.severity,
            path=common_path(one.path for one in group),
            at_ms=scene.move.at_ms,
            title=f"Customers of {_agents(group)} agents put {self.said(money)} on {name} within minutes.",
            evidence={
                "agents": _agents(group),
                "agentIds": listed(sorted({one.agent_id for one in group})),
                "customerIds": listed(sorted({one.customer_id for one in group})),
                "ips": listed(sorted({one.ip for one in group if one.ip})),
                "risk": self.major(money),
                "tookSeconds": (group[-1].at_ms - group[0].at_ms) / 1_000,
            },
            wager_ids=tuple(one.wager_id for one in group),
            market_id=leg.market_id,
        )


def _agents(group: list[OpenWager]) -> int:
    return len({one.agent_id for one in group})
