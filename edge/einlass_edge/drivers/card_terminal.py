"""A card terminal that speaks ZVT over TCP: pays, reverses, closes the day, and never takes a guess for a payment.

    attempt = await terminal.prepare(450)      # write it down before the next line
    result = await terminal.pay(attempt)
    while result.outcome is Outcome.UNKNOWN:   # also after a power cut, with what was written down
        result = await terminal.resolve(attempt)

A payment whose answer is lost is `unknown`: the card may be charged. resolve() asks the terminal for its last
transaction: one with another receipt number than before the attempt, and with its amount, is this one. That needs that
nobody else uses the terminal between the two, so a machine must have its terminal to itself, and must resolve before it
prepares the next. Facts: see zvt.py; PA00P016 for the time-outs T3 (5 s) and T4 (180 s). That command 06 20 with
service byte 03 answers with the status information of the last transaction is from one public implementation; try it
with your terminal.
"""

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import structlog

from einlass_edge.drivers import zvt
from einlass_edge.drivers.zvt import Packet, Packets, ZvtError

PORT = 20007
PASSWORD = "000000"
# The till prints receipts, wants intermediate status, and starts payments itself.
CONFIGURATION = 0x02 | 0x04 | 0x08 | 0x10 | 0x80
LAST_STATUS_SERVICE = b"\x03\x03"
RECEIPT_LINES_MAX = 200
READ_BYTES_MAX = 4096

log = structlog.get_logger(__name__)


class Outcome(enum.StrEnum):
    """What became of a payment."""

    PAID = "paid"
    DECLINED = "declined"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class Reversal(enum.StrEnum):
    """What became of a reversal; unknown: ask again, the terminal says when it is done already."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A payment about to be tried: to be written down. previous: the receipt number of the transaction before it."""

    cents: int
    previous: int | None


