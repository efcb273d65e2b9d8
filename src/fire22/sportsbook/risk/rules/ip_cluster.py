"""Several accounts at one network address.

What an agent or a clerk on the phone enters comes from the desk's own address, so these channels do not count. When an
account was last seen is kept to a twenty-fourth of the window, so that an address which is used all day costs no row
for each wager.
"""

from typing import ClassVar, Final

from msgspec import Struct, field

from fire22.core.scope import common_path
from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.risk.base import DAY_S, Count, Entity, Finding, Rule, RuleSettings, Scene, Seconds, listed
from fire22.sportsbook.risk.expiring_table import ExpiringRow, ExpiringTable

ACCOUNTS_KEPT: Final = 100  # of an address: those seen last
STEPS: Final = 24


class IpClusterSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        accounts: so many or more ...
        window_s: ... seen within less than this.
        exempt_channels: that are not the customer's own.
        exempt_ips: addresses that many share: of an office, a shop, a proxy.
    """

    accounts: Count = 3
    window_s: Seconds = DAY_S
    exempt_channels: tuple[str, ...] = ("agent", "phone")
    exempt_ips: tuple[str, ...] = ()
    cooldown_s: Seconds = DAY_S


class ClusterAccount(Struct, frozen=True, gc=False, array_like=True):
    """A customer at an address; `wager_id` is empty where it only signed in."""

    at_ms: int
    path: str
    wager_id: str


class ClusterAddress(ExpiringRow, gc=False, array_like=True):
    """The accounts that were seen at one address."""

    accounts: dict[str, ClusterAccount] = field(default_factory=dict)


class IpCluster(Rule):
    """One alert for each address; at the deepest agent over all its accounts."""

    name: ClassVar[str] = "ip_cluster"
    settings_type: ClassVar[type[RuleSettings]] = IpClusterSettings
    settings: IpClusterSettings
    needs_address = True

    def adjust(self) -> None:
        """Take the window."""
        if not hasattr(self, "_addresses"):
            self._addresses: ExpiringTable[ClusterAddress] = ExpiringTable("ip_cluster", ClusterAddress, 0)
        self._window_ms = self._addresses.span_ms = self.settings.window_s * 1_000
        self._step_ms = self._window_ms // STEPS
        self._exempt = frozenset(self.settings.exempt_channels)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Addresses."""
        return (self._addresses.table,)  # type: ignore[return-value]

    def loaded(self) -> None:
        """Derive when which address is forgotten."""
        self._addresses.loaded()

    def renamed(self, before: str, customer_id: str) -> None:
        """One account by two codes is no cluster."""
        for ip, address in [each for each in self._addresses.table if before in each[1].accounts]:
            address.accounts = {customer_id if id == before else id: one for id, one in address.accounts.items()}
            self._addresses.touch(ip, address)

    def clock(self, now_ms: int) -> tuple[Finding, ...]:
        """Forget addresses that nobody used lately."""
        self._addresses.expire(now_ms)
        return ()

    def placed(self, scene: Scene) -> Finding | None:
        """An account wagers from an address."""
        bet = scene.bet
        if bet.channel in self._exempt:
            return None
        return self._seen(bet.ip, bet.customer_id, bet.path, bet.wager_id, scene.move.at_ms)

    def signed_in(self, session: facts.Session, at_ms: int) -> Finding | None:
        """An account comes from an address."""
        return self._seen(session.ip, session.customer_id, session.path, "", at_ms) if session.ip else None

    def _seen(self, ip: str, customer_id: str, path: str, wager_id: str, at_ms: int) -> Finding | None:
        address = self._addresses.get(ip)
        if address is None:
            self._addresses.add(ip, ClusterAddress(at_ms, {customer_id: ClusterAccount(at_ms, path, wager_id)}))
            return None
        accounts = address.accounts
        before = accounts.get(customer_id)
        if before is not None and at_ms - before.at_ms < self._step_ms:
            return None
        accounts[customer_id] = ClusterAccount(at_ms, path, wager_id or (before.wager_id if before else ""))
        address.touched_ms = max(address.touched_ms, at_ms)
        since_ms = address.touched_ms - self._window_ms
        recent = sorted((one.at_ms, id) for id, one in accounts.items() if one.at_ms > since_ms)[-ACCOUNTS_KEPT:]
        address.accounts = {id: accounts[id] for _, id in recent}
        self._addresses.touch(ip, address)
        found = len(recent) >= self.settings.accounts and ip not in self.settings.exempt_ips
        return self._found(ip, address, customer_id, at_ms) if found else None

    def _found(self, ip: str, address: ClusterAddress, customer_id: str, at_ms: int) -> Finding | None:
        accounts = address.accounts
        if customer_id not in accounts:
            return None
        return Finding(
            cause=ip,
            entity=Entity("ip", ip, ip),
            severity=self.settings.severity,
            path=common_path(one.path for one in accounts.values()),
            at_ms=at_ms,
            title=f"{len(accounts)} accounts use the address {ip}.",
            evidence={
                "ip": ip,
                "accounts": len(accounts),
                "customerIds": listed(accounts),
                "agentPaths": listed(sorted({one.path for one in accounts.values()})),
                "windowSeconds": self.settings.window_s,
            },
            wager_ids=tuple(one.wager_id for one in accounts.values() if one.wager_id),
        )
