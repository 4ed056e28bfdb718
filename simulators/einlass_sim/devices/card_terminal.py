"""A card terminal that speaks ZVT over TCP, the terminal's side, with a card, a bank behind it, and every way to fail.

    async with CardTerminal() as terminal:           # terminal.host, terminal.port
        terminal.charged_cents                       # truth: what the bank has taken and not given back
        terminal.verdict = 0x05                      # the bank's answer to the next card (0 approved)
        terminal.waits_for_card = True               # until present_card(), press_stop() or an abort by the till
        terminal.fail(Step.STATUS, hang_up=True)     # once, before that step: hang up, or (False) fall silent
        terminal.reverses_unheard = True             # gives the money back when nobody acknowledged the status
        terminal.goes_on_alone = True                # a till that hung up does not stop a payment

One till at a time, as the real ones have it; a newer connection ends the older one. While a payment runs all commands
but the abort get 84-9C (please wait). Facts: PA00P015 13.07 and PA00P016 04 of the Verband der Terminalhersteller.
"""

import asyncio
import contextlib
import enum
from dataclasses import dataclass
from types import TracebackType

LOOPBACK = "127.0.0.1"
ACK_S = 5.0
DEAF_ACK_S = 0.1
CARD_S = 60.0
OK, STOPPED, DECLINED, NOT_REGISTERED, NOT_POSSIBLE, PLEASE_WAIT = 0x00, 0x6C, 0x05, 0x6B, 0x83, 0x9C
ALREADY_REVERSED, CANNOT_REVERSE, BAD_FORMAT = 0xB4, 0xB5, 0x9A


class Step(enum.Enum):
    """Where a payment can be broken off: before this is sent or done."""

    ACK = "ack"
    CARD = "card"
    BANK = "bank"
    STATUS = "status"
    COMPLETION = "completion"


@dataclass
class Sale:
    """One transaction in the terminal's memory."""

    receipt: int
    trace: int
    cents: int
    code: int
    reversed: bool = False


class _Broken(Exception):
    """The connection ends here."""


