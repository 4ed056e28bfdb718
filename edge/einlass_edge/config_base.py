"""What every section of node.toml is made of, and how a mistake in one is explained. A key nobody knows is an error."""

import difflib
import re
import ssl
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

CONFIG_BYTES_MAX = 65_536

NAME = r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$"
NAME_ALLOWED = "1 to 32 small letters, digits, - and _ (not first or last)"
_RESERVED_NODES = ("all", "controller")

Checked = TypeVar("Checked", bound=BaseModel)


class ConfigError(ValueError):
    """What is wrong in which key, what is allowed, and an example: one line for each mistake."""


class Section(BaseModel):
    """One section: its keys are checked strictly."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def ms_key(default: int, low: int, high: int, meaning: str) -> Any:
    """A time in milliseconds."""
    return Field(
        default=default,
        ge=low,
        le=high,
        description=f"{low} to {high} ({meaning}, in milliseconds)",
        examples=[default],
    )


def path_key(meaning: str, example: str) -> Any:
    """A file or device; None when it is not given."""
    return Field(default=None, min_length=1, max_length=255, description=meaning, examples=[example])


Port = Annotated[int, Field(ge=1, le=65535, description="1 to 65535", examples=[1883])]
Baud = Annotated[
    Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200],
    Field(description="1200, 2400, 4800, 9600, 19200, 38400, 57600 or 115200", examples=[9600]),
]
Host = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^\S+$", description="a host name or address", examples=["10.0.0.2"]),
]


class BrokerConfig(Section):
    """Where the broker is and how the node proves who it is (its user name is the node id)."""

    host: Host
    port: Port = 1883
    password: str | None = Field(default=None, min_length=1, max_length=128, description="a text", examples=["secret"])
    password_file: str | None = path_key("a file whose first line is the password", "/etc/einlass/password")
    ca: str | None = path_key("a PEM file; with it the connection is encrypted", "/etc/einlass/ca.pem")

    @model_validator(mode="after")
    def _one_password(self) -> "BrokerConfig":
        if (self.password is None) == (self.password_file is None):
            raise ValueError('give either password_file = "/etc/einlass/password" or password = "..."')
        return self


class PlaceConfig(Section):
    """What every node has, whatever it drives."""

    site: str = Field(pattern=NAME, description=NAME_ALLOWED, examples=["bad-nord"])
    node: str = Field(pattern=NAME, description=NAME_ALLOWED, examples=["eingang-1"])
    journal: str = Field(
        min_length=1,
        max_length=255,
        description="a file that survives power cuts",
        examples=["/var/lib/einlass/journal.db"],
    )
    broker: BrokerConfig

    @model_validator(mode="after")
    def _together(self) -> "PlaceConfig":
        if self.node in _RESERVED_NODES:
            raise ValueError(f'node = "{self.node}" is reserved: give the node another id, such as "eingang-1"')
        devices: dict[str, str] = {}
        for where, device in self.devices():
            if device in devices:
                raise ValueError(f"{device} is given to both {devices[device]} and {where}")
            devices[device] = where
        return self

    def devices(self) -> list[tuple[str, str]]:
        """(key, device) of everything that only one part may open."""
        return []


def read_toml(path: Path) -> dict[str, Any]:
    """What the file says; ConfigError when it can't be read or is not TOML."""
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {CONFIG_BYTES_MAX} bytes: is this the right file?")
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. Give its place with --config") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'{path}: not TOML: {error}. A line looks like: site = "bad-nord"') from error


def checked(model: type[Checked], data: dict[str, Any], path: Path) -> Checked:
    """The configuration; ConfigError with one line for each mistake."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_taught(model, mistake)}" for mistake in error.errors())) from error


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


def _taught(root: type[BaseModel], mistake: Any) -> str:
    """One mistake in a technician's words: the key, what is wrong, what is allowed, an example."""
    section, key, name = _place(root, mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        known = list(section.model_fields) if section else []
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: nobody knows this key; {hint}Known here: {', '.join(known)}"
    if mistake["type"] == "value_error":
        return f"{key + ': ' if key else ''}{mistake['ctx']['error']}"
    field = section.model_fields.get(name) if section else None
    if mistake["type"].startswith("union_tag"):
        tags = [f'"{tag}"' for member in _members(field) for tag in _tags(member)]
        return f"{key}.kind: allowed are {' and '.join(tags)}; for example: kind = {tags[0]}"
    if mistake["type"] == "missing":
        return f"{key}: is missing; {_allowed(name, field)}"
    return f"{key}: {mistake['input']!r:.60} is not allowed; {_allowed(name, field)}"


def _place(root: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[type[BaseModel] | None, str, str]:
    """The section that a mistake is in, its key as it stands in the file (lists count from 1), and the last name."""
    section: type[BaseModel] | None = root
    members: list[type[BaseModel]] = [root]
    key, name = "", ""
    for part in loc:
        if isinstance(part, int):
            key += f"[{part + 1}]"
            continue
        chosen = [member for member in members if part in _tags(member)]
        if chosen:
            members = chosen  # Which kind of section it is stands in no key.
            continue
        section = members[0] if members else None
        name, key = part, f"{key}.{part}" if key else part
        members = _members(section.model_fields.get(part)) if section else []
    return section, key, name


def _members(field: FieldInfo | None) -> list[type[BaseModel]]:
    """The kinds of section that a field may hold."""
    return [kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)] if field else []


def _kinds(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


def _tags(section: type[BaseModel]) -> tuple[str, ...]:
    kind = section.model_fields.get("kind")
    return get_args(kind.annotation) if kind and kind.is_required() and not kind.description else ()


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
