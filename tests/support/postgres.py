"""A PostgreSQL server for tests: one for each process that runs tests, started when the first of them asks for it."""

import atexit
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
LACKING = "no PostgreSQL server; this helps: apt-get install -y postgresql"
SETTINGS = {"fsync": "off", "max_connections": "50", "listen_addresses": "", "shared_buffers": "32MB"}


class Server:
    """A server that listens at a socket in its own folder, and at no port."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="fire22-pg-", dir="/tmp"))
        # The server refuses to run as root.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            for name, value in {**SETTINGS, "unix_socket_directories": str(self.folder)}.items():
                file.write(f"{name} = '{value}'\n")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        user = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            **user,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "-D", "data", "-w", "-s", "-l", "log", "start")

    def stop(self, mode: str = "immediate") -> None:
        """End it; `immediate` is a crash."""
        self._run("pg_ctl", "-D", "data", "-w", "-s", "-m", mode, "stop")

    def dsn(self, database: str = "postgres", role: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def end(self) -> None:
        """End it for good."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class Database:
    """A database of the server, with tables.

    Args:
        tables: SQL that creates them.
    """

    def __init__(self, *tables: str) -> None:
        import psycopg  # no test without a server needs it

        self._connect = psycopg.connect
        self.name = f"own_{secrets.token_hex(6)}"
        with self._connect(server().dsn(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {self.name}")
        self.dsn = server().dsn(self.name)
        self.run(*tables)

    def run(self, *statements: str, role: str = "postgres") -> None:
        """One transaction."""
        with self._connect(server().dsn(self.name, role)) as connection:
            for sql in statements:
                connection.execute(sql)

    def end(self) -> None:
        """Remove it."""
        with self._connect(server().dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {self.name} WITH (FORCE)")


@cache
def server() -> Server:
    """The server; the test is skipped where there is none."""
    pytest.importorskip("psycopg", reason="no driver; this helps: pip install 'fire22-flows[postgres]'")
    if not BINARIES:
        pytest.skip(LACKING)
    made = Server(BINARIES[0])
    atexit.register(made.end)
    return made
