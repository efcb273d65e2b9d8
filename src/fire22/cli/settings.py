"""The configuration as the arguments change it."""

from pathlib import Path

import msgspec

from fire22 import app as application
from fire22.app import Settings
from fire22.config import ServerConfig
from fire22.flows.relay import RelaySettings


def override(
    config: Settings,
    data: Path | None,
    host: str | None,
    port: int | None,
    book: Path | None,
    open_topics: tuple[str, ...],
    mapping: Path | None = None,
) -> Settings:
    """The configuration with what the arguments say instead.

    Raises:
        SetupError: `config_invalid`.
    """
    server: ServerConfig = config.server
    if host is not None:
        server = msgspec.structs.replace(server, host=host)
    if port is not None:
        server = msgspec.structs.replace(server, port=port)
    topics = tuple(dict.fromkeys((*config.relay.open_topics, *open_topics)))
    folder = config.data if data is None else str(data)
    changed = msgspec.structs.replace(config, data=folder, server=server, relay=RelaySettings(topics))
    return checked(with_book(changed, book, mapping))


def with_book(config: Settings, path: Path | None, mapping: Path | None = None) -> Settings:
    """The configuration with another book or mapping, where one is named."""
    named = {"path": path, "mapping": mapping}
    given = {name: str(value) for name, value in named.items() if value is not None}
    book = msgspec.structs.replace(config.domain.book, **given)
    return msgspec.structs.replace(config, domain=msgspec.structs.replace(config.domain, book=book))


def checked(config: Settings) -> Settings:
    """The configuration, if it could stand in a file as well and its topics can be served."""
    settings = application.convert(config.raw())
    application.build_engine(settings.relay.open_topics)
    return settings
