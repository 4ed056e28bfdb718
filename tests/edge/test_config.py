"""A mistake in node.toml is told by its key, with what is allowed and an example; nothing is guessed or ignored."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from einlass_core import profile
from einlass_edge.cli import EXIT_CONFIG, app
from einlass_edge.config import ConfigError, GpioConfig, NodeConfig, check_ca, read_config, read_password
from einlass_edge.config_any import read_any_config
from einlass_edge.config_sign import SignNodeConfig

GOOD = """
site = "bad-nord"
node = "eingang-1"
journal = "journal.db"
[broker]
host = "127.0.0.1"
password = "secret"
[entry]
serial = "/dev/serial0"
camera = "socket:/run/einlass/camera"
[exit]
hid = "/dev/input/event3"
[turnstile]
kind = "modbus"
host = "10.0.0.5"
"""
GPIO = """
kind = "gpio"
entry_bolt = 17
exit_bolt = 27
barrier_a = 5
barrier_b = 6
emergency = 13
inverted = ["exit_bolt"]
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def lane_of(path: Path) -> NodeConfig:
    return read_config(path)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    config = lane_of(written(tmp_path, GOOD))
    assert config.broker.port == 1883
    assert config.lane.gate_settings().release_ms == 6000
    assert config.entry is not None
    assert config.entry.baud == 9600


def test_the_lanes_times_have_the_bounds_that_boards_have(tmp_path: Path) -> None:
    lines = {name: str(high + 1) for name, _, high in profile._TIMES}
    with pytest.raises(ConfigError) as caught:
        read_config(
            written(tmp_path, GOOD + "[lane]\n" + "\n".join(f"{name} = {high}" for name, high in lines.items()))
        )
    for name, low, high in profile._TIMES:
        assert f"lane.{name}: {high + 1} is not allowed; allowed: {low} to {high} " in str(caught.value)


def test_gpio_pins_are_read(tmp_path: Path) -> None:
    config = lane_of(written(tmp_path, changed('kind = "modbus"\nhost = "10.0.0.5"\n', GPIO)))
    assert isinstance(config.turnstile, GpioConfig)
    assert config.turnstile.numbers()["emergency"] == 13


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            changed('node = "eingang-1"', 'node = "Eingang 1"'),
            ["node: 'Eingang 1' is not allowed", 'node = "eingang-1"'],
        ),
        (changed('node = "eingang-1"', 'node = "all"'), ["reserved"]),
        (changed('node = "eingang-1"', ""), ["node: is missing", 'node = "eingang-1"']),
        (changed('host = "127.0.0.1"', 'host = "127.0.0.1"\nport = 99999'), ["broker.port: 99999", "1 to 65535"]),
        (changed('password = "secret"', ""), ["broker: give either password_file"]),
        (changed('password = "secret"', 'password = "a"\npassword_file = "b"'), ["either"]),
        (changed("[broker]", "[broker]\nprot = 1"), ["broker.prot: nobody knows this key", "did you mean port?"]),
        (changed("[broker]", "[lane]\nrelease_s = 6\n[broker]"), ["lane.release_s", "release_ms"]),
        (changed("[broker]", "[lane]\nrelease_ms = 6.5\n[broker]"), ["lane.release_ms: 6.5", "500 to 60000"]),
        (changed("[broker]", "[lane]\nask_ms = 1\n[broker]"), ["lane.ask_ms: 1", "100 to 10000", "ask_ms = 2000"]),
        (changed("[broker]", "[lane]\nexit_free = 1\n[broker]"), ["lane.exit_free: 1", "true or false"]),
        (changed('serial = "/dev/serial0"\ncamera = "socket:/run/einlass/camera"', ""), ["entry: name a reader"]),
        (changed("socket:/run", "http://run"), ["entry.camera", "v4l2:/dev/video0"]),
        (changed('"/dev/serial0"', '"/dev/serial0"\nbaud = 4711'), ["entry.baud: 4711", "9600"]),
        (
            changed('"/dev/input/event3"', '"/dev/input/event3"\nserial = "/dev/serial0"'),
            ["both entry.serial and exit"],
        ),
        (changed('kind = "modbus"', 'kind = "hydraulic"'), ["turnstile.kind", "gpio"]),
        (changed('kind = "modbus"', ""), ["turnstile.kind", 'kind = "modbus"']),
        (changed('host = "10.0.0.5"', ""), ["turnstile: give either host"]),
        (changed('host = "10.0.0.5"', 'host = "x"\nwatchdog_ms = 100'), ["watchdog_ms is too short"]),
        (changed('host = "10.0.0.5"', 'host = "x"\nunit = 0'), ["turnstile.unit: 0", "1 to 247"]),
        (changed('kind = "modbus"\nhost = "10.0.0.5"\n', GPIO.replace("27", "17")), ["pin 17", "both"]),
        (changed('kind = "modbus"\nhost = "10.0.0.5"\n', GPIO.replace("27", "40")), ["turnstile.exit_bolt", "0 to 27"]),
        (changed('kind = "modbus"\nhost = "10.0.0.5"\n', GPIO.replace('["exit', '["exot')), ["exot_bolt", "exit_bolt"]),
        (changed("[broker]", "[broker"), ["not TOML", 'site = "bad-nord"']),
        ("", ["site: is missing", "broker: is missing", "turnstile"]),
    ],
)
def test_a_mistake_is_told_so_that_it_can_be_mended(tmp_path: Path, text: str, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, text))
    for part in told:
        assert part in str(caught.value)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config"):
        read_config(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_config(binary)
    binary.write_bytes(b"#" * 70_000)
    with pytest.raises(ConfigError, match="larger"):
        read_config(binary)


def test_the_password_file_is_read_and_its_faults_are_told(tmp_path: Path) -> None:
    text = changed('password = "secret"', 'password_file = "pw"\nca = "ca.pem"')
    broker = read_config(written(tmp_path, text)).broker
    with pytest.raises(ConfigError, match=r"password_file: .*pw"):
        read_password(broker, tmp_path)
    (tmp_path / "pw").write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        read_password(broker, tmp_path)
    (tmp_path / "pw").write_text("secret\n")
    assert read_password(broker, tmp_path) == "secret"
    with pytest.raises(ConfigError, match=r"broker\.ca"):
        check_ca(broker, tmp_path)
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="PEM"):
        check_ca(broker, tmp_path)


