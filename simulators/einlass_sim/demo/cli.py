"""`einlass demo` and `einlass stop`."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI

from einlass_sim.brokers import BrokerKind, BrokerMissingError
from einlass_sim.demo.chaos import Chaos
from einlass_sim.demo.demo import Demo, DemoSettings
from einlass_sim.demo.office import OfficeError
from einlass_sim.demo.parts import LOOPBACK
from einlass_sim.processes import ProcessError, free_port

DIRECTORY = Path("var/demo")
PID_FILE = "demo.pid"
PREFERRED_PORT = 8080
SETTLE_S_MAX = 60.0
LOOK_S = 0.1
QUIET_LOOKS = 30
STOP_S_MAX = 10.0
SECONDS_MAX = 86_400


class _PanelServer(uvicorn.Server):
    """Signals are for the whole demonstration, not for its page."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


@dataclass(frozen=True)
class _Page:
    app: FastAPI
    server: uvicorn.Server
    serving: asyncio.Task[None]

    async def close(self) -> None:
        """Browsers are told; then the port is free."""
        self.app.state.stopping = True
        self.server.should_exit = True
        await asyncio.wait([self.serving], timeout=STOP_S_MAX)


def demo(
    seconds: Annotated[int, typer.Option("--for", min=0, max=SECONDS_MAX, help="End by itself; 0: at Ctrl-C.")] = 0,
    headless: Annotated[bool, typer.Option("--headless", help="No page; the crowd comes at once.")] = False,
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill controller, broker and nodes at random.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON last.")] = False,
    cap: Annotated[int, typer.Option(min=1, max=100_000, help="Places in the pool.")] = 60,
    arrivals: Annotated[float, typer.Option(min=1, max=600, help="Visitors a minute.")] = 90.0,
    broker: Annotated[str, typer.Option(help="mosquitto, nats, or empty for the best there is.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port; 0: 8080 or any free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Who comes, and what is killed when.")] = 1,
    directory: Annotated[
        Path, typer.Option("--dir", help="Where everything it makes is put; emptied first.")
    ] = DIRECTORY,
) -> None:
    """See it move: a pool fills up. Broker, controller, an ESP32 and a Pi node as processes, the hardware simulated."""
    if broker not in ("", "mosquitto", "nats"):
        raise typer.BadParameter("mosquitto, nats or nothing", param_hint="--broker")
    kind: BrokerKind | None = "mosquitto" if broker == "mosquitto" else "nats" if broker == "nats" else None
    try:
        _fresh(directory)
        settings = DemoSettings(directory.resolve(), cap, arrivals, kind, 0, seed)
        run = asyncio.run(_run(settings, seconds, headless, chaos, port, settle=as_json))
    except (ProcessError, BrokerMissingError, TimeoutError, OSError) as error:
        typer.echo(f"error: the demo could not be started: {error}\nlogs are in {directory}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(run))


def stop(directory: Annotated[Path, typer.Option("--dir", help="The demo's directory.")] = DIRECTORY) -> None:
    """End a demo that is still running."""
    pid = _running(directory)
    if pid is None:
        typer.echo("no demo is running")
        return
    os.kill(pid, signal.SIGTERM)
    until_s = time.monotonic() + STOP_S_MAX
    while _running(directory) is not None and time.monotonic() < until_s:
        time.sleep(0.05)
    typer.echo("stopped" if _running(directory) is None else f"process {pid} does not end; kill -9 {pid} will end it")


async def _run(
    settings: DemoSettings, seconds: int, headless: bool, chaos: bool, port: int, *, settle: bool
) -> dict[str, Any]:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    started_s = time.monotonic()
    say = _teller(started_s)
    async with Demo(settings, say) as running:
        page = None if headless else await _open_page(running, port)
        running.set_crowd(True, settings.arrivals_a_minute)
        say(f"ready in {time.monotonic() - started_s:.1f} s (seed {settings.seed})")
        if not headless:
            _welcome(running, settings)
        kills = Chaos(running, random.Random(settings.seed), say)
        killing = asyncio.create_task(kills.run(seconds or SECONDS_MAX)) if chaos else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds or None):
                await stopping.wait()
        if page is not None:
            await page.close()
        if killing is not None:
            await asyncio.wait([killing], timeout=STOP_S_MAX)
        consistent = await _settle(running) if settle else True  # Nobody asks: nobody waits.
        return _result(running, settings) | {
            "consistent": consistent,
            "kills": dict(kills.kills),
            "seed": settings.seed,
        }


