"""Every configuration in the docs is one that the product takes, and the defaults they name are the product's."""

import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from einlass_controller.plan import plan_of
from einlass_core.gate import GateSettings
from einlass_core.profile import lane_settings, node_config
from einlass_edge.config import GpioConfig, NodeConfig
from einlass_edge.config_car import CAR_LANE
from einlass_edge.config_sign import SignNodeConfig
from einlass_edge.config_till import TillNodeConfig
from einlass_hardware.boards import board_text, check_board, names

if TYPE_CHECKING:
    from tests.tidy.conftest import Tree


def blocks(tree: "Tree", name: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", (tree.root / name).read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"{name} has no block of {language}"
    return found


@pytest.mark.parametrize("name", ["README.md", "README.de.md"])
def test_the_readmes_node_is_one(tree: "Tree", name: str) -> None:
    (text,) = blocks(tree, name, "toml")
    assert len(text.splitlines()) <= 10, "the smallest node should look small"
    NodeConfig.model_validate(tomllib.loads(text))


def test_both_readmes_show_the_same_node(tree: "Tree") -> None:
    assert blocks(tree, "README.md", "toml") == blocks(tree, "README.de.md", "toml")


def test_the_site_in_operations_can_be_set_up(tree: "Tree") -> None:
    (text,) = blocks(tree, "docs/operations.md", "toml")
    assert plan_of(tomllib.loads(text)).zone[0].cap > 0


def test_the_pins_in_hardware_are_possible(tree: "Tree") -> None:
    text = blocks(tree, "docs/hardware.md", "toml")[0]
    GpioConfig.model_validate(tomllib.loads(text)["turnstile"])


def test_the_till_in_hardware_is_one_and_its_times_are_the_defaults(tree: "Tree") -> None:
    text = blocks(tree, "docs/hardware.md", "toml")[1]
    till = TillNodeConfig.model_validate(tomllib.loads(text)).till
    section = (tree.root / "docs/hardware.md").read_text(encoding="utf-8").partition("\n### A till\n")[2]
    told = dict(re.findall(r"^\| `([a-z_]+_ms)` \| (\d+) \|", section.partition("\n### ")[0], re.M))
    times = {name: str(value) for name, value in till.model_dump().items() if name.endswith("_ms")}
    assert told == times, "docs/hardware.md, section A till: one row a time of config_till.TillConfig"


def test_the_car_lane_and_the_sign_in_hardware_are_nodes(tree: "Tree") -> None:
    lane, sign = blocks(tree, "docs/hardware.md", "toml")[2:]
    config = NodeConfig.model_validate(tomllib.loads(lane))
    assert config.entry is not None
    assert config.entry.ticket is not None
    assert SignNodeConfig.model_validate(tomllib.loads(sign)).sign.zone == "parkplatz"


def test_the_cars_times_in_hardware_are_the_defaults(tree: "Tree") -> None:
    text = (tree.root / "docs/hardware.md").read_text(encoding="utf-8").partition("\n## A lane for cars\n")[2]
    for name, value in CAR_LANE.items():
        assert name == "exit_free" or re.search(rf"`{name}`[^.]*? {value}\b", text.partition("**Entry**")[0])


def test_the_boards_configuration_in_hardware_is_one(tree: "Tree") -> None:
    (text,) = blocks(tree, "docs/hardware.md", "json")
    assert node_config(json.loads(text)).site


def test_the_lane_times_in_hardware_are_the_defaults(tree: "Tree") -> None:
    text = (tree.root / "docs/hardware.md").read_text(encoding="utf-8").partition("\n## Lane times\n")[2]
    told = dict(re.findall(r"^\| `([a-z_]+)` \| ([\w\"]+) \|", text.partition("\n## ")[0], re.M))
    defaults = {name: json.dumps(value) for name, value in vars(GateSettings()).items() if name != "bolt_sensed"}
    assert told == defaults, "docs/hardware.md, section Lane times: one row a setting of gate.GateSettings"
    lane_settings({name: json.loads(value) for name, value in told.items()}, bolt_sensed=False)


def test_the_pins_of_the_profile_in_hardware_are_the_profiles(tree: "Tree") -> None:
    assert names() == ["esp32-turnstile"], "a new board needs its table in docs/hardware.md, and a test"
    text = (tree.root / "docs/hardware.md").read_text(encoding="utf-8").partition("\n### Board profile\n")[2]
    told: dict[str, int] = {}
    for line in text.partition("\n### ")[0].partition("\n## ")[0].splitlines():
        row = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(row) == 3 and row[0].startswith("`"):
            lines = re.findall(r"`(\w+)`", row[0])
            told |= dict(zip(lines, map(int, row[1].split(",")), strict=True))
    board = check_board(board_text("esp32-turnstile"))
    assert told == {name: line.pin for name, line in board.lines.items()}
