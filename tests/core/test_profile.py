"""What a technician may write, and what the messages say when it is wrong."""

from einlass_core.profile import ProfileError, board, lane_settings, node_config


def good() -> "dict[str, object]":
    names = (
        "bolt_entry",
        "bolt_exit",
        "lamp_green",
        "lamp_red",
        "lamp_yellow",
        "buzzer",
        "barrier_a",
        "barrier_b",
        "emergency",
    )
    return {
        "name": "bench",
        "chip": "esp32",
        "lines": {name: {"pin": 12 + number} for number, name in enumerate(names)},
        "readers": [{"side": "entry", "uart": 1, "tx": 4, "rx": 5}],
    }


def error_of(call: "object", *given: object) -> str:
    try:
        call(*given)  # type: ignore[operator]
    except ProfileError as error:
        return str(error)
    raise AssertionError("accepted")


def test_good_board() -> None:
    checked = board(good())
    assert checked.lines["bolt_entry"].pin == 12 and checked.readers[0].baud == 9600 and checked.debounce_ms == 15
    assert "bolt_entry_sensed" not in checked.lines


def test_a_typing_error_is_named() -> None:
    data = good()
    data["debounce"] = 5
    assert error_of(board, data) == "board has unknown keys: debounce"


def test_a_pin_used_twice_is_named() -> None:
    data = good()
    data["readers"] = [{"side": "entry", "uart": 1, "tx": 12, "rx": 5}]
    assert "pin 12 is used twice" in error_of(board, data)


def test_missing_and_wrong_values_say_what_would_be_right() -> None:
    data = good()
    data["lines"] = {}
    assert error_of(board, data) == "board.lines lacks bolt_entry"
    assert "whole number from 100 to 10000" in error_of(lane_settings, {"ask_ms": 5}, False)
    assert "whole number" in error_of(lane_settings, {"ask_ms": True}, False)
    assert "true or false" in error_of(lane_settings, {"exit_free": 1}, False)
    assert error_of(board, []) == "board must be an object {...}"


def test_lane_settings_keep_defaults() -> None:
    settings = lane_settings({"release_ms": 8000}, True)
    assert settings.release_ms == 8000 and settings.ask_ms == 2000 and settings.bolt_sensed


def test_node_config() -> None:
    data = {"site": "pool", "node": "gate-1", "broker": {"host": "127.0.0.1", "port": 1, "password": "x"}}
    config = node_config(data)
    assert (config.site, config.node, config.port, config.wifi_ssid) == ("pool", "gate-1", 1, "")
    data["site"] = ""
    assert "1 to 32 characters" in error_of(node_config, data)
