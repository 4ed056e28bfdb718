"""A private PostgreSQL: a cluster of its own in a directory of its own, started and thrown away by whoever needs it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from einlass_sim.processes import LOOPBACK, Process, ProcessError, free_port

# Debian keeps the server's programs out of PATH, one directory a version.
_PLACES = "/usr/lib/postgresql"
ACCOUNT = "postgres"
DATABASE = "einlass"
START_TRIES_MAX = 3


class PostgresMissingError(RuntimeError):
    """PostgreSQL's server is not installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. pid: of its main process; url: of an empty database of its own."""

    pid: int
    port: int
    programs: Path
    owner: tuple[str, ...]

    @property
    def url(self) -> str:
        """For Settings.database_url."""
        return self.url_of(DATABASE)

    def url_of(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql+psycopg://{ACCOUNT}@{LOOPBACK}:{self.port}/{name}"

    def create(self, name: str, template: str = "template1") -> str:
        """A new database, empty or a copy of another that nobody is connected to; returns its URL."""
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Throw a database away, whoever is connected to it."""
        self._say(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _say(self, statement: str) -> None:
        import psycopg

        where = f"host={LOOPBACK} port={self.port} user={ACCOUNT} dbname={ACCOUNT}"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement.encode())


def programs() -> Path | None:
    """Where the server's programs are, the newest version first; None where it is not installed."""
    versions = sorted(Path(_PLACES).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True)
    if versions:
        return versions[0].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found is not None else None


@contextmanager
def private_postgres(*, durable: bool = True) -> Iterator[Postgres]:
    """A server on a free port; `durable`: a commit waits for the disk. Raises PostgresMissingError, ProcessError."""
    bin_directory = programs()
    if bin_directory is None:
        raise PostgresMissingError("PostgreSQL is not installed: `apt-get install postgresql`")
    directory = Path(tempfile.mkdtemp(prefix="einlass-postgres-"))
    owner: tuple[str, ...] = ()
    if os.geteuid() == 0:  # it refuses to run as root
        account = pwd.getpwnam(ACCOUNT)
        os.chown(directory, account.pw_uid, account.pw_gid)
        owner = ("runuser", "-u", ACCOUNT, "--")
    try:
        data = directory / "data"
        initdb = [
            str(bin_directory / "initdb"),
            "-D",
            str(data),
            "-U",
            ACCOUNT,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        _run([*owner, *initdb, "--locale=C"])
        with _serve(owner, bin_directory, data, directory, durable) as (process, port):
            server = Postgres(_postmaster(data), port, bin_directory, owner)
            server.create(DATABASE)
            yield server
            process.signal(signal.SIGINT)  # fast: does not wait for whoever is still connected
            process.terminate()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _serve(
    owner: Sequence[str], programs: Path, data: Path, directory: Path, durable: bool
) -> Iterator[tuple[Process, int]]:
    for tries_left in reversed(range(START_TRIES_MAX)):
        port = free_port()
        settings = {
            "port": port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": str(directory),
            "synchronous_commit": "on",
            "fsync": "on" if durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        process = Process(
            "postgres", [*owner, str(programs / "postgres"), "-D", str(data), *options], directory=directory
        )
        ready = [str(programs / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
        with process:
            try:
                process.wait_ready(lambda: subprocess.run(ready, check=False).returncode == 0)  # noqa: B023
            except ProcessError:
                if tries_left == 0:
                    raise
                continue
            yield process, port
            return


def _postmaster(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split()[0])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        raise ProcessError(f"{command[0]} failed with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