@dataclass(frozen=True, slots=True)
class CardResult:
    """code: the terminal's (0 approved), or None; reason: for the log and the technician."""

    outcome: Outcome
    cents: int = 0
    receipt: int | None = None
    trace: int | None = None
    card: str = ""
    code: int | None = None
    reason: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DayEnd:
    """done False: the terminal refused, or did not answer (it can be asked again). cents: the day's total."""

    done: bool
    cents: int | None = None
    code: int | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds: until a connection stands, until an acknowledgement (T3), between two packets (T4), between tries."""

    connect_s: float = 5.0
    ack_s: float = 5.0
    step_s: float = 180.0
    again_s: float = 1.0


@dataclass(slots=True)
class _End:
    """How a command ended: all fields of its status information, and its abort code."""

    status: dict[int, bytes] | None = None
    abort_code: int | None = None
    lines: tuple[str, ...] = ()


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"the terminal refuses: {code:02X}")
        self.code = code


class CardTerminal:
    """One terminal. Connects by itself. on_status gets the number of each intermediate status (what its display says).

    Troubles: `card_lost`. One command at a time; abort() may be called while pay() runs.
    """

    def __init__(
        self,
        host: str,
        port: int,
        trouble: Callable[[str, bool], None],
        *,
        password: str = PASSWORD,
        currency: int = zvt.EURO,
        times: Times | None = None,
        on_status: Callable[[int], None] = lambda number: None,
    ) -> None:
        if len(password) != 6 or not password.isdigit():
            raise ValueError("a terminal's password has six digits")
        self._host = host
        self._port = port
        self._trouble = trouble
        self._password = bytes.fromhex(password)
        self._currency = currency
        self._times = times or Times()
        self._on_status = on_status
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._packets = Packets()
        self._waiting: list[Packet] = []
        self._turn = asyncio.Lock()
        self._lost = False
        self._stale = False

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        self._reader = self._writer = None

    async def prepare(self, cents: int) -> Attempt:
        """Connect, and learn which transaction was the last one. OSError: no card payment now."""
        if not 1 <= cents <= zvt.CENTS_MAX:
            raise ValueError(f"an amount is 1 to {zvt.CENTS_MAX} cents, not {cents}")
        async with self._turn, self._connection():
            try:
                last = await self._last()
            except _Refused as error:
                raise OSError(str(error)) from error
            return Attempt(cents, None if last is None else last.receipt)

    async def pay(self, attempt: Attempt) -> CardResult:
        """Ask for the card and the money, for as long as the customer takes. Never raises for what a terminal does."""
        async with self._turn:
            try:
                await self._connect()
            except OSError as error:
                return CardResult(Outcome.ABORTED, reason=f"not sent: {error}")
            data = bytes([zvt.AMOUNT]) + zvt.bcd(attempt.cents, 6)
            data += bytes([zvt.CURRENCY]) + zvt.bcd(self._currency, 2)
            try:
                async with self._connection():
                    end = await self._command(zvt.AUTHORISE, data)
            except _Refused as error:
                return CardResult(Outcome.ABORTED, code=error.code, reason=str(error))
            except OSError as error:
                return CardResult(Outcome.UNKNOWN, reason=str(error))
            return _paid(end, attempt.cents)

    async def abort(self) -> None:
        """Ask the terminal to give up what it does; pay() then tells what became of it, which may still be `paid`."""
        if self._writer is not None:
            # Its answer may come when nobody waits for it any more, and would be taken for the next command's.
            self._stale = True
            self._writer.write(zvt.packet(zvt.ABORT))

    async def resolve(self, attempt: Attempt) -> CardResult:
        """What became of an attempt whose result is unknown; `unknown` again while the terminal cannot say."""
        async with self._turn:
            try:
                async with self._connection():
                    last = await self._last()
            except _Refused as error:
                if error.code == zvt.PLEASE_WAIT:
                    # It still waits for a card that nobody waits for any more.
                    await self.abort()
                await asyncio.sleep(self._times.again_s)
                return CardResult(Outcome.UNKNOWN, code=error.code, reason=str(error))
            except OSError as error:
                await asyncio.sleep(self._times.again_s)
                return CardResult(Outcome.UNKNOWN, reason=str(error))
            if last is None or last.receipt is None or last.receipt == attempt.previous:
                return CardResult(Outcome.ABORTED, reason="the terminal has no such transaction")
            if last.code == zvt.APPROVED and last.cents != attempt.cents:
                return CardResult(Outcome.UNKNOWN, code=last.code, reason="the last transaction has another amount")
            return last

    async def last(self) -> CardResult | None:
        """The terminal's last transaction; None: it has none. OSError: it does not say."""
        async with self._turn, self._connection():
            try:
                return await self._last()
            except _Refused as error:
                raise OSError(str(error)) from error

    async def reverse(self, receipt: int) -> Reversal:
        """Give the money of this receipt number back. Asking twice is safe: the second time it is done already."""
        data = self._password + bytes([zvt.RECEIPT]) + zvt.bcd(receipt, 2)
        async with self._turn:
            try:
                async with self._connection():
                    end = await self._command(zvt.REVERSE, data)
            except _Refused:
                return Reversal.REFUSED
            except OSError as error:
                log.warning("reversal_unknown", receipt=receipt, error=str(error))
                return Reversal.UNKNOWN
        code = _code(end)
        if code in (zvt.APPROVED, zvt.ALREADY_REVERSED):
            return Reversal.DONE
        return Reversal.UNKNOWN if code is None else Reversal.REFUSED

    async def end_of_day(self) -> DayEnd:
        """Send the day's payments in: nothing paid so far can be reversed after it."""
        async with self._turn:
            try:
                async with self._connection():
                    end = await self._command(zvt.END_OF_DAY, self._password)
            except _Refused as error:
                return DayEnd(done=False, code=error.code)
            except OSError as error:
                log.warning("end_of_day_unknown", error=str(error))
                return DayEnd(done=False)
        if end.abort_code is not None:
            return DayEnd(done=False, code=end.abort_code, lines=end.lines)
        total = (end.status or {}).get(zvt.AMOUNT)
        return DayEnd(done=True, cents=None if total is None else zvt.number(total), code=_code(end), lines=end.lines)

    # -- the connection

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[None]:
        """Connected and registered within; whatever goes wrong hangs up, so that no old packet is taken for a new."""
        await self._connect()
        try:
            yield
        except _Refused:
            raise
        except (OSError, ZvtError) as error:
            self._drop()
            raise OSError(f"the card terminal was lost: {str(error) or type(error).__name__}") from error
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _connect(self) -> None:
        if self._stale:
            await self.close()
        if self._writer is not None and not self._writer.is_closing() and self._reader and not self._reader.at_eof():
            return
        try:
            async with asyncio.timeout(self._times.connect_s):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._packets, self._waiting, self._stale = Packets(), [], False
            data = self._password + bytes([CONFIGURATION]) + zvt.bcd(self._currency, 2)
            end = await self._command(zvt.REGISTER, data)
            if end.abort_code is not None:
                raise ZvtError(f"it does not take us ({end.abort_code:02X}): is the password right?")
        except (OSError, ZvtError, _Refused) as error:
            if isinstance(error, _Refused) and error.code == zvt.PLEASE_WAIT:
                # It still waits for the card of a payment whose connection was lost: nobody else uses it.
                await self.abort()
            self._drop()
            if not self._lost:
                self._lost = True
                self._trouble("card_lost", True)
            reason = str(error) or type(error).__name__
            raise OSError(f"no card terminal at {self._host}:{self._port}: {reason}") from error
        if self._lost:
            self._lost = False
            self._trouble("card_lost", False)

    async def _command(self, control: int, data: bytes) -> _End:
        """One command to its completion or abort; everything the terminal says in between is acknowledged.

        _Refused: it was not even begun. OSError (TimeoutError): nobody knows how it ended.
        """
        assert self._writer is not None
        self._waiting.clear()
        self._writer.write(zvt.packet(control, data))
        first = await self._next(self._times.ack_s)
        if first.refusal is not None:
            raise _Refused(first.refusal)
        if not first.acknowledges:
            raise ZvtError(f"{first.control:04X} instead of an acknowledgement")
        end = _End()
        while True:
            said = await self._next(self._times.step_s)
            if said.acknowledges or said.refusal is not None:
                continue  # The answer to abort().
            self._writer.write(zvt.ACK)
            if said.control == zvt.STATUS:
                end.status = zvt.fields(said.data)
            elif said.control == zvt.INTERMEDIATE and said.data:
                self._on_status(said.data[0])
            elif said.control == zvt.PRINT_LINE:
                end.lines = (*end.lines, zvt.line_text(said.data))[:RECEIPT_LINES_MAX]
            elif said.control == zvt.PRINT_TEXT:
                text = zvt.receipt_lines(zvt.fields(said.data).get(zvt.TLV, b""))
                end.lines = (*end.lines, *text)[:RECEIPT_LINES_MAX]
            elif said.control == zvt.ABORTED:
                end.abort_code = said.data[0] if said.data else zvt.STOPPED
                return end
            elif said.control == zvt.COMPLETION:
                return end

    async def _next(self, wait_s: float) -> Packet:
        assert self._reader is not None
        async with asyncio.timeout(wait_s):
            while not self._waiting:
                data = await self._reader.read(READ_BYTES_MAX)
                if not data:
                    raise ConnectionResetError("the terminal has hung up")
                self._waiting += self._packets.feed(data)
        return self._waiting.pop(0)

    async def _last(self) -> CardResult | None:
        end = await self._command(zvt.REPEAT_RECEIPT, self._password + LAST_STATUS_SERVICE)
        if end.status is None and end.abort_code == zvt.NOT_POSSIBLE:
            return None
        if end.status is None:
            raise OSError(f"the terminal does not tell its last transaction ({end.abort_code})")
        return replace(_result(end), lines=())


