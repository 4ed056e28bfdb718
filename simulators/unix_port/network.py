"""Stand-in for the ESP32's `network`: the host's own network behind a station interface that has to be connected.

The plant may take the access point away: {"t": "wifi", "up": 0, "rssi": -80}. Sockets go on working meanwhile; what is
simulated is what the interface says.
"""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

import machine
import time

import board_link

STA_IF = 0
AP_IF = 1
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010

# A real one takes seconds; enough that a firmware that does not wait is found out.
CONNECT_MS = 50

_air = {"up": 1, "rssi": -60}
_hostname = "mpy-esp32"


def _from_plant(message):
    _air.update({key: message[key] for key in ("up", "rssi") if key in message})


board_link.on("wifi", _from_plant)


def hostname(name=None):
    """Get or set the host name."""
    global _hostname
    if name is None:
        return _hostname
    _hostname = name


def country(code=None):
    """Get the country, which cannot be changed here."""
    return "DE"


class WLAN:
    """The station interface; all objects are the same one."""

    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    _active = False
    _since_ms = None  # when connect was called

    def __init__(self, interface=STA_IF):
        if interface != STA_IF:
            raise ValueError("only the station interface stands in here")

    def active(self, on=None):
        if on is not None:
            WLAN._active = bool(on)
            if not on:
                WLAN._since_ms = None
        return WLAN._active

    def connect(self, ssid=None, key=None, **options):
        if not WLAN._active:
            raise OSError("Wifi Not Started")
        if self.status() == STAT_CONNECTING:
            raise OSError("Wifi Internal Error")
        WLAN._since_ms = time.ticks_ms()

    def disconnect(self):
        WLAN._since_ms = None

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        board_link.poll()
        if what == "rssi":
            return _air["rssi"]
        if WLAN._since_ms is None:
            return STAT_IDLE
        if not _air["up"]:
            return STAT_BEACON_TIMEOUT
        waited_ms = time.ticks_diff(time.ticks_ms(), WLAN._since_ms)
        return STAT_GOT_IP if waited_ms >= CONNECT_MS else STAT_CONNECTING

    def ifconfig(self, *addresses):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

    def ipconfig(self, what=None, **settings):
        return {"addr4": ("127.0.0.1", "255.0.0.0"), "gw4": "127.0.0.1"}.get(what)

    def config(self, what=None, **settings):
        return {"mac": machine.unique_id(), "hostname": _hostname}.get(what)

    def scan(self):
        return []
