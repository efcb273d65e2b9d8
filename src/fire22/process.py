"""What the server's process has of the machine: its socket, its descriptors, its folders, its signals."""

import asyncio
import contextlib
import fcntl
import resource
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import uvicorn
from msgspec import Struct

import fire22
from fire22.core import codes
from fire22.core.errors import SetupError, StorageError

EVERYWHERE: Final = ("", "0.0.0.0", "::")  # nosec B104  # names what an operator is warned of
DESCRIPTORS_MAX: Final = 1 << 20  # where the system has no limit


class Address(Struct, frozen=True):
    """Where the server listens.

    Args:
        is_secure: whether it speaks TLS there.
    """

    host: str
    port: int
    is_secure: bool = False

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens on every address of this machine."""
        return self.host in EVERYWHERE

    @property
    def url(self) -> str:
        """For a browser on this machine."""
        host = "127.0.0.1" if self.is_everywhere else self.host
        scheme = "https" if self.is_secure else "http"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"


class Listener(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept no more."""

    async def wait_closed(self) -> None:
        """Until nothing is left to do."""


class Port(Protocol):
    """How connections are accepted."""

    async def open(self, sock: socket.socket, make: Callable[[], asyncio.Protocol]) -> Listener:
        """Accept those of a listening socket, each with a protocol that is made for it."""


class Server(uvicorn.Server):
    """uvicorn on a port of ours, without its signal handlers: ending is the application's business."""

    def __init__(self, config: uvicorn.Config, port: Port) -> None:
        super().__init__(config)
        self._port = port
        self.listening = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`; cancelled, it lets go of its sockets all the same."""
        try:
            await super().serve(sockets)
        finally:
            for server in getattr(self, "servers", ()):
                server.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        config = self.config
        kind: Any = config.http_protocol_class
        make = partial(kind, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        self.servers = [await self._port.open(sock, make) for sock in sockets or ()]  # type: ignore[misc]
        self.started = True
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, DESCRIPTORS_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections_allowed(descriptors: int, spare: int, wanted: int) -> int:
    """How many connections so many open files allow: as many as wanted, or as there can be where that is 0.

    Args:
        spare: open files for all else.

    Raises:
        SetupError: `config_invalid`, none.
    """
    allowed = descriptors - spare
    if allowed < 1:
        message = f"The system allows this process {descriptors} open files; more than {spare} are needed: `ulimit -n`."
        raise SetupError(codes.CONFIG_INVALID, message)
    return min(wanted, allowed) if wanted else allowed


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        SetupError: `port_in_use`, or `config_invalid` where there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(4096)
        sock.setblocking(False)
    except socket.gaierror:
        sock.close()
        raise SetupError(codes.CONFIG_INVALID, f"There is no address {host}; name another with --host.") from None
    except OSError as error:
        sock.close()
        raise SetupError(
            codes.PORT_IN_USE, f"Cannot listen on {host}:{port} ({error.strerror}); choose another with --port."
        ) from error
    return sock


def tighten(folder: Path) -> None:
    """Let nobody but its owner into a data folder, nor read the files that an earlier version left readable."""
    for path, mode in ((folder, 0o700), *((file, 0o600) for file in folder.iterdir() if file.is_file())):
        with contextlib.suppress(PermissionError, FileNotFoundError):  # another's, or gone meanwhile
            path.chmod(stat.S_IMODE(path.stat().st_mode) & mode)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a data folder for this process alone; the lock goes with the process, however it ends.

    Raises:
        StorageError: `storage_in_use` or `storage_failed`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tighten(folder)
        file = (folder / "flows.lock").open("w")
    except OSError as error:
        raise StorageError(
            codes.STORAGE_FAILED, f"The data folder {folder} cannot be used: {error.strerror}.", temporary=False
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(codes.STORAGE_IN_USE, f"Another server runs on the data folder {folder}.") from None
        yield


def page_folders() -> tuple[Path, Path]:
    """The folders of the dashboard and of the JavaScript client: in the wheel, or in a checkout."""
    page = Path(fire22.__file__).parent / "dashboard"
    client = page / "client"
    return page, client if client.is_dir() else page.parents[2] / "clients" / "js" / "src"


async def wait_for_signal() -> None:
    """Until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
