"""node.toml of a lane: what a technician writes, checked where it is read."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from einlass_core.gate import GateSettings
from einlass_edge.config_base import (
    BrokerConfig,
    ConfigError,
    PlaceConfig,
    Section,
    check_ca,
    checked,
    ms_key,
    read_password,
    read_toml,
)
from einlass_edge.config_car import CAR_LANE, BarrierConfig, DisplayConfig, EntryConfig
from einlass_edge.config_devices import BoardConfig, ReaderConfig

__all__ = ["BrokerConfig", "ConfigError", "ReaderConfig", "check_ca", "read_config", "read_password"]

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
    alone_max: int = Field(
        default=500,
        ge=0,
        le=100_000,
        description="0 to 100000 (tickets that the entry admits by its list until the controller knows of all of them)",
        examples=[500],
    )
    exit_cut_off: Literal["open", "secure"] = Field(
        default="open",
        description='"open" or "secure" (whom a barrier lets out without the controller: everybody, or nobody)',
        examples=["open"],
    )

    def gate_settings(self) -> GateSettings:
        """As the core wants them."""
        fields = self.model_dump()
        del fields["passage_debounce_ms"], fields["exit_cut_off"], fields["alone_max"]
        return GateSettings(**fields)


class ModbusConfig(BoardConfig):
    """A turnstile behind a relay board."""

    kind: Literal["modbus"]


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
    entry: EntryConfig | None = None
    exit: ReaderConfig | None = None
    display: DisplayConfig | None = None
    turnstile: ModbusConfig | GpioConfig | BarrierConfig = Field(discriminator="kind")

    @model_validator(mode="after")
    def _fitting(self) -> "NodeConfig":
        if isinstance(self.turnstile, BarrierConfig):
            self._check_barrier()
        else:
            self._check_turnstile()
        return self

    def lane_settings(self) -> LaneConfig:
        """The lane's times, with what is usual for cars at a barrier where nothing is written."""
        if not isinstance(self.turnstile, BarrierConfig):
            return self.lane
        return self.lane.model_copy(update={k: v for k, v in CAR_LANE.items() if k not in self.lane.model_fields_set})

    def _check_turnstile(self) -> None:
        if self.entry is None:
            raise ValueError('entry is missing: it must be a section; for example: [entry] and serial = "/dev/serial0"')
        if self.entry.ticket is not None:
            raise ValueError('entry.ticket: tickets are printed at a barrier ([turnstile] kind = "barrier")')
        if "exit_cut_off" in self.lane.model_fields_set:
            raise ValueError('lane.exit_cut_off: only a barrier asks at its exit ([turnstile] kind = "barrier")')

    def _check_barrier(self) -> None:
        if (self.entry is None) == (self.exit is None):
            raise ValueError("a barrier leads one way: give either [entry] (cars drive in) or [exit] (cars drive out)")
        for name in ("exit_free", "bolt_sensed"):
            if getattr(self.lane, name) and name in self.lane.model_fields_set:
                raise ValueError(f"lane.{name}: not with a barrier, it would hold the boom up or call it stuck")

    def devices(self) -> list[tuple[str, str]]:
        """See PlaceConfig."""
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


def read_config(path: Path) -> NodeConfig:
    """The checked configuration; ConfigError with one line for each mistake. Paths in it are relative to the file."""
    return checked(NodeConfig, read_toml(path), path)
