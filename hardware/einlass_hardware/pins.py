"""What the pins of each chip can do. Source: Espressif's data sheets and hardware design guidelines."""

from einlass_core.board import Board
from einlass_core.profile import INPUTS, OUTPUTS, ProfileError


class PinRules:
    """A chip's pins by what forbids their use."""

    def __init__(
        self, existing: set[int], flash: set[int], input_only: set[int], strapping: set[int], console: set[int]
    ):
        self.existing = existing
        self.flash = flash
        self.input_only = input_only
        self.strapping = strapping
        self.console = console


CHIPS = {
    "esp32": PinRules(
        existing=set(range(40)) - {20, 24, 28, 29, 30, 31, 37, 38},
        flash={6, 7, 8, 9, 10, 11},
        input_only={34, 35, 36, 39},
        strapping={0, 2, 5, 12, 15},
        console={1, 3},
    ),
    "esp32s3": PinRules(
        existing=set(range(49)) - {22, 23, 24, 25},
        flash=set(range(26, 33)),
        input_only=set(),
        strapping={0, 3, 45, 46},
        console={19, 20, 43, 44},
    ),
}


def check_pins(profile: Board) -> None:
    """ProfileError for a pin that its chip does not have, or that cannot or should not do the job."""
    rules = CHIPS[profile.chip]
    for name, line in profile.lines.items():
        _check(rules, profile.chip, name, line.pin, drives=name in OUTPUTS)
        if name in INPUTS and line.pin in rules.input_only and name == "emergency":
            raise ProfileError(
                f"{name} is on pin {line.pin}, which has no pull-up: a cut wire would float; use a pin that has one"
            )
    for reader in profile.readers:
        _check(rules, profile.chip, f"uart{reader.uart}.tx", reader.tx, drives=True)
        _check(rules, profile.chip, f"uart{reader.uart}.rx", reader.rx, drives=False)


def _check(rules: PinRules, chip: str, name: str, pin: int, drives: bool) -> None:
    if pin not in rules.existing:
        raise ProfileError(f"{name} is on pin {pin}, which the {chip} does not have")
    if pin in rules.flash:
        raise ProfileError(f"{name} is on pin {pin}, which the {chip} needs for its flash; it would not start")
    if pin in rules.console:
        raise ProfileError(f"{name} is on pin {pin}, the {chip}'s console; a technician could not get in any more")
    if drives and pin in rules.input_only:
        raise ProfileError(f"{name} is on pin {pin}, which can only read on the {chip}")
    if drives and pin in rules.strapping:
        raise ProfileError(
            f"{name} is on pin {pin}, which the {chip} samples at power-on: what it drives could move, "
            "or the chip not start"
        )
