"""node.toml: what a technician writes, checked where it is read. A key nobody knows is an error."""

import difflib
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from einlass_core.gate import GateSettings
from einlass_edge.config_car import CAR_LANE, BarrierConfig, DisplayConfig, EntryConfig, TicketConfig
from einlass_edge.config_parts import (
    BoardConfig,
    BrokerConfig,
    NodeName,
    Pin,
    ReaderConfig,
    Section,
    SiteName,
    check_node_name,
    ms,
)
from einlass_edge.config_sign import SignConfig, SignNodeConfig

CONFIG_BYTES_MAX = 65_536


class ConfigError(ValueError):
    """What is wrong in which key, what is allowed, and an example: one line for each mistake."""


class LaneConfig(Section):
    """The lane's times."""

    ask_ms: int = ms(2000, 100, 10_000, "how long the controller may take to answer")
    release_ms: int = ms(6000, 500, 60_000, "how long the entry stays free for one person")
    settle_ms: int = ms(400, 50, 5000, "how long the sensors must be at rest after a release")
    busy_ms: int = ms(5000, 1000, 60_000, "somebody between the sensors for so long, with no release, is a fault")
    doubt_ms: int = ms(20_000, 1000, 120_000, "after this somebody still between the sensors counts as through")
    same_code_ms: int = ms(1500, 0, 10_000, "the same code is not taken again within it")
    show_ms: int = ms(3000, 500, 20_000, "how long a refusal is shown")
    exit_release_ms: int = ms(6000, 500, 60_000, "how long the exit stays free after a scan")
    bolt_move_ms: int = ms(1500, 50, 10_000, "how long the bolt may take to move")
    passage_debounce_ms: int = ms(15, 0, 500, "how long a barrier must stay blocked or free")
    exit_free: bool = Field(default=True, description="true or false (true: out without any scan)", examples=["true"])
    bolt_sensed: bool = Field(default=False, description="true or false (the bolt has a contact)", examples=["true"])
    cut_off: Literal["secure", "leased", "open", "free-flow"] = Field(
        default="leased",
        description='"secure", "leased", "open" or "free-flow" (whom the entry admits without the controller)',
        examples=["leased"],
    )
    exit_cut_off: Literal["open", "secure"] = Field(
        default="open",
        description='"open" or "secure" (whom a barrier lets out without the controller: everybody, or nobody)',
        examples=["open"],
    )

    def gate_settings(self) -> GateSettings:
        """As the core wants them."""
        fields = self.model_dump()
        del fields["passage_debounce_ms"], fields["exit_cut_off"]
        return GateSettings(**fields)


class ModbusConfig(BoardConfig):
    """A turnstile behind a relay board."""

    kind: Literal["modbus"]


class GpioConfig(Section):
    """A turnstile on the Pi's own pins; inputs have pull-ups: high is blocked, pressed or a cut wire."""

    kind: Literal["gpio"]
    entry_bolt: Pin
    exit_bolt: Pin
    barrier_a: Pin
    barrier_b: Pin
    emergency: Pin
    bolt_contact: Pin | None = None
    lamp_green: Pin | None = None
    lamp_red: Pin | None = None
    lamp_yellow: Pin | None = None
    buzzer: Pin | None = None
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


