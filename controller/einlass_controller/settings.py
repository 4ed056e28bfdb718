"""The controller's settings: a TOML file, overridden by EINLASS_* in the environment. An unknown key is an error."""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

SETTINGS_FILE = "controller.toml"
API_KEY_FILE = "api-key"
ENV_PREFIX = "EINLASS_"
FILE_BYTES_MAX = 64 * 1024
HASH_KEY_BYTES = 32


class SettingsError(ValueError):
    """The settings cannot be used; the text says which key and what to write instead."""


class Settings(BaseSettings):
    """All settings. Made by set_up(); read by read_settings()."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    database_url: str = Field(description="sqlite:////absolute/path.db or postgresql+psycopg://user@host/name")
    hash_key: SecretStr = Field(description="64 hex digits; makes codes in logs unrecognisable")
    state_dir: Path | None = Field(default=None, description="for private keys and the epoch; default: beside the file")
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = Field(default=1883, ge=1, le=65535)
    mqtt_user: str = "controller"
    mqtt_password: SecretStr = SecretStr("")
    mqtt_tls_ca: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=1, le=65535)
    lease_minutes: int = Field(default=480, ge=0, le=1440, description="so long a lane may go on alone; 0: never")
    lease_percent: int = Field(default=90, ge=0, le=100, description="of the free places, lent to lanes")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment is stronger than the file (which comes as arguments)."""
        return env_settings, init_settings

    @property
    def hash_key_bytes(self) -> bytes:
        """The key for Intake."""
        return bytes.fromhex(self.hash_key.get_secret_value())


def read_settings(path: Path) -> Settings:
    """Read a settings file and the environment. Raises SettingsError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SettingsError(f"{path}: longer than {FILE_BYTES_MAX} bytes: this is no settings file")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. `einlass controller setup` makes one") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}. Expected lines such as: http_port = 8080") from error
    _check_names(values, str(path))
    _check_names({name[len(ENV_PREFIX) :].lower(): "" for name in os.environ if _is_ours(name)}, "environment")
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if re.fullmatch(rf"[0-9a-f]{{{2 * HASH_KEY_BYTES}}}", settings.hash_key.get_secret_value()) is None:
        raise SettingsError(f"{path}: hash_key must be {2 * HASH_KEY_BYTES} hex digits; set-up makes one")
    return settings


def _is_ours(name: str) -> bool:
    """Other parts of Einlass have variables of their own: only these are certainly meant for the controller."""
    return name.startswith((f"{ENV_PREFIX}MQTT_", f"{ENV_PREFIX}HTTP_", f"{ENV_PREFIX}LOG_", f"{ENV_PREFIX}DATABASE_"))


def _check_names(values: dict[str, Any], where: str) -> None:
    known = list(Settings.model_fields)
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
            raise SettingsError(f"{where}: unknown key {name!r}: {hint}")
