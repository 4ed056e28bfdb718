"""The line under test: real broker, real controller, echo and load generator, each a process of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from einlass_controller.broker import controller_user, new_password, node_user
from einlass_controller.plan import CAP_MAX, plan_of
from einlass_controller.setup import Prepared, set_up
from einlass_controller.store.database import open_database
from einlass_sim.bench import echo, probe, stock
from einlass_sim.brokers import Broker, start_broker
from einlass_sim.postgres import private_postgres
from einlass_sim.processes import LOOPBACK, Process, free_port

SITE = "bench"
ZONE = "bath"
SEED = 20_260
CONTROLLER = "from einlass_controller.cli import controller; controller()"
ANSWER_S = 300.0
DEADLINE_S = 30.0


class BenchError(RuntimeError):
    """The run went wrong, so it prints no figure."""


class Driver:
    """A load generator, by its two pipes."""

    def __init__(self, module: str = "einlass_sim.bench.load") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def order(self, **order: Any) -> dict[str, Any]:
        """Send one command, wait for its result. Raises BenchError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the load generator died"}')
        if "error" in answer:
            raise BenchError(str(answer["error"]))
        return dict(answer)

    def close(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=10)


@dataclass(slots=True)
class Line:
    """All parts, running."""

    directory: Path
    made: Prepared
    broker: Broker
    controller: Process
    driver: Driver
    http_port: int
    echo: subprocess.Popen[str]
    postmaster: int | None

    def get(self, path: str) -> Any:
        """JSON from the controller."""
        url = f"http://{LOOPBACK}:{self.http_port}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.made.api_key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def healthy(self) -> bool:
        """Whether it takes messages."""
        try:
            return bool(self.get("/healthz")["ok"])
        except OSError:
            return False

    def watched(self) -> dict[str, list[int]]:
        """The processes of every part whose processor time is measured."""
        return {
            "broker": [self.broker.process.pid],
            "controller": [self.controller.pid],
            "database": [] if self.postmaster is None else probe.family(self.postmaster),
            "echo": [self.echo.pid],
        }


@contextmanager
def line(nodes: int, tickets: int, database: str, client: str) -> Iterator[Line]:
    """Set everything up in a directory of its own and take it down again. Raises BenchError and what the parts raise.

    database: "sqlite", "postgres" (a private server) or the URL of an empty database.
    """
    directory = Path(tempfile.mkdtemp(prefix="einlass-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        ports = {"mqtt_port": free_port(), "http_port": free_port()}
        postmaster = None
        url: dict[str, str] = {}
        if database == "postgres":
            server = stack.enter_context(private_postgres())
            postmaster, url = server.pid, {"database_url": server.url}
        elif database != "sqlite":
            url = {"database_url": database}
        made = set_up(plan_of(_plan(nodes)), directory / "site", **ports, **url, log_level="warning")
        engine = open_database(url.get("database_url") or f"sqlite:///{made.directory}/einlass.db")
        stock.fill(engine, SEED, tickets)
        engine.dispose()
        names = [name for name in made.passwords if name != "controller"]
        echo_password = new_password()
        users = [controller_user(made.passwords["controller"]), controller_user(echo_password, echo.USER)]
        users += [node_user(SITE, name, made.passwords[name]) for name in names]
        broker = stack.enter_context(start_broker("mosquitto", directory / "broker", users, ports["mqtt_port"]))
        echoing = _start_echo(stack, client, ports["mqtt_port"], echo_password)
        command = [sys.executable, "-c", CONTROLLER, "run", "--dir", str(made.directory)]
        controller = Process("controller", command, directory=directory)
        driver = Driver()
        stack.callback(driver.close)
        stack.enter_context(controller)
        running = Line(directory, made, broker, controller, driver, ports["http_port"], echoing, postmaster)
        controller.wait_ready(running.healthy, DEADLINE_S)
        driver.order(
            do="connect",
            host=LOOPBACK,
            port=ports["mqtt_port"],
            site=SITE,
            users=[(name, made.passwords[name]) for name in names],
            tickets=tickets,
            seed=SEED,
            hello=True,
        )
        yield running


def _start_echo(stack: ExitStack, client: str, port: int, password: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "einlass_sim.bench.echo", client, LOOPBACK, str(port), SITE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait, 10)
    stack.callback(process.kill)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(password + "\n")
    process.stdin.flush()
    if process.stdout.readline().strip() != echo.READY:
        raise BenchError(f"the echo with the client {client} does not start")
    return process


def _plan(nodes: int) -> dict[str, Any]:
    names = [f"gate-{number}" for number in range(1, nodes + 1)]
    return {
        "site": {"id": SITE, "name": "Bench"},
        "zone": [{"id": ZONE, "name": "Bad", "cap": CAP_MAX}],
        "node": [{"id": name, "board": "bench"} for name in names],
        "lane": [{"id": f"lane-{name}", "zone": ZONE, "node": name, "name": name} for name in names],
    }