class NodeConfig(Section):
    """All of node.toml."""

    site: SiteName
    node: NodeName
    journal: str = Field(
        min_length=1,
        max_length=255,
        description="a file that survives power cuts",
        examples=["/var/lib/einlass/journal.db"],
    )
    broker: BrokerConfig
    lane: LaneConfig = LaneConfig()
    entry: EntryConfig | None = None
    exit: ReaderConfig | None = None
    display: DisplayConfig | None = None
    turnstile: ModbusConfig | GpioConfig | BarrierConfig = Field(discriminator="kind")

    @model_validator(mode="after")
    def _together(self) -> "NodeConfig":
        check_node_name(self.node)
        if isinstance(self.turnstile, BarrierConfig):
            self._check_barrier()
        else:
            self._check_turnstile()
        devices: dict[str, str] = {}
        for where, device in self._devices():
            if device in devices:
                raise ValueError(f"{device} is given to both {devices[device]} and {where}")
            devices[device] = where
        return self

    def lane_settings(self) -> LaneConfig:
        """The lane's times, with what is usual for cars at a barrier where nothing is written."""
        if not isinstance(self.turnstile, BarrierConfig):
            return self.lane
        return self.lane.model_copy(update={k: v for k, v in CAR_LANE.items() if k not in self.lane.model_fields_set})

    def _check_turnstile(self) -> None:
        if self.entry is None:
            raise ValueError(
                'entry is missing: it must be a section; for example: [entry] with serial = "/dev/serial0"'
            )
        if self.entry.ticket is not None:
            raise ValueError(
                'entry.ticket: tickets are printed at a barrier; for example: [turnstile] kind = "barrier"'
            )
        if "exit_cut_off" in self.lane.model_fields_set:
            raise ValueError('lane.exit_cut_off: only a barrier asks at its exit ([turnstile] kind = "barrier")')

    def _check_barrier(self) -> None:
        if (self.entry is None) == (self.exit is None):
            raise ValueError("a barrier leads one way: give either [entry] (cars drive in) or [exit] (cars drive out)")
        for name in ("exit_free", "bolt_sensed"):
            if getattr(self.lane, name) and name in self.lane.model_fields_set:
                raise ValueError(
                    f"lane.{name}: not with a barrier, it would hold the boom up or call it stuck; leave it out"
                )

    def _devices(self) -> list[tuple[str, str]]:
        named = []
        for side, reader in (("entry", self.entry), ("exit", self.exit)):
            if reader is not None:
                for key in ("serial", "hid", "camera"):
                    named.append((f"{side}.{key}", getattr(reader, key)))
        if isinstance(self.turnstile, BoardConfig):
            named.append(("turnstile.serial", self.turnstile.serial))
        if self.entry is not None and self.entry.ticket is not None:
            named.append(("entry.ticket.serial", self.entry.ticket.serial))
        if self.display is not None:
            named.append(("display.serial", self.display.serial))
        return [(where, device) for where, device in named if device]


def read_config(path: Path) -> NodeConfig | SignNodeConfig:
    """The checked configuration, of a sign if there is a section [sign]; ConfigError with one line for each mistake.

    Paths in it are relative to the file.
    """
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
        return (SignNodeConfig if "sign" in data else NodeConfig).model_validate(data)
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
    place = [str(part) for part in mistake["loc"] if part not in _KINDS]
    section = next((kind for name, kind in _KINDS.items() if name in mistake["loc"]), None) or _section(place[:-1])
    key = ".".join(place)
    if mistake["type"] == "extra_forbidden":
        known = list(section.model_fields) if section else []
        close = difflib.get_close_matches(place[-1], known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: nobody knows this key; {hint}Known here: {', '.join(known)}"
    if mistake["type"] == "value_error":
        return f"{key + ': ' if key else ''}{mistake['ctx']['error']}"
    if mistake["type"].startswith("union_tag"):
        return f'{key}.kind: allowed are "modbus", "gpio" and "barrier"; for example: kind = "modbus"'
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


_KINDS: Mapping[str, type[BaseModel]] = {"modbus": ModbusConfig, "gpio": GpioConfig, "barrier": BarrierConfig}


def _section(place: list[str]) -> type[BaseModel] | None:
    sections: Mapping[str, type[BaseModel]] = {
        "": NodeConfig,
        "broker": BrokerConfig,
        "lane": LaneConfig,
        "entry": EntryConfig,
        "entry.ticket": TicketConfig,
        "exit": ReaderConfig,
        "turnstile": ModbusConfig,
        "display": DisplayConfig,
        "sign": SignConfig,
    }
    return sections.get(".".join(place))