def test_the_command_checks_without_starting_anything(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["--check", "--config", str(written(tmp_path, GOOD))])
    assert good.exit_code == 0
    assert "eingang-1" in good.output
    assert not (tmp_path / "journal.db").exists()
    bad = CliRunner().invoke(app, ["--check", "--config", str(written(tmp_path, "sit = 1"))])
    assert bad.exit_code == EXIT_CONFIG
    assert "did you mean site?" in bad.output


BARRIER = """
site = "bad-nord"
node = "einfahrt"
journal = "journal.db"
[broker]
host = "127.0.0.1"
password = "secret"
[turnstile]
kind = "barrier"
host = "10.0.0.5"
[display]
serial = "/dev/ttyUSB2"
[entry.ticket]
serial = "/dev/ttyUSB1"
"""
SIGN = """
site = "bad-nord"
node = "anzeige"
journal = "journal.db"
[broker]
host = "127.0.0.1"
password = "secret"
[sign]
zone = "parkplatz"
serial = "/dev/ttyUSB0"
"""


def test_a_barrier_has_a_cars_times_where_nothing_is_written(tmp_path: Path) -> None:
    config = lane_of(written(tmp_path, BARRIER + "[lane]\nbusy_ms = 9000\n"))
    settings = config.lane_settings().gate_settings()
    assert (settings.release_ms, settings.busy_ms, settings.exit_free) == (30_000, 9000, False)
    assert settings.ask_ms == 2000


def test_a_section_sign_makes_it_a_sign(tmp_path: Path) -> None:
    config = read_any_config(written(tmp_path, SIGN))
    assert isinstance(config, SignNodeConfig)
    assert config.sign.zone == "parkplatz"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BARRIER + '[exit]\nserial = "/dev/serial0"\n', ["a barrier leads one way"]),
        (BARRIER.partition("[entry")[0], ["a barrier leads one way"]),
        (BARRIER + "[lane]\nexit_free = true\n", ["lane.exit_free: not with a barrier"]),
        (BARRIER + "[lane]\nbolt_sensed = true\n", ["lane.bolt_sensed: not with a barrier"]),
        (BARRIER + '[lane]\nexit_cut_off = "maybe"\n', ["lane.exit_cut_off", '"open" or "secure"']),
        (BARRIER + "titel = 1\n", ["entry.ticket.titel: nobody knows this key; did you mean title?"]),
        (BARRIER + "baud = 1\n", ["entry.ticket.baud: 1 is not allowed", "9600"]),
        (BARRIER + 'title = ""\n', ["entry.ticket.title", "1 to 120 characters"]),
        (BARRIER + f'lines = ["{"x" * 200}"]\n', ["has 200 characters, at most 120"]),
        (BARRIER.replace("ttyUSB1", "ttyUSB2"), ["both entry.ticket.serial and display.serial"]),
        (BARRIER.replace('host = "10.0.0.5"', ""), ["turnstile: give either host"]),
        (BARRIER.replace("[display]\n", '[display]\nlanguage = "fr"\n'), ["display.language", '"de" or "en"']),
        (GOOD + '[lane]\nexit_cut_off = "open"\n', ["lane.exit_cut_off", "barrier"]),
        (GOOD + '[entry.ticket]\nserial = "/dev/ttyUSB1"\n', ["entry.ticket: tickets are printed at a barrier"]),
        (GOOD.partition("[entry]")[0] + "[turnstile]" + GOOD.partition("[turnstile]")[2], ["entry is missing"]),
        (SIGN.replace('zone = "parkplatz"', ""), ["sign.zone: is missing", "parkplatz"]),
        (SIGN.replace("anzeige", "all"), ["reserved"]),
        (SIGN.replace("[sign]", '[sign]\ntitle = "ein sehr langer Name fuer ein Schild"'), ["at most 20 characters"]),
        (SIGN + '[entry]\nserial = "/dev/serial0"\n', ["entry: nobody knows this key"]),
    ],
)
def test_a_mistake_in_a_car_lane_or_sign_is_told(tmp_path: Path, text: str, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_any_config(written(tmp_path, text))
    for part in told:
        assert part in str(caught.value)
