"""What a node is made of and whom it talks to, after profile.py has checked it."""

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Line:
    """A pin and how it is wired. safe: the level that leaves the lane as its fire concept wants it."""

    def __init__(self, pin: int, active_low: bool) -> None:
        self.pin = pin
        self.active_low = active_low


class ReaderLine:
    """A QR reader on a UART."""

    def __init__(self, side: str, uart: int, tx: int, rx: int, baud: int) -> None:
        self.side = side
        self.uart = uart
        self.tx = tx
        self.rx = rx
        self.baud = baud


class Board:
    """A turnstile board: lines by name, readers, times."""

    def __init__(self, chip: str, lines: "dict[str, Line]", readers: "list[ReaderLine]", debounce_ms: int) -> None:
        self.chip = chip
        self.lines = lines
        self.readers = readers
        self.debounce_ms = debounce_ms


class NodeConfig:
    """Secrets are made at set-up and stay on the board. ca_file and wifi_ssid are empty when not used."""

    def __init__(self) -> None:
        self.site = ""
        self.node = ""
        self.host = ""
        self.port = 0
        self.password = ""
        self.ca_file = ""
        self.wifi_ssid = ""
        self.wifi_password = ""
        self.lane: "Any" = {}
