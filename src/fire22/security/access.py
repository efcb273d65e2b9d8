"""What a principal may see and do. Decided when it asks, by mapping the request to a scope; never by a client.

Which roles exist, and which topics each may follow, is the domain's to say: it hands in a table of `Role`.
"""

from collections.abc import Collection, Mapping

import msgspec

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.role import Grant, Kind, Role, excess
from fire22.core.scope import ROOT, covers, parse_scope
from fire22.core.topic import Topic
from fire22.security.principal import Principal


class Access:
    """Answers for one table of roles.

    Args:
        flags: by the names of commands, what a user's `may` has to list where a role grants the command flagged.
    """

    def __init__(self, roles: Mapping[str, Role], flags: Mapping[str, str] | None = None) -> None:
        self._roles = roles
        self._flags = flags or {}
        self._rights = {
            "publish": self.check_publish,
            "operate": self.check_operate,
            "administer": self.check_administer,
            "delegate": self.check_delegate,
        }

    def replace(self, roles: Mapping[str, Role]) -> None:
        """Answer by another table from now on."""
        self._roles = roles

    @property
    def table(self) -> Mapping[str, Role]:
        """Every role by its name."""
        return self._roles

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the roles."""
        return tuple(self._roles)

    def kind(self, role: str) -> Kind:
        """What the users are that hold a role; of one that there is not, `staff`."""
        found = self._roles.get(role)
        return found.kind if found is not None else "staff"

    def grants(self, role: str) -> Mapping[str, Grant]:
        """What a role may do by commands, by their names; nothing, where there is no such role."""
        found = self._roles.get(role)
        return found.commands if found is not None else {}

    def scope(self, principal: Principal, topic: Topic, wanted: str | None) -> str:
        """The scope that a request is served with: the wanted one, or the principal's own.

        Raises:
            RequestError: `forbidden`, `topic_forbidden`, `scope_invalid` or `scope_forbidden`. A scope outside the own
                is refused alike whether it exists or not.
        """
        self._role(principal)
        if not self.sees(principal, topic.name):
            raise RequestError(codes.TOPIC_FORBIDDEN, f"The role {principal.role} does not see {topic.name}.")
        scope = principal.scope if wanted is None else parse_scope(wanted)
        if not covers(principal.scope, scope):
            raise RequestError(codes.SCOPE_FORBIDDEN, f"The scope {scope} is outside {principal.scope}.")
        return scope

    def mask(self, principal: Principal, topic: str) -> frozenset[str]:
        """The fields of a topic's messages that a principal does not see."""
        return self._role(principal).masks.get(topic, frozenset())

    def check_is_right(self, right: str) -> None:
        """A right that a route asks for is one that there is.

        Raises:
            AssertionError: it is not.
        """
        if right not in self._rights:
            raise AssertionError(f"there is no right {right}")

    def check_right(self, principal: Principal, right: str) -> None:
        """Whether a principal has a right by its name.

        Raises:
            RequestError: `forbidden`.
        """
        self._rights[right](principal)

    def rights(self, principal: Principal) -> tuple[str, ...]:
        """The names of the rights that a principal has."""

        def has(right: str) -> bool:
            try:
                self.check_right(principal, right)
            except RequestError:
                return False
            return True

        return tuple(right for right in self._rights if has(right))

    def gives(self, principal: Principal) -> Mapping[str, Kind]:
        """The roles that a principal may give to others, each with what its users are."""
        if principal.role not in self._roles:
            return {}
        own = self.own(principal)
        if not own.administer:
            return {}
        return {name: role.kind for name, role in self._roles.items() if not excess(own, role)}

    def check_publish(self, principal: Principal) -> None:
        """Whether events may be appended.

        Raises:
            RequestError: `forbidden`.
        """
        if not self._role(principal).publish:
            raise RequestError(codes.FORBIDDEN, f"The role {principal.role} may not publish events.")

    def check_address(self, principal: Principal) -> None:
        """Whether events may be addressed to single users, clients or everyone.

        Raises:
            RequestError: `forbidden`.
        """
        if not self._role(principal).address:
            message = f"The role {principal.role} may not address single users, clients or everyone."
            raise RequestError(codes.FORBIDDEN, message)

    def check_operate(self, principal: Principal) -> None:
        """Whether dead letters may be folded again or put away. They are of the whole book.

        Raises:
            RequestError: `forbidden`.
        """
        if not self._role(principal).operate or principal.scope != ROOT:
            message = f"The role {principal.role} in {principal.scope} may not deal with dead letters."
            raise RequestError(codes.FORBIDDEN, message)

    def check_administer(self, principal: Principal) -> None:
        """Whether roles may be seen and changed. They are of the whole book.

        Raises:
            RequestError: `forbidden`.
        """
        if not self._role(principal).administer or principal.scope != ROOT:
            message = f"The role {principal.role} in {principal.scope} may not administer."
            raise RequestError(codes.FORBIDDEN, message)

    def sees(self, principal: Principal, topic: str) -> bool:
        """Whether a principal may follow a topic, in whatever scope."""
        role = self._roles.get(principal.role)
        listed = principal.topics is None or topic in principal.topics
        return role is not None and listed and (role.topics is None or topic in role.topics)

    def check_delegate(self, principal: Principal) -> None:
        """Whether others may be given rights, within the own scope.

        Raises:
            RequestError: `forbidden`.
        """
        if not self._role(principal).administer:
            raise RequestError(codes.FORBIDDEN, f"The role {principal.role} may not give rights to others.")

    def own(self, principal: Principal) -> Role:
        """The role of a principal with what is granted to it beyond the role, and without what its token leaves out.

        Raises:
            RequestError: `forbidden`, there is no such role.
        """
        own = self._granted(self._role(principal), principal.may)
        if principal.topics is None:
            return own
        listed = frozenset(principal.topics)
        return msgspec.structs.replace(own, topics=listed if own.topics is None else own.topics & listed)

    def _granted(self, role: Role, may: Collection[str]) -> Role:
        """A role with what users have of it whose `may` lists this."""
        if not may:
            return role
        commands = {
            name: msgspec.structs.replace(grant, flagged=grant.flagged and self._flags.get(name) not in may)
            for name, grant in role.commands.items()
        }
        return msgspec.structs.replace(role, commands=commands)

    def check_gives(self, principal: Principal, role: str, scope: str, may: Collection[str] = ()) -> None:
        """Whether a principal may give a role in a scope: nothing that it does not have itself.

        Args:
            may: what is given beyond the role.

        Raises:
            RequestError: `command_invalid`, `scope_invalid`, `scope_forbidden` or `forbidden`.
        """
        self.check_delegate(principal)
        wanted = self._roles.get(role)
        if wanted is None:
            message = f"There is no role {role[:64]}; there are: {', '.join(self._roles)}."
            raise RequestError(codes.COMMAND_INVALID, message)
        for flag in may:
            if flag not in self._flags.values():
                known = ", ".join(sorted({*self._flags.values()}))
                raise RequestError(codes.COMMAND_INVALID, f"Nothing is called {flag[:64]}; there are: {known}.")
        if not covers(principal.scope, parse_scope(scope)):
            raise RequestError(codes.SCOPE_FORBIDDEN, f"The scope {scope} is outside {principal.scope}.")
        more = excess(self.own(principal), self._granted(wanted, may))
        if more:
            raise RequestError(codes.FORBIDDEN, f"The role {role} may more than {principal.role}: {more}.")

    def _role(self, principal: Principal) -> Role:
        role = self._roles.get(principal.role)
        if role is None:
            raise RequestError(codes.FORBIDDEN, f"There is no role {principal.role[:64]} here.")
        return role
