"""node.toml of a lane: what a technician writes, checked where it is read."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from einlass_core.gate import GateSettings
from einlass_edge.config_base import (
    Baud,
    BrokerConfig,
    ConfigError,
    Host,
    PlaceConfig,
    Port,
    Section,
    check_ca,
    checked,
    ms_key,
    path_key,
    read_password,
    read_toml,
)

__all__ = ["BrokerConfig", "ConfigError", "check_ca", "read_config", "read_password"]

_CAMERA = r"^(socket:/.+|v4l2:/dev/.+)$"

_Pin = Annotated[int, Field(ge=0, le=27, description="0 to 27 (BCM number of the pin)", examples=[17])]


class LaneConfig(Section):
    """The lane's times."""

    ask_ms: int = ms_key(2000, 100, 10_000, "how long the controller may take to answer")
    release_ms: int = ms_key(6000, 500, 60_000, "how long the entry stays free for one person")
    settle_ms: int = ms_key(400, 50, 5000, "how long the sensors must be at rest after a release")
    busy_ms: int = ms_key(5000, 1000, 60_000, "somebody between the sensors for so long, with no release, is a fault")
    doubt_ms: int = ms_key(20_000, 1000, 120_000, "after this somebody still between the sensors counts as through")
    same_code_ms: int = ms_key(1500, 0, 10_000, "the same code is not taken again within it")
    show_ms: int = ms_key(3000, 500, 20_000, "how long a refusal is shown")
    exit_release_ms: int = ms_key(6000, 500, 60_000, "how long the exit stays free after a scan")
    bolt_move_ms: int = ms_key(1500, 50, 10_000, "how long the bolt may take to move")
    passage_debounce_ms: int = ms_key(15, 0, 500, "how long a barrier must stay blocked or free")
    exit_free: bool = Field(default=True, description="true or false (true: out without any scan)", examples=["true"])
    bolt_sensed: bool = Field(default=False, description="true or false (the bolt has a contact)", examples=["true"])
    cut_off: Literal["secure", "leased", "open", "free-flow"] = Field(
        default="leased",
        description='"secure", "leased", "open" or "free-flow" (whom the entry admits without the controller)',
        examples=["leased"],
    )

    def gate_settings(self) -> GateSettings:
        """As the core wants them."""
        fields = self.model_dump()
        del fields["passage_debounce_ms"]
        return GateSettings(**fields)


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

    @model_validator(mode="after")
    def _any_reader(self) -> "ReaderConfig":
        if not (self.serial or self.hid or self.camera):
            raise ValueError(
                'name a reader: serial = "/dev/serial0", hid = "/dev/input/event0" or camera = "v4l2:/dev/video0"'
            )
        return self


class ModbusConfig(Section):
    """A turnstile behind a relay board: by TCP (host) or on a serial line (serial)."""

    kind: Literal["modbus"]
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
    def _one_way(self) -> "ModbusConfig":
        if (self.host is None) == (self.serial is None):
            raise ValueError('give either host = "10.0.0.5" (Modbus TCP) or serial = "/dev/ttyUSB0" (Modbus RTU)')
        if 0 < self.watchdog_ms < 400:
            raise ValueError("watchdog_ms is too short for the driver's polling; allowed are 0 or 400 to 10000")
        return self


class GpioConfig(Section):
    """A turnstile on the Pi's own pins; inputs have pull-ups: high is blocked, pressed or a cut wire."""

    kind: Literal["gpio"]
    entry_bolt: _Pin
    exit_bolt: _Pin
    barrier_a: _Pin
    barrier_b: _Pin
    emergency: _Pin
    bolt_contact: _Pin | None = None
    lamp_green: _Pin | None = None
    lamp_red: _Pin | None = None
    lamp_yellow: _Pin | None = None
    buzzer: _Pin | None = None
    inverted: list[str] = Field(
        default=[], description="names of pins whose level is the other way round", examples=[["exit_bolt"]]
    )

    @model_validator(mode="after")
    def _pins(self) -> "GpioConfig":
        numbers = self.numbers()
        for name in self.inverted:
            if name not in numbers:
                raise ValueError(
                    f"inverted names {name!r}, but no pin has that name; the pins are {', '.join(numbers)}"
                )
        users: dict[int, str] = {}
        for name, number in numbers.items():
            if number in users:
                raise ValueError(f"pin {number} is given to both {users[number]} and {name}")
            users[number] = name
        return self

    def numbers(self) -> dict[str, int]:
        """Pin by name, without those that are not wired."""
        return {name: value for name, value in self.model_dump().items() if type(value) is int}


class NodeConfig(PlaceConfig):
    """All of a lane's node.toml."""

    lane: LaneConfig = LaneConfig()
    entry: ReaderConfig
    exit: ReaderConfig | None = None
    turnstile: ModbusConfig | GpioConfig = Field(discriminator="kind")

    def devices(self) -> list[tuple[str, str]]:
        """See PlaceConfig."""
        named = []
        for side, reader in (("entry", self.entry), ("exit", self.exit)):
            if reader is not None:
                for key in ("serial", "hid", "camera"):
                    named.append((f"{side}.{key}", getattr(reader, key)))
        if isinstance(self.turnstile, ModbusConfig):
            named.append(("turnstile.serial", self.turnstile.serial))
        return [(where, device) for where, device in named if device]


def read_config(path: Path) -> NodeConfig:
    """The checked configuration; ConfigError with one line for each mistake. Paths in it are relative to the file."""
    return checked(NodeConfig, read_toml(path), path)
