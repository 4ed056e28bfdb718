"""Checks what a technician wrote: board profile and node configuration. A key nobody read is an error.

The same files are read on the board and on a host; chip rules (which pin may do what) are checked on the host, where
a mistake is found before anything is flashed. What comes out is in board.py, so that a board can forget this module
(and win 8 kB) once it has read its files.
"""

from einlass_core.board import Board, Line, NodeConfig, ReaderLine
from einlass_core.gate import POLICIES, GateSettings
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

PIN_MAX = 48
TEXT_LENGTH_MAX = 64
READERS_MAX = 4


class ProfileError(ValueError):
    """What is wrong, where, and what would be right."""


class Section:
    """One object of a configuration; take every key once, then finish()."""

    def __init__(self, where: str, data: "Any") -> None:
        if not isinstance(data, dict):
            raise ProfileError("%s must be an object {...}" % where)
        self._where = where
        self._left = dict(data)

    def has(self, name: str) -> bool:
        """Whether the key is there."""
        return name in self._left

    def take(self, name: str, default: "Any" = None) -> "Any":
        """The raw value; ProfileError when it is missing and has no default."""
        if name in self._left:
            return self._left.pop(name)
        if default is None:
            raise ProfileError("%s lacks %s" % (self._where, name))
        return default

    def integer(self, name: str, low: int, high: int, default: "int | None" = None) -> int:
        """A whole number within bounds."""
        value = self.take(name, default)
        if type(value) is not int or not low <= value <= high:
            raise ProfileError(
                "%s.%s is %r; it must be a whole number from %d to %d" % (self._where, name, value, low, high)
            )
        return value

    def text(self, name: str, default: "str | None" = None, length_max: int = TEXT_LENGTH_MAX) -> str:
        """A text of bounded length, not empty unless that is the default."""
        value = self.take(name, default)
        if type(value) is not str or len(value) > length_max or (not value and default != ""):
            raise ProfileError("%s.%s must be a text of 1 to %d characters" % (self._where, name, length_max))
        return value

    def flag(self, name: str, default: "bool | None" = None) -> bool:
        """true or false."""
        value = self.take(name, default)
        if type(value) is not bool:
            raise ProfileError("%s.%s is %r; it must be true or false" % (self._where, name, value))
        return value

    def choice(self, name: str, allowed: "tuple[str, ...]", default: "str | None" = None) -> str:
        """One of a few words."""
        value = self.take(name, default)
        if value not in allowed:
            raise ProfileError("%s.%s is %r; it must be one of: %s" % (self._where, name, value, ", ".join(allowed)))
        return value  # type: ignore[no-any-return]

    def section(self, name: str, default: "dict[str, Any] | None" = None) -> "Section":
        """An object within this one."""
        return Section("%s.%s" % (self._where, name), self.take(name, default))

    def finish(self) -> None:
        """ProfileError for keys that nothing has read: most often a typing error."""
        if self._left:
            raise ProfileError("%s has unknown keys: %s" % (self._where, ", ".join(sorted(self._left))))


OUTPUTS = ("bolt_entry", "bolt_exit", "lamp_green", "lamp_red", "lamp_yellow", "buzzer")
INPUTS = ("barrier_a", "barrier_b", "emergency", "bolt_entry_sensed")
OPTIONAL = ("bolt_entry_sensed",)


def board(data: "Any") -> Board:
    """A board profile, checked; ProfileError says what to mend."""
    root = Section("board", data)
    root.text("name")
    chip = root.choice("chip", ("esp32", "esp32s3"))
    lines = {}
    section = root.section("lines")
    for name in OUTPUTS + INPUTS:
        if name in OPTIONAL and not section.has(name):
            continue
        line = section.section(name)
        lines[name] = Line(line.integer("pin", 0, PIN_MAX), line.flag("active_low", False))
        line.finish()
    section.finish()
    readers = _readers(root.take("readers"))
    debounce_ms = root.integer("debounce_ms", 0, 200, 15)
    root.finish()
    _check_no_pin_twice(lines, readers)
    return Board(chip, lines, readers, debounce_ms)


def _readers(data: "Any") -> "list[ReaderLine]":
    if not isinstance(data, list) or not 1 <= len(data) <= READERS_MAX:
        raise ProfileError("board.readers must be a list of 1 to %d readers" % READERS_MAX)
    readers = []
    for number, item in enumerate(data):
        section = Section("board.readers[%d]" % number, item)
        readers.append(
            ReaderLine(
                section.choice("side", ("entry", "exit")),
                section.integer("uart", 1, 2),
                section.integer("tx", 0, PIN_MAX),
                section.integer("rx", 0, PIN_MAX),
                section.integer("baud", 1200, 921600, 9600),
            )
        )
        section.finish()
    return readers


def _check_no_pin_twice(lines: "dict[str, Line]", readers: "list[ReaderLine]") -> None:
    used: "dict[int, str]" = {}
    pairs = [(line.pin, name) for name, line in lines.items()]
    for reader in readers:
        pairs.append((reader.tx, "uart%d.tx" % reader.uart))
        pairs.append((reader.rx, "uart%d.rx" % reader.uart))
    for pin, name in pairs:
        if pin in used:
            raise ProfileError("pin %d is used twice: %s and %s" % (pin, used[pin], name))
        used[pin] = name


_TIMES = (
    # name, least, most, and why a value outside is refused
    ("ask_ms", 100, 10_000),
    ("release_ms", 500, 60_000),
    ("settle_ms", 50, 5_000),
    ("busy_ms", 1_000, 60_000),
    ("doubt_ms", 1_000, 120_000),
    ("same_code_ms", 0, 10_000),
    ("show_ms", 500, 20_000),
    ("exit_release_ms", 500, 60_000),
    ("bolt_move_ms", 50, 10_000),
)


def lane_settings(data: "Any", bolt_sensed: bool) -> GateSettings:
    """The lane's times; what is not given keeps the default of GateSettings."""
    section = Section("lane", data)
    settings = GateSettings(bolt_sensed=bolt_sensed)
    for name, low, high in _TIMES:
        setattr(settings, name, section.integer(name, low, high, getattr(settings, name)))
    settings.exit_free = section.flag("exit_free", settings.exit_free)
    settings.cut_off = section.choice("cut_off", POLICIES, settings.cut_off)
    section.finish()
    return settings


def node_config(data: "Any") -> NodeConfig:
    """Who the node is and whom it talks to, checked; ProfileError says what to mend."""
    root = Section("config", data)
    config = NodeConfig()
    config.site = root.text("site", length_max=32)
    config.node = root.text("node", length_max=32)
    broker = root.section("broker")
    config.host = broker.text("host")
    config.port = broker.integer("port", 1, 65535, 1883)
    config.password = broker.text("password")
    config.ca_file = broker.text("ca_file", "")
    broker.finish()
    wifi = root.section("wifi", {"ssid": " "})
    config.wifi_ssid = wifi.text("ssid").strip()
    config.wifi_password = wifi.text("password", "")
    wifi.finish()
    config.lane = root.take("lane", {"exit_free": True})
    root.finish()
    return config
