"""A site as a person writes it down: a small TOML file with the site, its zones, lanes and nodes."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from einlass_controller import broker
from einlass_controller.settings import FILE_BYTES_MAX, SettingsError
from einlass_core.wire import NAME_LENGTH_MAX as ID_LENGTH_MAX

NAME_LENGTH_MAX = 40
CAP_MAX = 1_000_000


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
    """[[zone]]"""

    id: str
    name: str = Field(max_length=NAME_LENGTH_MAX)
    name_en: str = Field(default="", max_length=NAME_LENGTH_MAX)
    cap: int = Field(ge=0, le=CAP_MAX)
    parent: str = ""


class LanePart(_Part):
    """[[lane]]: a way into `zone`, from `outer` (or from outside)."""

    id: str
    zone: str
    node: str
    outer: str = ""
    name: str = Field(max_length=NAME_LENGTH_MAX)
    name_en: str = Field(default="", max_length=NAME_LENGTH_MAX)


class NodePart(_Part):
    """[[node]]"""

    id: str
    board: str = Field(default="", max_length=NAME_LENGTH_MAX)


class Plan(_Part):
    """A site as its TOML file says it."""

    site: SitePart
    zone: tuple[ZonePart, ...] = Field(min_length=1)
    lane: tuple[LanePart, ...] = ()
    node: tuple[NodePart, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        zones = _unique("zone", [part.id for part in self.zone])
        nodes = _unique("node", [part.id for part in self.node])
        _unique("lane", [part.id for part in self.lane])
        _unique("lane.node", [part.node for part in self.lane])
        password = broker.new_password()
        for name in (*zones, *[part.id for part in self.lane]):
            broker.node_user(self.site.id, "x-" + name[: ID_LENGTH_MAX - 2], password)
        for name in nodes or {"none"}:
            broker.node_user(self.site.id, name, password)
        for zone in self.zone:
            _refers(f"zone {zone.id}: parent", zone.parent, zones | {""})
        for lane in self.lane:
            _refers(f"lane {lane.id}: zone", lane.zone, zones)
            _refers(f"lane {lane.id}: outer", lane.outer, zones | {""})
            _refers(f"lane {lane.id}: node", lane.node, nodes)
        return self


def read_plan(path: Path) -> Plan:
    """A site's TOML file. Raises SettingsError with the key and what to write."""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > FILE_BYTES_MAX:
            raise SettingsError(f"{path}: longer than {FILE_BYTES_MAX} characters")
        return plan_of(tomllib.loads(text), str(path))
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
    parts = (Plan, SitePart, ZonePart, LanePart, NodePart)
    return sorted({name for part in parts for name in part.model_fields})