class CardTerminal:
    """One terminal. ack_s: how long it waits for the till's acknowledgements."""

    def __init__(self, password: str = "000000", ack_s: float = ACK_S) -> None:
        self.host = LOOPBACK
        self.port = 0
        self.verdict = OK
        self.waits_for_card = False
        self.reverses_unheard = False
        self.goes_on_alone = False
        self.silent = False
        self.sales: list[Sale] = []
        self.days_closed: list[int] = []
        self.commands: list[str] = []
        self.next_receipt = 1
        self.partial_cents: int | None = None  # the bank gives only that much
        self._password = bytes.fromhex(password)
        self._ack_s = ack_s
        self._fault: tuple[Step, bool] | None = None
        self._server: asyncio.Server | None = None
        self._till: _Till | None = None
        self._payment: asyncio.Task[None] | None = None
        self._card = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "CardTerminal":
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()
        if self._payment:
            self._payment.cancel()
            await asyncio.gather(self._payment, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Take tills from now on, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def hang_up(self) -> None:
        """The network is gone: no connection, none to be had."""
        if self._server:
            self._server.close()
            self._server = None
        if self._till:
            self._till.end()

    # -- the world

    def fail(self, step: Step, *, hang_up: bool) -> None:
        """Once, before that step of the next payment: hang up, or say nothing any more on this connection."""
        self._fault = (step, hang_up)

    def present_card(self) -> None:
        """A card is held to it."""
        self._card.set()

    def press_stop(self) -> None:
        """The red key."""
        self._stop.set()

    @property
    def busy(self) -> bool:
        """A payment runs."""
        return self._payment is not None and not self._payment.done()

    @property
    def charged_cents(self) -> int:
        """What the bank has taken and not given back."""
        return sum(sale.cents for sale in self.sales if sale.code == OK and not sale.reversed)

    # -- the line

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._till:
            self._till.end()
        till = self._till = _Till(reader, writer, self._ack_s)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                control, data = await till.command()
                self.commands.append(f"{control:04X}")
                if self.silent:
                    continue
                await self._obey(till, control, data)
        except (OSError, EOFError, _Broken):
            pass
        finally:
            self._tasks.discard(task)
            till.end()
            if self.busy and not self.goes_on_alone and self._payment:
                self._stop.set()

    async def _obey(self, till: "_Till", control: int, data: bytes) -> None:
        if control == 0x06B0:
            self._stop.set()
            till.say(0x8000 if self.busy else 0x8400 | NOT_POSSIBLE)
        elif self.busy:
            till.say(0x8400 | PLEASE_WAIT)
        elif control == 0x0600:
            if len(data) < 6:
                till.say(0x8400 | BAD_FORMAT)
                return
            till.registered = data[:3] == self._password
            till.say(0x8000)
            if till.registered:
                await till.tell(0x060F, b"\x19\x00\x29\x12\x34\x56\x78\x49\x09\x78")
            else:
                await till.tell(0x061E, bytes([NOT_REGISTERED]))
        elif not till.registered:
            till.say(0x8400 | NOT_REGISTERED)
        elif control == 0x0601:
            if len(data) < 7 or data[0] != 0x04 or not data[1:7].hex().isdigit():
                till.say(0x8400 | BAD_FORMAT)
                return
            self._card.clear()
            self._stop.clear()
            if self._broken(Step.ACK, till):
                return
            till.say(0x8000)
            self._payment = asyncio.create_task(self._pay(int(data[1:7].hex())))
        elif control == 0x0620:
            till.say(0x8000)
            if not self.sales:
                await till.tell(0x061E, bytes([NOT_POSSIBLE]))
            else:
                if data[3:4] == b"\x03" and len(data) > 4:
                    await till.tell(0x040F, self._status(self.sales[-1]))
                await till.tell(0x06D1, b"\x00* Kopie *")
                await till.tell(0x060F)
        elif control == 0x0630:
            await self._reverse(till, data)
        elif control == 0x0650:
            till.say(0x8000)
            total = self.charged_cents
            self.days_closed.append(total)
            self.sales.clear()
            await till.tell(0x040F, b"\x27\x00\x04" + _bcd(total, 6))
            await till.tell(0x06D1, b"\x00Kassenschnitt")
            await till.tell(0x060F)
        else:
            till.say(0x8400 | NOT_POSSIBLE)

    async def _reverse(self, till: "_Till", data: bytes) -> None:
        till.say(0x8000)
        receipt = int(data[4:6].hex()) if data[3:4] == b"\x87" and len(data) >= 6 else -1
        sale = next((sale for sale in self.sales if sale.receipt == receipt and sale.code == OK), None)
        if sale is None:
            await till.tell(0x061E, bytes([CANNOT_REVERSE]))
        elif sale.reversed:
            await till.tell(0x061E, bytes([ALREADY_REVERSED]))
        else:
            sale.reversed = True
            if self._broken(Step.STATUS, till):
                return
            await till.tell(0x040F, self._status(sale))
            await till.tell(0x060F)

    async def _pay(self, cents: int) -> None:
        """One payment. It belongs to the terminal, not to the connection."""
        heard = True
        try:
            await self._say(0x04FF, b"\x0a\x01")
            await self._step(Step.CARD)
            code = await self._wait_for_card()
            await self._step(Step.BANK)
            if code == OK:
                await self._say(0x04FF, b"\x17\x01")
                code = self.verdict
            paid = cents if self.partial_cents is None else self.partial_cents
            sale = Sale(self.next_receipt, self.next_receipt + 100, paid, code)
            if code != STOPPED:
                self.next_receipt = self.next_receipt % 9999 + 1
                self.sales.append(sale)
            await self._step(Step.STATUS)
            heard = False
            await self._say(0x040F, self._status(sale))
            heard = True
            await self._step(Step.COMPLETION)
            if code == OK:
                await self._say(0x06D3, b"\x06\x0e\x25\x0c\x07\x05H\x84ndl\x07\x03EUR")
                await self._say(0x060F)
            else:
                await self._say(0x061E, bytes([code]))
        except _Broken:
            pass
        finally:
            if not heard and self.reverses_unheard and self.sales:
                self.sales.pop()

    async def _wait_for_card(self) -> int:
        if not self.waits_for_card:
            return OK
        waits = [asyncio.ensure_future(event.wait()) for event in (self._card, self._stop)]
        await asyncio.wait(waits, timeout=CARD_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return OK if self._card.is_set() and not self._stop.is_set() else STOPPED

    async def _say(self, control: int, data: bytes = b"") -> None:
        """To whoever is connected; a till that is gone stops a payment only if it is not one that goes on alone."""
        try:
            if self._till is None:
                raise _Broken
            await self._till.tell(control, data)
        except (_Broken, OSError):
            if control == 0x040F or not self.goes_on_alone:
                raise _Broken from None

    async def _step(self, step: Step) -> None:
        if self._till is not None and self._broken(step, self._till) and not self.goes_on_alone:
            raise _Broken

    def _broken(self, step: Step, till: "_Till") -> bool:
        if self._fault is None or self._fault[0] is not step:
            return False
        if self._fault[1]:
            till.end()
        else:
            till.mute = True
            till.ack_s = min(till.ack_s, DEAF_ACK_S)  # nobody will acknowledge what was never sent
        self._fault = None
        return True

    @staticmethod
    def _status(sale: Sale) -> bytes:
        data = bytes([0x27, sale.code]) + b"\x04" + _bcd(sale.cents, 6) + b"\x87" + _bcd(sale.receipt, 2)
        data += b"\x0b" + _bcd(sale.trace, 3) + b"\x0c\x12\x30\x59\x0d\x11\x22\x29\x12\x34\x56\x78"
        data += b"\x22\xf0\xf8" + bytes.fromhex("eeeeeeeeeeee1234") + b"\x8a\x05\x8b\xf0\xf8girocard"
        return data + b"\x49\x09\x78\x06\x04\x1f\x10\x01\x02"


class _Till:
    """One connection. Commands and acknowledgements come over the same stream; a reader task tells them apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ack_s: float) -> None:
        self.registered = False
        self.mute = False
        self._reader = reader
        self._writer = writer
        self.ack_s = ack_s
        self._acks: asyncio.Queue[int] = asyncio.Queue()
        self._commands: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def command(self) -> tuple[int, bytes]:
        """The next command. _Broken when there will be none."""
        command = await self._commands.get()
        if command is None:
            raise _Broken
        return command

    def say(self, control: int, data: bytes = b"") -> None:
        """Send a packet that needs no acknowledgement."""
        if self.mute:
            return
        length = bytes([len(data)]) if len(data) < 255 else b"\xff" + len(data).to_bytes(2, "little")
        with contextlib.suppress(OSError):
            self._writer.write(control.to_bytes(2, "big") + length + data)

    async def tell(self, control: int, data: bytes = b"") -> None:
        """Send a packet and wait for its acknowledgement. _Broken when none comes."""
        if self._writer.is_closing():
            raise _Broken
        self.say(control, data)
        try:
            async with asyncio.timeout(self.ack_s):
                if await self._acks.get() != 0x8000:
                    raise _Broken
        except TimeoutError:
            raise _Broken from None

    def end(self) -> None:
        """Hang up."""
        self._writer.close()
        self._reading.cancel()
        self._acks.put_nowait(0)
        self._commands.put_nowait(None)

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(3)
                length = head[2]
                if length == 255:
                    length = int.from_bytes(await self._reader.readexactly(2), "little")
                data = await self._reader.readexactly(length)
                control = int.from_bytes(head[:2], "big")
                if head[0] in (0x80, 0x84):
                    self._acks.put_nowait(control)
                else:
                    self._commands.put_nowait((control, data))
        except (OSError, EOFError):
            self._acks.put_nowait(0)
            self._commands.put_nowait(None)


def _bcd(number: int, count: int) -> bytes:
    return bytes.fromhex(f"{number:0{2 * count}d}")
