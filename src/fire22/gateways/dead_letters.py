"""What becomes of a dead letter: folded again, corrected or not, or put away. Either is an event in the log."""

import asyncio
import secrets
from datetime import datetime

import msgspec
from msgspec import Raw, Struct, UnsetType

from fire22.core import codes, letter
from fire22.core.errors import RequestError
from fire22.core.event import Event, check_data, encode_event
from fire22.core.message import Json
from fire22.core.scope import ROOT
from fire22.core.times import to_datetime
from fire22.gateways.service import Service
from fire22.log.base import Appended
from fire22.security.principal import Principal


class DeadLetters:
    """Deals with dead letters, for who may."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def replay(
        self, principal: Principal, seq: int, data: Raw | UnsetType, timestamp: datetime | UnsetType
    ) -> "asyncio.Future[list[Appended]]":
        """Have its event folded again, corrected where `data` or `timestamp` is set; done once that is durable.

        Raises:
            AuthError: `token_expired`.
            RequestError: `forbidden`, `not_found`, or `event_invalid` where the data does not fit either, and where
                the letter is of a row of the book.
        """
        document = self._find(principal, seq)
        if str(document["type"]).startswith("system."):
            message = "A row of the book cannot be tried again: it is read again when it changes in the book."
            raise RequestError(codes.EVENT_INVALID, message)
        if not isinstance(data, UnsetType):
            try:
                check_data(bytes(data))
            except ValueError as error:
                raise RequestError(codes.EVENT_INVALID, f"The event is not valid: {error}.") from None
            self._service.check_data(str(document["type"]), data)
        return self._append(letter.REPLAYED, letter.LetterReplayed(seq, principal.subject, data, timestamp))

    def dismiss(self, principal: Principal, seq: int, reason: str) -> "asyncio.Future[list[Appended]]":
        """Have it put away; done once that is durable.

        Raises:
            AuthError: `token_expired`.
            RequestError: `forbidden` or `not_found`.
        """
        self._find(principal, seq)
        return self._append(letter.DISMISSED, letter.LetterDismissed(seq, reason, principal.subject))

    def _find(self, principal: Principal, seq: int) -> dict[str, Json]:
        self._service.check_current(principal)
        self._service.access.check_operate(principal)
        document = self._service.hub.document(letter.TOPIC, ROOT, str(seq))
        if document is None or document.body is None:
            raise RequestError(codes.NOT_FOUND, f"There is no dead letter {seq}, or it has been dealt with.")
        return document.body

    def _append(self, type: str, data: Struct) -> "asyncio.Future[list[Appended]]":
        """Append an event of the server's own."""
        id = f"{type}:{secrets.token_hex(12)}"
        event = Event(id, type, "server", to_datetime(self._service.now_ms()), Raw(msgspec.json.encode(data)))
        return self._service.log.append([encode_event(event)])
