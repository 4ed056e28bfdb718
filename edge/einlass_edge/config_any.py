"""Which kind of node a node.toml is for."""

from pathlib import Path

from einlass_edge.config import NodeConfig
from einlass_edge.config_base import checked, read_toml
from einlass_edge.config_sign import SignNodeConfig
from einlass_edge.config_till import TillNodeConfig

AnyConfig = NodeConfig | TillNodeConfig | SignNodeConfig


def read_any_config(path: Path) -> AnyConfig:
    """A till's (section [till]), a sign's ([sign]) or a lane's. ConfigError as in read_config()."""
    data = read_toml(path)
    if "till" in data:
        return checked(TillNodeConfig, data, path)
    return checked(SignNodeConfig, data, path) if "sign" in data else checked(NodeConfig, data, path)
