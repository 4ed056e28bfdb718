"""node.toml: what a technician writes, checked where it is read. A key nobody knows is an error."""

import difflib
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from einlass_core.gate import GateSettings

CONFIG_BYTES_MAX = 65_536

_NAME = r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$"
_NAME_ALLOWED = "1 to 32 small letters, digits, - and _ (not first or last)"
_RESERVED_NODES = ("all", "controller")
_CAMERA = r"^(socket:/.+|v4l2:/dev/.+)$"


class ConfigError(ValueError):
    """What is wrong in which key, what is allowed, and an example: one line for each mistake."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _ms(default: int, low: int, high: int, meaning: str) -> Any:
    return Field(
        default=default,
        ge=low,
        le=high,
        description=f"{low} to {high} ({meaning}, in milliseconds)",
        examples=[default],
    )


def _path(meaning: str, example: str) -> Any:
    return Field(default=None, min_length=1, max_length=255, description=meaning, examples=[example])


_Port = Annotated[int, Field(ge=1, le=65535, description="1 to 65535", examples=[1883])]
_Baud = Annotated[
    Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200],
    Field(description="1200, 2400, 4800, 9600, 19200, 38400, 57600 or 115200", examples=[9600]),
]
_Host = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^\S+$", description="a host name or address", examples=["10.0.0.2"]),
]
_Pin = Annotated[int, Field(ge=0, le=27, description="0 to 27 (BCM number of the pin)", examples=[17])]


class BrokerConfig(_Section):
    """Where the broker is and how the node proves who it is (its user name is the node id)."""

    host: _Host
    port: _Port = 1883
    password: str | None = Field(default=None, min_length=1, max_length=128, description="a text", examples=["secret"])
    password_file: str | None = _path("a file whose first line is the password", "/etc/einlass/password")
    ca: str | None = _path("a PEM file; with it the connection is encrypted", "/etc/einlass/ca.pem")

    @model_validator(mode="after")
    def _one_password(self) -> "BrokerConfig":
        if (self.password is None) == (self.password_file is None):
            raise ValueError('give either password_file = "/etc/einlass/password" or password = "..."')
        return self


class LaneConfig(_Section):
    """The lane's times."""

    ask_ms: int = _ms(2000, 100, 10_000, "how long the controller may take to answer")
    release_ms: int = _ms(6000, 500, 60_000, "how long the entry stays free for one person")
    settle_ms: int = _ms(400, 50, 5000, "how long the sensors must be at rest after a release")
    busy_ms: int = _ms(5000, 1000, 60_000, "somebody between the sensors for so long, with no release, is a fault")
    doubt_ms: int = _ms(20_000, 1000, 120_000, "after this somebody still between the sensors counts as through")
    same_code_ms: int = _ms(1500, 0, 10_000, "the same code is not taken again within it")
    show_ms: int = _ms(3000, 500, 20_000, "how long a refusal is shown")
    exit_release_ms: int = _ms(6000, 500, 60_000, "how long the exit stays free after a scan")
    bolt_move_ms: int = _ms(1500, 50, 10_000, "how long the bolt may take to move")
    passage_debounce_ms: int = _ms(15, 0, 500, "how long a barrier must stay blocked or free")
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


class ReaderConfig(_Section):
    """One side's readers: any of a serial scanner, a keyboard scanner and a camera, also several at once."""

    serial: str | None = _path("a serial port", "/dev/serial0")
    baud: _Baud = 9600
    scanner: Literal["gm65", "plain"] = Field(
        default="gm65",
        description='"gm65" (set up at every start) or "plain" (types a code and Enter)',
        examples=["gm65"],
    )
    hid: str | None = _path("an input device", "/dev/input/by-id/usb-scanner-event-kbd")
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


class ModbusConfig(_Section):
    """A turnstile behind a relay board: by TCP (host) or on a serial line (serial)."""

    kind: Literal["modbus"]
    host: _Host | None = None
    port: _Port = 502
    serial: str | None = _path("a serial port", "/dev/ttyUSB0")
    baud: _Baud = 9600
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


class GpioConfig(_Section):
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


