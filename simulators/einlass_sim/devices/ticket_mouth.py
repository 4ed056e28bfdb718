"""The mouth of a ticket column: what the printer has cut hangs there, and the sensor tells, until somebody takes it.

mouth = TicketMouth(printer, lane.board)
slip = await mouth.take(10.0)       # waits for a slip, pulls it out; slip.codes[0] is what its QR code holds
"""

import asyncio

from einlass_sim.devices.barrier_lane import INPUT_PAPER
from einlass_sim.devices.io_board import IoBoard
from einlass_sim.devices.paper import Cut
from einlass_sim.devices.receipt_printer import ReceiptPrinter

LOOK_S = 0.02
GRASP_S = 0.4  # nobody has it in the hand before


class TicketMouth:
    """Of one printer, wired to input 6 of the barrier's board. A slip that is left is pushed out by the next."""

    def __init__(self, printer: ReceiptPrinter, board: IoBoard) -> None:
        self.hanging: Cut | None = None
        self.fallen: list[Cut] = []
        self._board = board
        printer.on_cut = self._fell

    async def take(self, patience_s: float) -> Cut | None:
        """Pull the slip out as soon as one hangs there; None when none came in that time."""
        until_s = asyncio.get_running_loop().time() + patience_s
        while self.hanging is None:
            if asyncio.get_running_loop().time() >= until_s:
                return None
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(GRASP_S)
        slip, self.hanging = self.hanging, None
        self._board.set_input(INPUT_PAPER, False)
        return slip

    def _fell(self, slip: Cut) -> None:
        if self.hanging is not None:
            self.fallen.append(self.hanging)
        self.hanging = slip
        self._board.set_input(INPUT_PAPER, True)
