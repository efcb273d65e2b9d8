"""Who is asking, however that was found out: by a token, a session, or what a transport has for it."""

from msgspec import Struct

from fire22.core.role import Kind


class Principal(Struct, frozen=True):
    """Who is asking.

    Args:
        subject: the user's id, among users of its kind.
        role: one of the configured roles.
        scope: the own sub-tree; `/` is the whole book.
        expires_ms: when what it was shown by ends.
        topics: the only topics allowed, where the token lists some.
        client: the device or installation that messages can be addressed to; empty where the token names none.
        may: what is granted to this user beyond the role; the domain says what there is.
        kind: what the user is, as the role says.
        session: the id of the session that it came by, which is no secret; empty where it brought a token.
        jti: the id of the token; empty where it has none.
        issued_ms: when the token or the session was made; 0 is unknown, and older than any revocation.
        made_by: the user who has made this machine, with whose rights its own end; empty for all others.
        key: tells the key of its token from others; empty where it came by none.
    """

    subject: str
    role: str
    scope: str
    expires_ms: int
    topics: tuple[str, ...] | None = None
    client: str = ""
    may: tuple[str, ...] = ()
    kind: Kind = "staff"
    session: str = ""
    jti: str = ""
    issued_ms: int = 0
    key: str = ""
    made_by: str = ""

    @property
    def user(self) -> str:
        """The user among all: an agent `M1` is `agent:M1`, and is not the customer `M1`."""
        return f"{self.kind}:{self.subject}"
