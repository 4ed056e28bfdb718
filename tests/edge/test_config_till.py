"""A mistake in a till's node.toml is told by its key, with what is allowed and an example."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from einlass_edge.cli import EXIT_CONFIG, app
from einlass_edge.config import ConfigError, NodeConfig
from einlass_edge.config_any import read_any_config
from einlass_edge.config_till import TillNodeConfig

GOOD = """
site = "bad-nord"
node = "kasse"
journal = "journal.db"
[broker]
host = "127.0.0.1"
password = "secret"
[till]
kind = "pay-on-foot"
[till.coins]
serial = "/dev/ttyUSB0"
[[till.hopper]]
address = 3
cents = 10
[[till.hopper]]
address = 4
cents = 50
[till.terminal]
host = "10.0.0.7"
[till.printer]
serial = "/dev/ttyUSB1"
[till.display]
serial = "/dev/ttyUSB2"
[till.keys]
serial = "/dev/ttyUSB3"
[till.reader]
serial = "/dev/serial0"
"""
LANE = """
site = "bad-nord"
node = "eingang"
journal = "journal.db"
[broker]
host = "127.0.0.1"
password = "secret"
[entry]
serial = "/dev/serial0"
[turnstile]
kind = "modbus"
host = "10.0.0.5"
"""
COINS = '[till.coins]\nserial = "/dev/ttyUSB0"\n'
HOPPERS = "[[till.hopper]]\naddress = 3\ncents = 10\n[[till.hopper]]\naddress = 4\ncents = 50\n"
TERMINAL = '[till.terminal]\nhost = "10.0.0.7"\n'
KEYS = '[till.keys]\nserial = "/dev/ttyUSB3"\n'
READER = '[till.reader]\nserial = "/dev/serial0"\n'


def written(directory: Path, text: str) -> Path:
    path = directory / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(*pairs: tuple[str, str]) -> str:
    text = GOOD
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_section_till_makes_it_a_till_s_and_none_a_lane_s(tmp_path: Path) -> None:
    config = read_any_config(written(tmp_path, GOOD))
    assert isinstance(config, TillNodeConfig)
    assert config.till.settings().gives_change
    assert config.till.settings().card_ms == 45_000
    assert isinstance(read_any_config(written(tmp_path, LANE)), NodeConfig)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed(('"pay-on-foot"', '"pay-by-mail"')), ["till.kind: 'pay-by-mail'", '"pay-on-foot"', "desk"]),
        (changed(('kind = "pay-on-foot"\n', "")), ["till.kind: is missing", 'kind = "pay-on-foot"']),
        (changed(("[till.terminal]", "[entry]\n[till.terminal]")), ["entry: nobody knows this key", "till"]),
        (changed(("[till.printer]", "[till.pinter]")), ["till.pinter: nobody knows", "did you mean printer?"]),
        (changed((COINS + HOPPERS, ""), (TERMINAL, "")), ["nobody could pay", "[till.coins]"]),
        (changed((COINS, "")), ["a hopper hangs on the bus of [till.coins]"]),
        (changed((READER, "")), ["a pay-on-foot till reads tickets", "[till.reader]"]),
        (changed(("pay-on-foot", "pay-and-display"), (KEYS, "")), ["a pay-and-display till has keys"]),
        (changed(("pay-on-foot", "desk")), ["a desk sells something", "[[till.product]]"]),
        (changed(("address = 4", "address = 3")), ["till.hopper: address = 3 is given twice"]),
        (changed(("address = 4", "address = 99")), ["till.hopper[2].address: 99", "3 to 10", "address = 3"]),
        (changed(("cents = 50", "cents = 30")), ["till.hopper[2].cents: 30", "cents = 50"]),
        (changed(("cents = 50\n", "cents = 50\nadress = 1\n")), ["till.hopper[2].adress", "did you mean address?"]),
        (changed(("cents = 10", "cents = 50")), ["coins of 10 cents cannot be given back in coins of 50"]),
        (changed((COINS, COINS + "take = []\n")), ["till.coins.take: []", "take = [50, 100, 200]"]),
        (changed((COINS, COINS + "take = [3]\n")), ["till.coins.take[1]: 3 is not allowed"]),
        (changed((TERMINAL, TERMINAL + 'password = "12345"\n')), ["till.terminal.password", "six digits"]),
        (changed((TERMINAL, TERMINAL + "step_ms = 5\n")), ["till.terminal.step_ms: 5", "1000 to 600000"]),
        (changed(('"pay-on-foot"\n', '"pay-on-foot"\ncard_ms = 60000\n')), ["till.card_ms: 60000", "1000 to 50000"]),
        (changed(('"pay-on-foot"\n', '"pay-on-foot"\ntimezone = "Mars"\n')), ["Mars", '"Europe/Berlin"']),
        (changed(("/dev/ttyUSB2", "/dev/ttyUSB1")), ["/dev/ttyUSB1 is given to both till.printer.serial and till.d"]),
        (changed(('"/dev/ttyUSB1"\n', '"/dev/ttyUSB1"\ncode_page = "utf8"\n')), ["till.printer.code_page", "cp858"]),
        (changed(('node = "kasse"', 'node = "all"')), ["reserved"]),
    ],
)
def test_a_mistake_is_told_so_that_it_can_be_mended(tmp_path: Path, text: str, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_any_config(written(tmp_path, text))
    for part in told:
        assert part in str(caught.value)


def test_the_command_checks_a_till_without_starting_anything(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["--check", "--config", str(written(tmp_path, GOOD))])
    assert good.exit_code == 0
    assert "pay-on-foot till: coins 10, 20, 50, 100, 200; change in 10, 50; cards at 10.0.0.7:20007" in good.output
    usb = '[till.keys]\nhid = "/dev/input/by-id/usb-x-event-kbd"\nlayout = "us"\n'
    fine = CliRunner().invoke(app, ["--check", "--config", str(written(tmp_path, changed((KEYS, usb))))])
    assert fine.exit_code == 0, fine.output
    both = CliRunner().invoke(
        app, ["--check", "--config", str(written(tmp_path, changed((KEYS, usb + 'serial = "/x"\n'))))]
    )
    assert "give [till.keys] either serial" in both.output
    bad = CliRunner().invoke(app, ["--check", "--config", str(written(tmp_path, changed((KEYS, "[till.keys]\n"))))])
    assert bad.exit_code == EXIT_CONFIG
    assert "give [till.keys] either serial" in bad.output
