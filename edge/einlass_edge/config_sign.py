"""node.toml of a free-space sign."""

from pydantic import Field

from einlass_edge.config_base import NAME, NAME_ALLOWED, PlaceConfig
from einlass_edge.config_car import DisplayConfig


class SignConfig(DisplayConfig):
    """A sign that shows how many places are free in a zone."""

    zone: str = Field(pattern=NAME, description=NAME_ALLOWED, examples=["parkplatz"])
    title: str = Field(default="Parkplatz", max_length=20, description="at most 20 characters", examples=["Parkplatz"])


class SignNodeConfig(PlaceConfig):
    """All of a sign's node.toml."""

    sign: SignConfig
