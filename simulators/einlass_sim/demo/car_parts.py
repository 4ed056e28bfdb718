"""The demonstration's car park as the product knows it: plan, tariff, the configurations and processes of its nodes.

Its tariff counts minutes where a real one counts hours, so that a day at the car park passes in minutes.
"""

import json
import sys
from pathlib import Path

from einlass_sim.demo.parts import LOOPBACK, SITE, Part
from einlass_sim.processes import Process

PARK = "parkplatz"
ENTRY_NODE, EXIT_NODE, TILL_NODE, SIGN_NODE = NODES = ("einfahrt", "ausfahrt", "kasse", "anzeige")
NAMES = {ENTRY_NODE: "Einfahrt", EXIT_NODE: "Ausfahrt", TILL_NODE: "Kasse", SIGN_NODE: "Anzeige"}
SPACES = 12
MINUTE_CENTS = 50
CONTRACT_MINUTES = 2
LOST_CENTS = 500
CONTRACT = "dauerparker"
SHOPS = {"baecker": "Bäckerei am Bad", "radladen": "Radladen"}
TARIFF = f"""\
tariff = "{PARK}"
title = "Parkplatz am Freibad"
valid_from = 2020-01-01
grace_minutes = 2

[rate.minute]
steps = [{{ minutes = 1, cents = {MINUTE_CENTS} }}]

[[cap]]
per = "calendar_day"
cents = 800

[pass.{CONTRACT}.rate.minute]
steps = [{{ minutes = {CONTRACT_MINUTES}, cents = {MINUTE_CENTS} }}]
"""
# The house's rules: what the pool's gate sells, and the contract parkers' card.
RULES = {
    "product": [
        {"id": "single", "name": "Einzeleintritt", "name_en": "Single entry", "entries": 1},
        {
            "id": CONTRACT,
            "name": "Dauerparker",
            "name_en": "Contract parker",
            "reentry": {"policy": "always"},
            "parking_pass": CONTRACT,
        },
    ]
}
PLAN = f"""
[[zone]]
id = "{PARK}"
name = "Parkplatz"
name_en = "Car park"
cap = {SPACES}
tariff = "{PARK}.toml"
lost_ticket_cents = {LOST_CENTS}

[[node]]
id = "{ENTRY_NODE}"

[[node]]
id = "{EXIT_NODE}"

[[node]]
id = "{TILL_NODE}"

[[node]]
id = "{SIGN_NODE}"

[[lane]]
id = "{ENTRY_NODE}"
name = "Einfahrt"
name_en = "Entry"
zone = "{PARK}"
node = "{ENTRY_NODE}"
issues = "parkschein"

[[lane]]
id = "{EXIT_NODE}"
name = "Ausfahrt"
name_en = "Exit"
zone = "{PARK}"
node = "{EXIT_NODE}"

[[till]]
id = "{TILL_NODE}"
name = "Kasse"
name_en = "Pay station"
node = "{TILL_NODE}"
zone = "{PARK}"

[[sign]]
node = "{SIGN_NODE}"
zone = "{PARK}"
"""
# Quicker than at a real car park: the demonstration shows many cars in a short time.
_LANE = """
[lane]
show_ms = 2000
settle_ms = 3000
release_ms = 20000
exit_release_ms = 20000
[turnstile]
kind = "barrier"
host = "127.0.0.1"
port = {port}
[display]
serial = {display}
"""


def lane_of_entry(directory: Path, port: int) -> str:
    """Of node.toml: a barrier with a ticket column, and a reader for contract parkers."""
    places = _LANE.format(port=port, display=_link(directory, ENTRY_NODE, "display"))
    printer = _link(directory, ENTRY_NODE, "printer")
    places += f"[entry]\nserial = {_link(directory, ENTRY_NODE, 'reader')}\n"
    return places + f'[entry.ticket]\nserial = {printer}\nbaud = 19200\ntitle = "Parkplatz am Freibad"\n'


def lane_of_exit(directory: Path, port: int) -> str:
    """Of node.toml: a barrier that asks."""
    places = _LANE.format(port=port, display=_link(directory, EXIT_NODE, "display"))
    return places + f"[exit]\nserial = {_link(directory, EXIT_NODE, 'reader')}\n"


def sign(directory: Path) -> str:
    """Of node.toml: the free-space sign."""
    return f'[sign]\nzone = "{PARK}"\ntitle = "Parkplatz"\nserial = {_link(directory, SIGN_NODE, "display")}\n'


def link(directory: Path, node: str, device: str) -> Path:
    """Where a simulated device of a node is found."""
    return directory / f"{node}-{device}"


def node_part(directory: Path, node: str, mqtt_port: int, password: str, rest: str) -> Part:
    """`einlass node` of the car park with this configuration."""
    config = directory / f"node-{node}.toml"
    config.touch(mode=0o600)
    journal = json.dumps(str(directory / f"journal-{node}.db"))
    head = f'site = "{SITE}"\nnode = "{node}"\njournal = {journal}\n'
    broker = f'[broker]\nhost = "{LOOPBACK}"\nport = {mqtt_port}\npassword = {json.dumps(password)}\n'
    config.write_text(head + broker + rest, encoding="utf-8")
    process = Process(
        f"node-{node}", [sys.executable, "-m", "einlass_cli", "node", "--config", str(config)], directory=directory
    )
    return Part(node, process.start, process.kill, lambda: process.alive)


def _link(directory: Path, node: str, device: str) -> str:
    return json.dumps(str(link(directory, node, device)))
