"""All devices of a ticket machine on their lines, and the section of node.toml that fits them.

    async with TillStand(directory, kind="pay-on-foot") as stand:
        (directory / "node.toml").write_text(head + stand.section())
        await stand.scanner.hold(code)
        stand.acceptor.insert("EU100A")
        stand.cents_inside                # truth: what people have put in and not got back

The devices keep what real ones keep without power, whatever becomes of the node. Their state is not on disk.
"""

import contextlib
from pathlib import Path
from types import TracebackType

from einlass_sim.devices.card_terminal import CardTerminal
from einlass_sim.devices.cctalk import CcTalkBus, CoinAcceptor, Hopper
from einlass_sim.devices.customer_display import CustomerDisplay
from einlass_sim.devices.keypad import Keypad
from einlass_sim.devices.receipt_printer import ReceiptPrinter
from einlass_sim.devices.scanner import Scanner

POSITIONS = {"EU010A": 1, "EU020A": 2, "EU050A": 3, "EU100A": 4, "EU200A": 5}
HOPPERS = {3: "EU050A", 4: "EU010A"}
HOPPER_COINS = 200
# A hopper that has just been switched on stands at 0 and cannot tell a lost payout from none.
PAYOUTS_BEFORE = 7


def cents_of(coin: str) -> int:
    """The worth of a coin by its name."""
    return int(coin[2:5])


class TillStand:
    """The machine without its computer. products: (key, id, name) of a desk. Both may change before section()."""

    def __init__(
        self,
        directory: Path,
        kind: str = "pay-on-foot",
        products: tuple[tuple[str, str, str], ...] = (),
        prefix: str = "",
    ) -> None:
        self.kind = kind
        self.products = products
        self._directory = directory
        self._prefix = prefix
        self.bus = CcTalkBus(self._link("coins"))
        self.acceptor = CoinAcceptor(POSITIONS)
        self.hoppers = {address: Hopper(address, coin, HOPPER_COINS) for address, coin in HOPPERS.items()}
        self.bus.add(self.acceptor)
        for hopper in self.hoppers.values():
            hopper.counter = PAYOUTS_BEFORE
            self.bus.add(hopper)
        self.terminal = CardTerminal()
        self.printer = ReceiptPrinter(self._link("printer"))
        self.display = CustomerDisplay(self._link("display"))
        self.keypad = Keypad(self._link("keys"))
        self.scanner = Scanner(self._link("reader"))
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "TillStand":
        for device in (self.bus, self.terminal, self.printer, self.display, self.keypad, self.scanner):
            await self._stack.enter_async_context(device)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def section(self, extra: str = "") -> str:
        """[till] and what is below it; `extra`: more keys of [till] itself."""
        text = f'[till]\nkind = "{self.kind}"\n{extra}\n'
        text += f'[till.coins]\nserial = "{self._link("coins")}"\n'
        for address, coin in HOPPERS.items():
            text += f"[[till.hopper]]\naddress = {address}\ncents = {cents_of(coin)}\n"
        text += f'[till.terminal]\nhost = "{self.terminal.host}"\nport = {self.terminal.port}\nstep_ms = 5000\n'
        text += f'[till.printer]\nserial = "{self._link("printer")}"\n'
        text += f'[till.display]\nserial = "{self._link("display")}"\n'
        text += f'[till.keys]\nserial = "{self._link("keys")}"\n'
        text += f'[till.reader]\nserial = "{self._link("reader")}"\n'
        for key, product, name in self.products:
            text += f'[[till.product]]\nkey = "{key}"\nid = "{product}"\nname = "{name}"\n'
        return text

    @property
    def cents_in(self) -> int:
        """All that fell in."""
        return sum(cents_of(coin) for coin in self.acceptor.inside)

    @property
    def cents_out(self) -> int:
        """All that lies in the tray."""
        return sum(hopper.fallen * cents_of(hopper.coin) for hopper in self.hoppers.values())

    @property
    def cents_inside(self) -> int:
        """What people have put in and not got back."""
        return self.cents_in - self.cents_out

    @property
    def shown(self) -> str:
        """What a customer reads: both lines."""
        return "|".join(line.rstrip() for line in self.display.lines)

    def _link(self, name: str) -> Path:
        return self._directory / f"{self._prefix}{name}"
