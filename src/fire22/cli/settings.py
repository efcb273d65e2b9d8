"""The configuration as the arguments change it."""

from pathlib import Path

import msgspec

from fire22 import app as application
from fire22.config import BookConfig, Config, RelayConfig, ServerConfig, convert


def override(
    config: Config,
    data: Path | None,
    host: str | None,
    port: int | None,
    book: Path | None,
    open_topics: tuple[str, ...],
    mapping: Path | None = None,
) -> Config:
    """The configuration with what the arguments say instead.

    Raises:
        SetupError: `config_invalid`.
    """
    server: ServerConfig = config.server
    if host is not None:
        server = msgspec.structs.replace(server, host=host)
    if port is not None:
        server = msgspec.structs.replace(server, port=port)
    source: BookConfig = config.book if book is None else msgspec.structs.replace(config.book, path=str(book))
    if mapping is not None:
        source = msgspec.structs.replace(source, mapping=str(mapping))
    topics = tuple(dict.fromkeys((*config.relay.open_topics, *open_topics)))
    folder = config.data if data is None else str(data)
    changed = msgspec.structs.replace(config, data=folder, server=server, book=source, relay=RelayConfig(topics))
    return checked(changed)


def checked(config: Config) -> Config:
    """The configuration, if it could stand in a file as well and its topics can be served."""
    settings = convert(msgspec.to_builtins(config))
    application.build_engine(settings.relay.open_topics)
    return settings
