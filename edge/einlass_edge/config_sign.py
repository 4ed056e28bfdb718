"""node.toml of a free-space sign."""

from pydantic import Field, model_validator

from einlass_edge.config_car import DisplayConfig
from einlass_edge.config_parts import NAME, NAME_ALLOWED, BrokerConfig, NodeName, Section, SiteName, check_node_name


class SignConfig(DisplayConfig):
    """A sign that shows how many places are free in a zone."""

    zone: str = Field(pattern=NAME, description=NAME_ALLOWED, examples=["parkplatz"])
    title: str = Field(default="Parkplatz", max_length=20, description="at most 20 characters", examples=["Parkplatz"])


class SignNodeConfig(Section):
    """All of node.toml for a sign."""

    site: SiteName
    node: NodeName
    broker: BrokerConfig
    sign: SignConfig

    @model_validator(mode="after")
    def _name(self) -> "SignNodeConfig":
        check_node_name(self.node)
        return self
