"""Outputs to the profile's safe state before anything else can fail; everything after this may."""

import json
from machine import Pin


def safe_state() -> None:
    """Entry shut, exit free, lamps dark."""
    with open("/profile.json") as file:
        lines = json.load(file)["lines"]
    for name in ("bolt_entry", "bolt_exit", "lamp_green", "lamp_red", "lamp_yellow", "buzzer"):
        line = lines[name]
        on = name == "bolt_exit"  # the exit's line says "free", and free it must be
        Pin(line["pin"], Pin.OUT, value=int(on) ^ int(line.get("active_low", False)))


try:
    safe_state()
except (OSError, ValueError, KeyError) as error:
    print("boot: no usable /profile.json:", error)
