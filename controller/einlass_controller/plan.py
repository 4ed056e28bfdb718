"""A site as a person writes it down: a small TOML file with the site, its zones, lanes and nodes."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from einlass_controller import broker
from einlass_controller.domain.rules import NAME as PRODUCT
from einlass_controller.settings import FILE_BYTES_MAX, SettingsError
from einlass_core.wire import NAME_LENGTH_MAX as ID_LENGTH_MAX

NAME_LENGTH_MAX = 40
CAP_MAX = 1_000_000
PATH_LENGTH_MAX = 500
CENTS_MAX = 1_000_000
FREE_MINUTES_MAX = 7 * 24 * 60


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SitePart(_Part):
    """[site]"""

    id: str
    name: str = Field(max_length=NAME_LENGTH_MAX)
    name_en: str = Field(default="", max_length=NAME_LENGTH_MAX)
    time_zone: str = "Europe/Berlin"

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {name!r}: write one such as Europe/Berlin") from error
        return name


class ZonePart(_Part):
    """[[zone]]. With `tariff` (a file beside the plan) it is a car park; its cap counts cars.

    free_with: the zone a visit to which pays for free_minutes of parking.
    """

    id: str
    name: str = Field(max_length=NAME_LENGTH_MAX)
    name_en: str = Field(default="", max_length=NAME_LENGTH_MAX)
    cap: int = Field(ge=0, le=CAP_MAX)
    parent: str = ""
    tariff: str = Field(default="", max_length=PATH_LENGTH_MAX)
    lost_ticket_cents: int | None = Field(default=None, ge=0, le=CENTS_MAX)
    free_with: str = ""
    free_minutes: int = Field(default=0, ge=0, le=FREE_MINUTES_MAX)


class LanePart(_Part):
    """[[lane]]: a way into `zone`, from `outer` (or from outside). issues: the product of the tickets it gives out."""

    id: str
    zone: str
    node: str
    outer: str = ""
    name: str = Field(max_length=NAME_LENGTH_MAX)
    name_en: str = Field(default="", max_length=NAME_LENGTH_MAX)
    issues: str = ""


class NodePart(_Part):
    """[[node]]"""

    id: str
    board: str = Field(default="", max_length=NAME_LENGTH_MAX)


class TillPart(_Part):
    """[[till]]: a machine that takes money, for the parking in `zone`."""

    id: str
    node: str
    zone: str
    name: str = Field(max_length=NAME_LENGTH_MAX)
    name_en: str = Field(default="", max_length=NAME_LENGTH_MAX)


class SignPart(_Part):
    """[[sign]]: shows the free places of `zone`."""

    node: str
    zone: str


class Plan(_Part):
    """A site as its TOML file says it."""

    site: SitePart
    zone: tuple[ZonePart, ...] = Field(min_length=1)
    lane: tuple[LanePart, ...] = ()
    node: tuple[NodePart, ...] = ()
    till: tuple[TillPart, ...] = ()
    sign: tuple[SignPart, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        zones = _unique("zone", [part.id for part in self.zone])
        nodes = _unique("node", [part.id for part in self.node])
        _unique("lane", [part.id for part in self.lane])
        _unique("till", [part.id for part in self.till])
        machines = [part.node for part in self.till] + [part.node for part in self.sign]
        _unique("lane.node, till.node and sign.node", [part.node for part in self.lane] + machines)
        car_parks = {part.id for part in self.zone if part.tariff}
        password = broker.new_password()
        for name in (*zones, *[part.id for part in self.lane], *[part.id for part in self.till]):
            broker.node_user(self.site.id, "x-" + name[: ID_LENGTH_MAX - 2], password)
        for name in nodes or {"none"}:
            broker.node_user(self.site.id, name, password)
        for zone in self.zone:
            _refers(f"zone {zone.id}: parent", zone.parent, zones | {""})
            _refers(f"zone {zone.id}: free_with", zone.free_with, zones | {""})
            if not zone.tariff and (zone.lost_ticket_cents is not None or zone.free_with):
                raise ValueError(f"zone {zone.id}: lost_ticket_cents and free_with belong to a zone with a tariff")
            if bool(zone.free_with) != bool(zone.free_minutes):
                raise ValueError(f"zone {zone.id}: free_with and free_minutes belong together")
        for lane in self.lane:
            _refers(f"lane {lane.id}: zone", lane.zone, zones)
            _refers(f"lane {lane.id}: outer", lane.outer, zones | {""})
            _refers(f"lane {lane.id}: node", lane.node, nodes)
            if lane.issues and lane.zone not in car_parks:
                raise ValueError(f"lane {lane.id}: issues is for lanes into a zone with a tariff")
            if lane.issues and PRODUCT.fullmatch(lane.issues) is None:
                raise ValueError(f"lane {lane.id}: issues must be 1 to 32 of a-z 0-9 - _")
        for till in self.till:
            _refers(f"till {till.id}: zone", till.zone, car_parks)
            _refers(f"till {till.id}: node", till.node, nodes)
        for sign in self.sign:
            _refers(f"sign {sign.node}: zone", sign.zone, zones)
            _refers(f"sign {sign.node}: node", sign.node, nodes)
        return self


def read_plan(path: Path) -> Plan:
    """A site's TOML file. Raises SettingsError with the key and what to write."""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > FILE_BYTES_MAX:
            raise SettingsError(f"{path}: longer than {FILE_BYTES_MAX} characters")
        values = tomllib.loads(text)
        for zone in values.get("zone", ()):
            if isinstance(zone, dict) and isinstance(zone.get("tariff"), str) and zone["tariff"]:
                zone["tariff"] = str(path.resolve().parent / zone["tariff"])
        return plan_of(values, str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as a site: {error}") from error


def plan_of(values: dict[str, Any], where: str = "site") -> Plan:
    """A site from plain values. Raises SettingsError."""
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        hint = ""
        if first["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(), 1)
            hint = f" (did you mean {close[0]!r}?)" if close else f" (known are: {', '.join(_known_keys())})"
        raise SettingsError(f"{where}: {place + ': ' if place else ''}{first['msg']}{hint}") from error


def _unique(what: str, names: list[str]) -> set[str]:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two of {what} are called {min(twice)!r}: give each a name of its own")
    return set(names)


def _refers(what: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise ValueError(f"{what} {name!r} is not in this file; it has: {', '.join(sorted(known - {''}))}")


def _known_keys() -> list[str]:
    parts = (Plan, SitePart, ZonePart, LanePart, NodePart, TillPart, SignPart)
    return sorted({name for part in parts for name in part.model_fields})
