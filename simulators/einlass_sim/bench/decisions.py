"""`einlass bench decisions`: what one run measures, and how it becomes one line."""

import socket
import statistics
import sys
from typing import Any

from einlass_sim.bench import empty, probe
from einlass_sim.bench.line import SEED, ZONE, Driver, Line, line
from einlass_sim.processes import LOOPBACK, Process, free_port

ROUNDS = 3
RATE_PER_S = 200.0
HTTP_PER_S_MAX = 8_000
CONNECTIONS_MAX = 64
# Of the given time, in the order of measurement.
PARTS = {"echo": 0.25, "scans": 0.35, "visits": 0.2, "paced": 0.2}


def measure(
    nodes: int,
    seconds: float,
    database: str,
    tickets: int,
    client: str,
    *,
    http: bool = False,
    rate_per_s: float = RATE_PER_S,
) -> dict[str, Any]:
    """Run it. Raises BenchError and what the parts of the line raise."""
    with line(nodes, tickets, database, client) as running:
        found = _measure(running, nodes, seconds, database, tickets, client, rate_per_s)
        if http:
            found["http"] = _over_http(running, min(nodes, CONNECTIONS_MAX), seconds / 2, tickets)
        return found


def _over_http(running: Line, connections: int, seconds: float, tickets: int) -> dict[str, Any]:
    """Redeeming at a desk, and an empty endpoint of the same framework, in turns."""
    port = free_port()
    command = [sys.executable, "-m", "einlass_sim.bench.empty", str(port)]
    each, window_s = tickets // ROUNDS, seconds / ROUNDS / 2
    order = {"do": "", "host": LOOPBACK, "connections": connections, "seconds": window_s, "seed": SEED, "zone": ZONE}
    rounds: dict[str, list[dict[str, Any]]] = {"redeem": [], "empty": []}
    driver = Driver("einlass_sim.bench.web")
    try:
        with Process("empty", command, directory=running.directory) as server:
            server.wait_ready(lambda: _listens(port))
            for number in range(ROUNDS):
                order |= {"first": number * each, "count": min(each, int(HTTP_PER_S_MAX * window_s))}
                where = {"port": running.http_port, "path": "/api/v1/redeem", "key": running.made.api_key}
                rounds["redeem"].append(driver.order(**order, **where))
                rounds["empty"].append(driver.order(**order, port=port, path=empty.PATH, key="none"))
    finally:
        driver.close()
    rates = {name: statistics.median(window["per_s"] for window in windows) for name, windows in rounds.items()}
    return {
        "redeem_per_s": round(rates["redeem"], 1),
        "empty_per_s": round(rates["empty"], 1),
        "ratio": round(rates["redeem"] / rates["empty"], 3),
        **_latencies(rounds["redeem"]),
        "connections": connections,
        "codes": _codes(rounds),
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe_socket:
        return probe_socket.connect_ex((LOOPBACK, port)) == 0


def _measure(
    running: Line, nodes: int, seconds: float, database: str, tickets: int, client: str, rate_per_s: float
) -> dict[str, Any]:
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    fsyncs = [probe.fsync_ms(running.directory)]
    in_database_s = 0.0
    before_mib, _ = probe.memory_mib(running.controller.pid)
    for _ in range(ROUNDS):
        for name, part in PARTS.items():
            order = {"mix": "visits" if name == "paced" else name, "rate_per_s": rate_per_s if name == "paced" else 0.0}
            order |= {"seconds": seconds * part / ROUNDS, "watched": running.watched()}
            before_s = _in_database_s(running)
            rounds[name].append(running.driver.order(do="window", **order))
            if name == "scans":
                in_database_s += _in_database_s(running) - before_s
                running.driver.order(do="reboot")
        fsyncs.append(probe.fsync_ms(running.directory))
    rates = {name: statistics.median(window["per_s"] for window in windows) for name, windows in rounds.items()}
    paced = _latencies(rounds["paced"])
    return {
        "decisions_per_s": round(rates["scans"], 1),
        "echo_per_s": round(rates["echo"], 1),
        "ratio": round(rates["scans"] / rates["echo"], 3),
        **paced,
        "nodes": nodes,
        "tickets": tickets,
        "database": database.partition(":")[0],
        "client": client,
        "fsync_ms": round(statistics.median(fsyncs), 2),
        "share": _share(rounds["scans"], in_database_s),
        "cpu_us_per_decision": _each(rounds["scans"]),
        "cpu_us_per_echo": _each(rounds["echo"]),
        "visits_per_s": round(rates["visits"], 1),
        "visit_messages_ratio": round(_messages(rounds["visits"]) / rates["echo"], 3),
        "paced_per_s": round(rates["paced"], 1),
        "busy": _latencies(rounds["scans"]),
        "echo": _latencies(rounds["echo"]),
        "codes": _codes(rounds),
        "rounds": {name: [round(window["per_s"]) for window in windows] for name, windows in rounds.items()},
        **_memory(running.controller.pid, before_mib, nodes),
    }


def _memory(pid: int, before_mib: float, nodes: int) -> dict[str, float]:
    """Of the controller: now, at most, and by how much it grew for each node since before the first scan."""
    now_mib, peak_mib = probe.memory_mib(pid)
    grown_kib = max(0.0, peak_mib - before_mib) * 1024 / nodes
    return {
        "controller_mib": round(now_mib, 1),
        "controller_peak_mib": round(peak_mib, 1),
        "controller_before_mib": round(before_mib, 1),
        "controller_kib_per_node": round(grown_kib, 1),
    }


def _messages(windows: list[dict[str, Any]]) -> float:
    return float(statistics.median((window["done"] + window["events"]) / window["seconds"] for window in windows))


def _latencies(windows: list[dict[str, Any]]) -> dict[str, float]:
    """Median over the windows, so that one hiccup of the machine is not the figure."""
    percentiles = {"p50_ms": 0.50, "p99_ms": 0.99}
    return {
        name: round(statistics.median(_at(window["latencies_ms"], part) for window in windows), 2)
        for name, part in percentiles.items()
    }


def _at(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def _codes(rounds: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    seen: dict[str, int] = {}
    for windows in rounds.values():
        for window in windows:
            for code, count in window["codes"].items():
                seen[code] = seen.get(code, 0) + count
    return seen


def _in_database_s(running: Line) -> float:
    """Processor time that the controller has spent inside the driver of its database so far."""
    spent = running.get("/api/v1/engine")
    return float(spent["reading_s"] + spent["writing_s"] + spent["committing_s"])


def _cpu_s(windows: list[dict[str, Any]]) -> dict[str, float]:
    return {name: sum(window["cpu_s"][name] for window in windows) for name in windows[0]["cpu_s"]}


def _each(windows: list[dict[str, Any]]) -> dict[str, float]:
    """Microseconds of processor for one, by part: holds on a busy machine too."""
    done = max(1, sum(window["done"] for window in windows))
    return {name: round(value * 1e6 / done, 1) for name, value in _cpu_s(windows).items() if value}


def _share(windows: list[dict[str, Any]], in_database_s: float) -> dict[str, float]:
    """Who used the processor for decisions."""
    used = _cpu_s(windows)
    inside_s = min(in_database_s, used["controller"])
    parts = {
        "broker": used["broker"],
        "database": used["database"] + inside_s,
        "ours": used["controller"] - inside_s,
    }
    total = sum(parts.values()) or 1.0
    return {name: round(value / total, 3) for name, value in parts.items()}
