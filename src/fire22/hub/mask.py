"""Masks: fields of a payload that some readers do not see. They are left out, and not sent as nothing.

A mask is a part of a lane's key, so its followers share every byte among themselves and none with others.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from fire22.core.message import Json
from fire22.feed.base import Document

Mask = frozenset[str]
UNMASKED: Final[Mask] = frozenset()

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def masked_bytes(data: bytes, mask: Mask) -> bytes:
    """A payload in JSON, without what is masked; one that is no object has no fields."""
    if not mask or not data.startswith(b"{"):
        return data
    fields = _decode(data)
    return _encode({name: value for name, value in fields.items() if name not in mask})


def masked_fields(fields: Mapping[str, Json], mask: Mask) -> dict[str, Json]:
    """A payload, or a patch of one, without what is masked."""
    return {name: value for name, value in fields.items() if name not in mask}


def masked_document(document: Document, mask: Mask) -> Document:
    """A document as it is seen through a mask."""
    if not mask or document.body is None:
        return document
    return replace(document, body=masked_fields(document.body, mask))
