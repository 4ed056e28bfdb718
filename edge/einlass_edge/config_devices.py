"""Sections of node.toml for devices that lanes and tills have."""

from typing import Literal

from pydantic import Field, model_validator

from einlass_edge.config_base import Baud, Host, Port, Section, path_key

_CAMERA = r"^(socket:/.+|v4l2:/dev/.+)$"


class ReaderConfig(Section):
    """One side's readers: any of a serial scanner, a keyboard scanner and a camera, also several at once."""

    serial: str | None = path_key("a serial port", "/dev/serial0")
    baud: Baud = 9600
    scanner: Literal["gm65", "plain"] = Field(
        default="gm65",
        description='"gm65" (set up at every start) or "plain" (types a code and Enter)',
        examples=["gm65"],
    )
    hid: str | None = path_key("an input device", "/dev/input/by-id/usb-scanner-event-kbd")
    camera: str | None = Field(
        default=None, pattern=_CAMERA, description='"socket:/path" or "v4l2:/dev/video0"', examples=["v4l2:/dev/video0"]
    )

    def has_any(self) -> bool:
        """Whether there is anything that takes a code."""
        return bool(self.serial or self.hid or self.camera)

    @model_validator(mode="after")
    def _any_reader(self) -> "ReaderConfig":
        if not self.has_any():
            raise ValueError(
                'name a reader: serial = "/dev/serial0", hid = "/dev/input/event0" or camera = "v4l2:/dev/video0"'
            )
        return self


class BoardConfig(Section):
    """A Modbus relay board: by TCP (host) or on a serial line (serial)."""

    host: Host | None = None
    port: Port = 502
    serial: str | None = path_key("a serial port", "/dev/ttyUSB0")
    baud: Baud = 9600
    unit: int = Field(default=1, ge=1, le=247, description="1 to 247 (the board's Modbus address)", examples=[1])
    watchdog_ms: int = Field(
        default=1000,
        ge=0,
        le=10_000,
        description="0 (the board has no watchdog) or 400 to 10000 (it drops its coils after this silence)",
        examples=[1000],
    )

    @model_validator(mode="after")
    def _one_way(self) -> "BoardConfig":
        if (self.host is None) == (self.serial is None):
            raise ValueError('give either host = "10.0.0.5" (Modbus TCP) or serial = "/dev/ttyUSB0" (Modbus RTU)')
        if 0 < self.watchdog_ms < 400:
            raise ValueError("watchdog_ms is too short for the driver's polling; allowed are 0 or 400 to 10000")
        return self