class NodeConfig(_Section):
    """All of node.toml."""

    site: str = Field(pattern=_NAME, description=_NAME_ALLOWED, examples=["bad-nord"])
    node: str = Field(pattern=_NAME, description=_NAME_ALLOWED, examples=["eingang-1"])
    journal: str = Field(
        min_length=1,
        max_length=255,
        description="a file that survives power cuts",
        examples=["/var/lib/einlass/journal.db"],
    )
    broker: BrokerConfig
    lane: LaneConfig = LaneConfig()
    entry: ReaderConfig
    exit: ReaderConfig | None = None
    turnstile: ModbusConfig | GpioConfig = Field(discriminator="kind")

    @model_validator(mode="after")
    def _together(self) -> "NodeConfig":
        if self.node in _RESERVED_NODES:
            raise ValueError(f'node = "{self.node}" is reserved: give the node another id, such as "eingang-1"')
        devices: dict[str, str] = {}
        for where, device in self._devices():
            if device in devices:
                raise ValueError(f"{device} is given to both {devices[device]} and {where}")
            devices[device] = where
        return self

    def _devices(self) -> list[tuple[str, str]]:
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
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {CONFIG_BYTES_MAX} bytes: is this the right file?")
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. Give its place with --config") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'{path}: not TOML: {error}. A line looks like: site = "bad-nord"') from error
    try:
        return NodeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_taught(mistake)}" for mistake in error.errors())) from error


def read_password(config: BrokerConfig, beside: Path) -> str:
    """The password itself; ConfigError when its file cannot be read or is empty."""
    if config.password is not None:
        return config.password
    assert config.password_file is not None
    path = beside / config.password_file
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"broker.password_file: {path} cannot be read: {error}") from error
    if not lines or not lines[0].strip():
        raise ConfigError(f"broker.password_file: {path} is empty; its first line must be the password")
    return lines[0].strip()


def check_ca(config: BrokerConfig, beside: Path) -> None:
    """ConfigError when the broker's certificate authority cannot be read."""
    if config.ca is None:
        return
    try:
        ssl.create_default_context(cafile=beside / config.ca)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"broker.ca: {beside / config.ca} is no readable PEM file: {error}") from error


def _taught(mistake: Any) -> str:
    """One mistake in a technician's words: the key, what is wrong, what is allowed, an example."""
    place = [str(part) for part in mistake["loc"] if part not in ("modbus", "gpio")]
    section = GpioConfig if "gpio" in mistake["loc"] else _section(place[:-1])
    key = ".".join(place)
    if mistake["type"] == "extra_forbidden":
        known = list(section.model_fields) if section else []
        close = difflib.get_close_matches(place[-1], known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: nobody knows this key; {hint}Known here: {', '.join(known)}"
    if mistake["type"] == "value_error":
        return f"{key + ': ' if key else ''}{mistake['ctx']['error']}"
    if mistake["type"].startswith("union_tag"):
        return f'{key}.kind: allowed are "modbus" and "gpio"; for example: kind = "modbus"'
    field = section.model_fields.get(place[-1]) if section else None
    if mistake["type"] == "missing":
        return f"{key}: is missing; {_allowed(place[-1], field)}"
    return f"{key}: {mistake['input']!r:.60} is not allowed; {_allowed(place[-1], field)}"


def _allowed(name: str, field: FieldInfo | None) -> str:
    allowed, example = _description(field)
    if allowed:
        return f"allowed: {allowed}; for example: {name} = {_toml(example)}"
    return f"it must be a section; for example: [{name}]"


def _description(field: FieldInfo | None) -> tuple[str, Any]:
    """Of the field, or of the annotation inside an optional one."""
    if field is None:
        return "", None
    if field.description:
        return field.description, (field.examples or [None])[0]
    for inner in (field.annotation, *get_args(field.annotation)):
        for info in getattr(inner, "__metadata__", ()):
            if isinstance(info, FieldInfo) and info.description:
                return info.description, (info.examples or [None])[0]
    return "", None


def _toml(value: Any) -> str:
    if isinstance(value, str) and not re.fullmatch(r"true|false", value):
        return f'"{value}"'
    return str(value).replace("'", '"')


def _section(place: list[str]) -> type[BaseModel] | None:
    sections: Mapping[str, type[BaseModel]] = {
        "": NodeConfig,
        "broker": BrokerConfig,
        "lane": LaneConfig,
        "entry": ReaderConfig,
        "exit": ReaderConfig,
        "turnstile": ModbusConfig,
    }
    return sections.get(place[0] if place else "")
