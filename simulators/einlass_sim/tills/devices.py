"""What hangs on a till in the town: coins, hopper, terminal, printer. They keep what they know without power."""

from dataclasses import dataclass, field

COIN_MS = 400
PAYOUT_STEP_CENTS = 50
PAYOUT_MS = 300
TERMINAL_MS = 12_000  # a person looks for the card, and types a number
ANSWER_MS = 200
PRINT_MS = 1_500


@dataclass
class Devices:
    """The truth of one machine's money; the till is told of it, and never asks a person."""

    in_cents: int = 0
    out_cents: int = 0
    hopper_wants: int = 0
    slot_open: bool = False
    charged: dict[str, int] = field(default_factory=dict)  # card payments that the terminal took: ref -> cents
    given_back: set[str] = field(default_factory=set)
    printed: list[str] = field(default_factory=list)
    terminal_silent: bool = False
    has_paper: bool = True
    hopper_empty: bool = False

    @property
    def charged_cents(self) -> int:
        """By card, in all."""
        return sum(self.charged.values())

    def undo(self, ref: str) -> None:
        """The same twice gives back once."""
        if self.charged.pop(ref, None) is not None:
            self.given_back.add(ref)