async def _open_page(running: Demo, port: int) -> "_Page":
    from einlass_sim.demo.panel import panel_app  # a headless run needs no web server

    chosen = port or (PREFERRED_PORT if _is_free(PREFERRED_PORT) else free_port())
    app = panel_app(running)
    config = uvicorn.Config(
        app, host=LOOPBACK, port=chosen, log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = _PanelServer(config)
    page = _Page(app, server, running.run_beside(server.serve()))
    running.panel_url = f"http://{LOOPBACK}:{chosen}/"
    async with asyncio.timeout(STOP_S_MAX):
        while not server.started:
            await asyncio.sleep(0.02)
    return page


async def _settle(running: Demo) -> bool:
    """Nobody new, nobody under way, every fact told: then the controller's count should be the bodies inside.

    False when it is not: after power cuts the count may lie above the truth (in doubt somebody is inside), never below.
    """
    running.freeze_crowd()
    quiet = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S_MAX):
            while quiet < QUIET_LOOKS:
                agreed = running.present() == running.truth.inside and running.park_agrees()
                at_rest = running.nodes_up() and running.at_rest() and running.park_at_rest()
                quiet = quiet + (QUIET_LOOKS if agreed else 1) if at_rest else 0
                await asyncio.sleep(LOOK_S)
    with contextlib.suppress(OfficeError):
        await running.read_ledger()
    return running.present() == running.truth.inside


def _result(running: Demo, settings: DemoSettings) -> dict[str, Any]:
    latency = {"esp32" if lane["kind"] == "esp32" else "pi": lane["latency_ms"] for lane in running.view()["lanes"]}
    return {
        "admitted": running.decided.admitted,
        "refused": dict(sorted(running.decided.refused.items())),
        "inside_max": running.truth.inside_max,
        "cap": settings.cap,
        "scan_to_bolt_ms": latency,
        "nodes": len(running.lanes),
        "broker": running.broker_kind,
        "ready_s": round(running.ready_s, 2),
        "inside": running.truth.inside,
        "present": running.present(),
        "forced": running.truth.forced,
        "arrivals": running.view()["crowd"]["came"],
        "parking": running.park_result(),
    }


def _welcome(running: Demo, settings: DemoSettings) -> None:
    key_file = settings.directory / "controller" / "api-key"
    typer.echo(
        f"""
  Watch and take part    {running.panel_url}
  The controller's page  {running.office.url}/
  API                    {running.office.url}/api/v1/  (OpenAPI: {running.office.url}/api/v1/openapi.json)
  API key (the login)    {key_file.read_text().strip()}
  Logs and journals      {settings.directory}

  Ctrl-C ends everything (or, from elsewhere: einlass stop)
"""
    )


def _teller(started_s: float) -> Any:
    def say(text: str) -> None:
        print(f"[{time.monotonic() - started_s:5.1f} s] {text}", file=sys.stderr, flush=True)

    return say


def _fresh(directory: Path) -> None:
    pid = _running(directory)
    if pid is not None:
        raise ProcessError(f"a demo is running here already (process {pid}): end it with `einlass stop`")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    (directory / PID_FILE).write_text(str(os.getpid()))


def _running(directory: Path) -> int | None:
    try:
        pid = int((directory / PID_FILE).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"einlass" in command and pid != os.getpid() else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