def _code(end: _End) -> int | None:
    raw = (end.status or {}).get(zvt.RESULT)
    if raw is not None and (raw[0] or end.abort_code is None):
        return raw[0]
    return end.abort_code


def _result(end: _End) -> CardResult:
    status = end.status or {}
    code = _code(end)
    if code is None:
        outcome = Outcome.UNKNOWN
    elif code == zvt.APPROVED:
        outcome = Outcome.PAID
    else:
        outcome = Outcome.ABORTED if code == zvt.STOPPED else Outcome.DECLINED
    return CardResult(
        outcome,
        cents=zvt.number(status[zvt.AMOUNT]) if zvt.AMOUNT in status else 0,
        receipt=zvt.number(status[zvt.RECEIPT]) if zvt.RECEIPT in status else None,
        trace=zvt.number(status[zvt.TRACE]) if zvt.TRACE in status else None,
        card=status.get(zvt.CARD_NAME, b"").decode("cp437").rstrip("\0 "),
        code=code,
        lines=end.lines,
    )


def _paid(end: _End, cents: int) -> CardResult:
    try:
        result = _result(end)
    except ZvtError as error:
        return CardResult(Outcome.UNKNOWN, reason=str(error))
    if result.outcome is Outcome.UNKNOWN:
        return replace(result, reason="completed without a result")
    if result.outcome is Outcome.PAID and result.cents != cents:
        return replace(result, outcome=Outcome.UNKNOWN, reason=f"{result.cents} cents instead of {cents}")
    return result
