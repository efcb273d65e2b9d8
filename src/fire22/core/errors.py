"""The exception tree.

    Fire22Error
    ├── RequestError        a client asked for something it cannot have; costs only the sender
    │   └── AuthError       who is asking is unknown
    ├── StorageError        the log's own file
    ├── BookError           the user's database
    ├── SourceError         another source of events
    └── SetupError          the program cannot start as it is configured

Each carries a `code` from `core/codes.py`; `temporary` follows from the code. Messages are for people and may reach a
peer: they say what is wrong and what to do, and carry no internals.
"""

from fire22.core.codes import Code

Details = dict[str, str | int | float | bool]


class Fire22Error(Exception):
    """An error with a stable code.

    Args:
        code: one of `core/codes.py`.
        message: one sentence for a person; may reach a peer.
        details: further facts for programs; JSON values.
        retry_after_s: seconds after which to try again, if known.
        temporary: overrides what the code says.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        details: Details | None = None,
        retry_after_s: float | None = None,
        temporary: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s
        self.temporary = code.temporary if temporary is None else temporary

    def __str__(self) -> str:
        return f"{self.message} [{self.code.name}]"


class RequestError(Fire22Error):
    """A client's request cannot be served."""


class AuthError(RequestError):
    """A client did not show who it is."""


class StorageError(Fire22Error):
    """The log's own file failed."""


class BookError(Fire22Error):
    """The user's book failed or is not as it must be."""


class SourceError(Fire22Error):
    """A source of events failed."""


class SetupError(Fire22Error):
    """The program cannot start as it is configured."""


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of a group that is worth telling: a coded one where there is one."""
    coded, rest = group.split(Fire22Error)
    found: BaseException | None = coded or rest
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if found is None:
        raise AssertionError("an empty group of errors")
    return found
