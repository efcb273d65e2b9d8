"""Peers that deliver what is published to them, whatever they are written in: started and ended here.

    with peer("nchan", core=0) as running:
        ...  # subscribe at running.subscribe_path, publish at running.publish_path, on running.port

What a peer needs beyond this environment is installed by npm into `~/.cache/fire22-bench` (`ws`, `bun`), or must be
there already (nginx with nchan, Centrifugo): what cannot be had raises Missing, with what helps.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

from bench.load import compiled
from bench.processes import START_S, Child, free_port, program

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fire22-bench"
PACKAGES: Final = ("ws@8", "bun@1")
INSTALL_S: Final = 180
NCHAN_MODULES: Final = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_nchan_module.so"),
)


class Missing(Exception):
    """A peer that cannot be had here; the message says what is missing and what helps."""


class Kind(Struct, frozen=True):
    """What a peer is.

    Args:
        label: as it stands in tables.
        command: the arguments that start it on a port, given a folder of its own.
        batches: whether it may put several messages into one write; the others write each message by itself.
        product: whether it is something that people use.
        compresses: whether it agrees on permessage-deflate.
        publish_kind: how one publishes to it.
        subscribe: the text frames that a subscriber sends.
        wrap: what is put around a published message: the text before and behind it.
    """

    label: str
    command: Callable[[int, Path], Sequence[str]]
    batches: bool = False
    product: bool = True
    compresses: bool = False
    subscribe_path: str = "/subscribe"
    publish_path: str = "/publish"
    publish_kind: Literal["ws", "post"] = "ws"
    subscribe: tuple[str, ...] = ()
    wrap: tuple[str, str] = ("", "")


class Running(Struct, frozen=True):
    """A peer that listens on a port of 127.0.0.1."""

    kind: Kind
    port: int
    child: Child


@contextlib.contextmanager
def peer(name: str, *, core: int | None = None) -> Iterator[Running]:
    """A peer for as long as the block lasts, from when it listens.

    Raises:
        Missing: it cannot be had here.
    """
    kind = PEERS[name]
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fire22-bench-") as folder:
        command = kind.command(port, Path(folder))
        with program(kind.label, command, core=core) as child:
            _wait_for(port, child)
            yield Running(kind, port, child)


def _wait_for(port: int, child: Child) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.statistics.is_running():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise Missing(f"it does not start: {child.logged[-300:]}")


def _limit(port: int, _: Path) -> Sequence[str]:
    try:
        return [str(compiled("limit.c")), str(port)]
    except FileNotFoundError as error:
        raise Missing(str(error)) from None


def _websockets(port: int, _: Path) -> Sequence[str]:
    return [sys.executable, "-m", "bench.peers", "relay", "--port", str(port)]


def _node(*more: str) -> Callable[[int, Path], Sequence[str]]:
    def command(port: int, _: Path) -> Sequence[str]:
        node = _found("node", "apt-get install -y nodejs npm")
        return [node, _script("peer_ws.mjs"), str(port), str(_packages() / "node_modules" / "ws"), *more]

    return command


def _bun(*more: str) -> Callable[[int, Path], Sequence[str]]:
    def command(port: int, _: Path) -> Sequence[str]:
        bun = shutil.which("bun") or str(_packages() / "node_modules" / ".bin" / "bun")
        if not Path(bun).exists():
            raise Missing("the npm package bun brought no program for this machine")
        return [bun, _script("peer_bun.mjs"), str(port), *more]

    return command


def _nchan(port: int, folder: Path) -> Sequence[str]:
    nginx = _found("nginx", "apt-get install -y nginx-light libnginx-mod-nchan")
    module = next((path for path in NCHAN_MODULES if path.exists()), None)
    if module is None:
        raise Missing("nginx has no nchan. This helps:  apt-get install -y libnginx-mod-nchan")
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is ours alone
    temporary = "".join(
        f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder / "nginx.pid"};
error_log stderr error;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    {temporary}
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    nchan_max_reserved_memory 256M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /subscribe {{
            nchan_subscriber websocket;
            nchan_subscriber_first_message newest;
            nchan_channel_id bench;
        }}
        location = /publish {{
            nchan_publisher http;
            nchan_channel_id bench;
            nchan_message_buffer_length 20;
        }}
    }}
}}
"""
    )
    return [nginx, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]


def _centrifugo(port: int, folder: Path) -> Sequence[str]:
    named = os.environ.get("FIRE22_BENCH_CENTRIFUGO") or shutil.which("centrifugo")
    if named is None:
        raise Missing("not on the PATH, and FIRE22_BENCH_CENTRIFUGO names none")
    configuration = folder / "config.json"
    follows = {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}
    configuration.write_text(
        json.dumps(
            {
                "http_server": {"address": "127.0.0.1", "port": port},
                "client": {"insecure": True, "allowed_origins": ["*"]},
                "http_api": {"insecure": True},
                "channel": {"without_namespace": follows},
            }
        )
    )
    return [named, "--config", str(configuration)]


def _found(name: str, help: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(f"{name} is missing. This helps:  {help}")
    return path


def _script(name: str) -> str:
    return str(Path(__file__).with_name(name))


def _packages() -> Path:
    """The folder with the npm packages, installed if they are not there yet."""
    folder = CACHE / "npm"
    wanted = [folder / "node_modules" / package.partition("@")[0] for package in PACKAGES]
    if all(path.exists() for path in wanted):
        return folder
    npm = _found("npm", "apt-get install -y npm")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise Missing("npm took too long") from None
    if done.returncode:
        raise Missing(f"npm could not install it: {done.stderr[-200:].strip()}")
    return folder


PEERS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "limit": Kind("C, one send() each", _limit, product=False),
        "ws": Kind("Node ws", _node()),
        "ws-deflate": Kind("Node ws, perMessageDeflate: true", _node("deflate"), compresses=True),
        "bun": Kind("Bun publish", _bun(), batches=True),
        "bun-deflate": Kind("Bun publish, compressed", _bun("deflate"), batches=True, compresses=True),
        "nchan": Kind("nchan", _nchan, publish_kind="post"),
        "websockets": Kind("websockets broadcast", _websockets),
        "centrifugo": Kind(
            "Centrifugo",
            _centrifugo,
            batches=True,
            subscribe_path="/connection/websocket",
            publish_path="/api/publish",
            publish_kind="post",
            subscribe=('{"id":1,"connect":{}}', '{"id":2,"subscribe":{"channel":"bench"}}'),
            wrap=('{"channel":"bench","data":', "}"),
        ),
    }
)
