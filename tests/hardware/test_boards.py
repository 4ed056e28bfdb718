"""Board profiles: those shipped are good, and what a chip cannot do is refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from einlass_core.profile import ProfileError
from einlass_hardware import board_text, check_board, names


def profile(**pins: int) -> str:
    """The shipped turnstile profile with other pins for some lines."""
    data: dict[str, Any] = json.loads(board_text("esp32-turnstile"))
    for name, pin in pins.items():
        data["lines"][name]["pin"] = pin
    return json.dumps(data)


@pytest.mark.parametrize("name", names())
def test_shipped_profiles_are_good(name: str) -> None:
    assert check_board(board_text(name)).chip in ("esp32", "esp32s3")


@pytest.mark.parametrize(
    ("pins", "reason"),
    [
        ({"bolt_entry": 6}, "needs for its flash"),
        ({"bolt_entry": 34, "bolt_entry_sensed": 39}, "can only read"),
        ({"lamp_red": 12}, "samples at power-on"),
        ({"buzzer": 1}, "console"),
        ({"buzzer": 24}, "does not have"),
        ({"emergency": 36}, "no pull-up"),
    ],
)
def test_what_a_chip_cannot_do_is_refused(pins: dict[str, int], reason: str) -> None:
    with pytest.raises(ProfileError, match=reason):
        check_board(profile(**pins))


def test_an_unknown_board_names_those_there_are() -> None:
    with pytest.raises(ProfileError, match="esp32-turnstile"):
        board_text("esp33")


def test_the_emergency_loop_and_the_exit_are_wired_to_fail_safe() -> None:
    board = check_board(board_text("esp32-turnstile"))
    assert board.lines["bolt_exit"].active_low, "no power, no level: the exit must then be free"
    assert not board.lines["emergency"].active_low, "with its pull-up a cut wire reads as pressed"


def test_every_file_of_the_firmware_compiles_for_the_board(tmp_path: Path) -> None:
    from einlass_hardware.firmware import build

    target = build(tmp_path / "board")
    assert (target / "boot.py").is_file()
    assert (target / "main.py").is_file()
    assert list(target.rglob("*.mpy"))


def test_a_firmware_file_that_does_not_compile_is_named(tmp_path: Path) -> None:
    import shutil

    from einlass_hardware.firmware import FIRMWARE, BuildError, build

    source = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, source)
    (source / "lib" / "einlass_core" / "gate.py").write_text("def broken(:\n")
    with pytest.raises(BuildError, match=r"gate\.py"):
        build(tmp_path / "board", source)
