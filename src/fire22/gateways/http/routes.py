"""The table of routes: every address of the server, with who may use it and what it may cost.

A new address is a row here, and nowhere else. `route.py` says what a row holds and enforces it. The server's routes,
the API's document and the tests of rights are all made from these rows.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from fire22.core.role import Role
from fire22.gateways.http import archive
from fire22.gateways.http.files import Files
from fire22.gateways.http.machines import BODY_BYTES_MAX, MachineRoutes, MachineTokens, NewToken, Shown
from fire22.gateways.http.oidc import CALLBACK, LOGOUT, LOGOUT_BYTES_MAX, START, OidcRoutes, Ways
from fire22.gateways.http.openapi import COMMANDS, Description
from fire22.gateways.http.operating import Alive, Health, Operating
from fire22.gateways.http.reading import HistoryParameters, QueryParameters, Reading, View, ViewParameters
from fire22.gateways.http.roles import BYTES_MAX as ROLE_BYTES_MAX
from fire22.gateways.http.roles import Roles
from fire22.gateways.http.roles import Table as RoleTable
from fire22.gateways.http.route import ANYBODY, OPERATORS, SIGNED_IN, Route
from fire22.gateways.http.second_factor import BODY_BYTES_MAX as FACTOR_BYTES_MAX
from fire22.gateways.http.second_factor import Again, Confirmation, Enrolment, RecoveryCodes, SecondFactorRoutes
from fire22.gateways.http.session import PASSWORD_BYTES_MAX, SIGN_IN_BYTES_MAX, NewPassword, Owns, Session, SignIn
from fire22.gateways.http.users import BODY_BYTES_MAX as USER_BYTES_MAX
from fire22.gateways.http.users import AllSignedIn, NewUser, ShownUser, ShownUsers, UserChange, UserRoutes
from fire22.gateways.http.writing import (
    COMMAND_BYTES_MAX,
    DISMISS_BYTES_MAX,
    REPLAY_BYTES_MAX,
    Dismiss,
    Done,
    Published,
    Replay,
    Writing,
)
from fire22.gateways.service import Service

_READ: Final = 2.0  # what may have to be read from the disk
_WRITE: Final = 5.0  # what waits for the disk
_TABLE: Final = 20.0  # thousands of rows


def rows(
    service: Service,
    *,
    session: Session,
    oidc: OidcRoutes,
    operating: Operating,
    files: Files,
    websockets: Iterable[str],
    commands: Mapping[str, type[Struct]],
    version: str,
) -> tuple[Route, ...]:
    """All routes.

    Args:
        websockets: the paths at which a WebSocket may be opened.
        commands: what the body of each of the domain's commands is read as, by its name.
        version: of the program.
    """
    reading, writing, roles = Reading(service), Writing(service), Roles(service)
    machines, users, factor = MachineRoutes(service), UserRoutes(service), SecondFactorRoutes(service)
    limits = service.limits
    described = (
        # Who is asking.
        Route(
            method="GET",
            path="/v1/session",
            handler=session.signed_in,
            who=SIGNED_IN,
            summary="Who is signed in, and what they may do.",
            enrolling=True,
        ),
        Route(
            method="POST",
            path="/v1/session",
            handler=session.sign_in,
            who=ANYBODY,
            summary="Sign a browser in by name and password, or by the code of a one-time link.",
            body_bytes_max=SIGN_IN_BYTES_MAX,
            request=SignIn,
        ),
        Route(
            method="DELETE",
            path="/v1/session",
            handler=session.sign_out,
            who=ANYBODY,
            summary="Sign a browser out.",
        ),
        # Signing in with another provider.
        Route(
            method="GET",
            path="/v1/session/ways",
            handler=oidc.ways,
            who=ANYBODY,
            summary="How people can sign in here.",
            answer=Ways,
        ),
        Route(
            method="GET",
            path=START,
            handler=oidc.start,
            who=ANYBODY,
            summary="Begin to sign in with another provider; a redirect to it.",
            cost=_WRITE,
            changes=True,
        ),
        Route(
            method="GET",
            path=CALLBACK,
            handler=oidc.callback,
            who=ANYBODY,
            summary="Sign in who comes back from the provider; a page that goes on to the server's own.",
            open_parameters=True,
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path=LOGOUT,
            handler=oidc.logout,
            who=ANYBODY,
            summary="Where the provider says who has signed out there (OpenID Connect Back-Channel Logout).",
            body_bytes_max=LOGOUT_BYTES_MAX,
            cost=_WRITE,
        ),
        # Tokens of machines.
        Route(
            method="GET",
            path="/v1/tokens",
            handler=machines.all,
            who="delegate",
            summary="The tokens of machines within the own scope, without the tokens themselves.",
            answer=MachineTokens,
            machine=False,
        ),
        Route(
            method="POST",
            path="/v1/tokens",
            handler=machines.create,
            who="delegate",
            summary="Make a token for a machine; it is shown this once.",
            body_bytes_max=BODY_BYTES_MAX,
            request=NewToken,
            answer=Shown,
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="DELETE",
            path="/v1/tokens/{name}",
            handler=machines.revoke,
            who="delegate",
            summary="End a machine's token, and every connection by it, at once.",
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="GET",
            path="/v1/sessions",
            handler=session.own,
            who=SIGNED_IN,
            summary="The sessions of who asks, with the device and place of their last use.",
            answer=Owns,
        ),
        Route(
            method="DELETE",
            path="/v1/sessions",
            handler=session.end_others,
            who=SIGNED_IN,
            summary="End all sessions of who asks but the one that asks.",
            cost=_WRITE,
        ),
        Route(
            method="DELETE",
            path="/v1/sessions/{id}",
            handler=session.end_own,
            who=SIGNED_IN,
            summary="End a session of who asks, on every connection.",
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path="/v1/password",
            handler=session.change_password,
            who=SIGNED_IN,
            summary="Change the own password; all other sessions of the user end.",
            body_bytes_max=PASSWORD_BYTES_MAX,
            request=NewPassword,
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path="/v1/second-factor",
            handler=factor.enrol,
            who=SIGNED_IN,
            summary="Begin to set up the own second factor: the secret for an app, shown this once.",
            body_bytes_max=FACTOR_BYTES_MAX,
            request=Again,
            answer=Enrolment,
            cost=_WRITE,
            machine=False,
            enrolling=True,
        ),
        Route(
            method="POST",
            path="/v1/second-factor/confirm",
            handler=factor.confirm,
            who=SIGNED_IN,
            summary="Confirm the own second factor by a code of the app; its recovery codes, shown this once.",
            body_bytes_max=FACTOR_BYTES_MAX,
            request=Confirmation,
            answer=RecoveryCodes,
            cost=_WRITE,
            machine=False,
            enrolling=True,
        ),
        Route(
            method="POST",
            path="/v1/second-factor/recovery",
            handler=factor.renew_recovery,
            who=SIGNED_IN,
            summary="New recovery codes in place of those that are left, shown this once.",
            body_bytes_max=FACTOR_BYTES_MAX,
            request=Again,
            answer=RecoveryCodes,
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="POST",
            path="/v1/second-factor/remove",
            handler=factor.remove,
            who=SIGNED_IN,
            summary="Remove the own second factor; the other sessions of the user end.",
            body_bytes_max=FACTOR_BYTES_MAX,
            request=Again,
            cost=_WRITE,
            machine=False,
        ),
        # Users, and who is signed in.
        Route(
            method="GET",
            path="/v1/users",
            handler=users.all,
            who="delegate",
            summary="The users within the own scope.",
            answer=ShownUsers,
            machine=False,
        ),
        Route(
            method="POST",
            path="/v1/users",
            handler=users.add,
            who="delegate",
            summary="Add a user; the first password is shown this once.",
            body_bytes_max=USER_BYTES_MAX,
            request=NewUser,
            answer=ShownUser,
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="PATCH",
            path="/v1/users/{name}",
            handler=users.change,
            who="delegate",
            summary="Change a user's role, scope or grants, or disable the user; what is open ends at once.",
            body_bytes_max=USER_BYTES_MAX,
            request=UserChange,
            answer=ShownUser,
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="DELETE",
            path="/v1/users/{name}",
            handler=users.remove,
            who="delegate",
            summary="Remove a user; what is open ends at once.",
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="POST",
            path="/v1/users/{name}/password",
            handler=users.reset_password,
            who="delegate",
            summary="Give a user a new first password, shown this once; all sessions of the user end.",
            answer=ShownUser,
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="DELETE",
            path="/v1/users/{name}/second-factor",
            handler=users.reset_factor,
            who="delegate",
            summary="Remove the second factor of a user who has lost it; all sessions of the user end.",
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="DELETE",
            path="/v1/users/{name}/sessions",
            handler=users.end_sessions,
            who="delegate",
            summary="End all sessions of a user, on every connection.",
            cost=_WRITE,
            machine=False,
        ),
        Route(
            method="GET",
            path="/v1/signed-in",
            handler=users.signed_in,
            who="delegate",
            summary="The sessions of everybody within the own scope.",
            answer=AllSignedIn,
            machine=False,
        ),
        Route(
            method="DELETE",
            path="/v1/signed-in/{id}",
            handler=users.end_one,
            who="delegate",
            summary="End a session of somebody, on every connection.",
            cost=_WRITE,
            machine=False,
        ),
        # What is read.
        Route(
            method="GET",
            path="/v1/views/{topic}",
            handler=reading.view,
            who=SIGNED_IN,
            summary="One snapshot of a view.",
            parameters=ViewParameters,
            answer=View,
            cost=_READ,
        ),
        Route(
            method="GET",
            path="/v1/history/{topic}",
            handler=reading.history,
            who=SIGNED_IN,
            summary="A page of a stream's past.",
            parameters=HistoryParameters,
            cost=_READ,
        ),
        Route(
            method="GET",
            path="/v1/archive/{topic}",
            handler=reading.archive,
            who=SIGNED_IN,
            summary="A page of what is kept for ever of a topic, as JSON or CSV.",
            parameters=archive.Asked,
            cost=_TABLE,
        ),
        Route(
            method="GET",
            path="/v1/query/{name}",
            handler=reading.query,
            who=SIGNED_IN,
            summary="Answer a question from the figures as they are now.",
            parameters=QueryParameters,
            open_parameters=True,
            cost=_WRITE,
        ),
        # What is changed.
        Route(
            method="POST",
            path="/v1/events",
            handler=writing.events,
            who="publish",
            summary="Append one event or an array of them, all or none.",
            body_bytes_max=limits.events_bytes_max,
            answer=Published,
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path=COMMANDS,
            handler=writing.command,
            who=SIGNED_IN,
            summary="Perform a command of the domain once for each Idempotency-Key.",
            headers=("Idempotency-Key",),
            body_bytes_max=COMMAND_BYTES_MAX,
            cost=_WRITE,
        ),
        Route(
            method="GET",
            path="/v1/approvals",
            handler=writing.approvals,
            who=SIGNED_IN,
            summary="The commands that wait for a second person, as the caller may see them.",
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path="/v1/dead-letters/{seq}/replay",
            handler=writing.replay_letter,
            who="operate",
            summary="Fold a dead letter's event again, as it is or corrected.",
            body_bytes_max=REPLAY_BYTES_MAX,
            request=Replay,
            answer=Done,
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path="/v1/dead-letters/{seq}/dismiss",
            handler=writing.dismiss_letter,
            who="operate",
            summary="Put a dead letter away.",
            body_bytes_max=DISMISS_BYTES_MAX,
            request=Dismiss,
            answer=Done,
            cost=_WRITE,
        ),
        # Who may what.
        Route(
            method="GET",
            path="/v1/roles",
            handler=roles.all,
            who="administer",
            summary="Every role.",
            answer=RoleTable,
        ),
        Route(
            method="GET",
            path="/v1/roles/{name}",
            handler=roles.one,
            who="administer",
            summary="One role.",
            answer=Role,
        ),
        Route(
            method="PUT",
            path="/v1/roles/{name}",
            handler=roles.put,
            who="administer",
            summary="Change a role, or add one.",
            body_bytes_max=ROLE_BYTES_MAX,
            request=Role,
            answer=Role,
            cost=_WRITE,
        ),
        # Other transports; who asks is said in the handshake or by command.
        *(
            Route(method="GET", path=path, handler=None, who=ANYBODY, summary="Open a WebSocket.")
            for path in websockets
        ),
        # How the server is.
        Route(
            method="GET",
            path="/healthz",
            handler=operating.healthz,
            who=ANYBODY,
            summary="Whether the process is alive.",
            open_parameters=True,
            answer=Alive,
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=operating.readyz,
            who=OPERATORS,
            summary="Whether every stage works.",
            open_parameters=True,
            answer=Health,
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=operating.metrics,
            who=OPERATORS,
            summary="Measurements for Prometheus.",
            open_parameters=True,
        ),
        # The page.
        Route(
            method="GET",
            path="/",
            handler=files.page,
            who=ANYBODY,
            summary="The page.",
            open_parameters=True,
        ),
        Route(
            method="GET",
            path="/assets/{path:path}",
            handler=files.asset,
            who=ANYBODY,
            summary="What the page loads.",
            open_parameters=True,
        ),
        Route(
            method="GET",
            path="/client/{path:path}",
            handler=files.client,
            who=ANYBODY,
            summary="A module of the JavaScript client.",
            open_parameters=True,
        ),
    )
    return (*described, Description(described, commands, version).row)
