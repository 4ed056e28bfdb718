"""The card terminal's driver and a terminal with a bank: what the till believes is what the card was charged."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from einlass_edge.drivers.card_terminal import Attempt, CardResult, Outcome, Reversal, Times
from einlass_edge.drivers.card_terminal import CardTerminal as Driver
from einlass_sim.devices.card_terminal import CardTerminal, Step

DEADLINE_S = 20.0
CENTS = 450
PATIENT = Times(connect_s=20, ack_s=20, step_s=20, again_s=0.05)
# For what never answers: it must not answer within this, whatever the machine's load.
HASTY = Times(connect_s=20, ack_s=0.2, step_s=0.2, again_s=0.05)


class Counter:
    """A terminal, its driver and what the driver reported."""

    def __init__(self, terminal: CardTerminal, driver: Driver) -> None:
        self.terminal = terminal
        self.driver = driver
        self.troubles: list[tuple[str, bool]] = []
        self.shown: list[int] = []

    async def until(self, true: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, f"never: {what}"
            await asyncio.sleep(0.005)

    async def pay(self, cents: int = CENTS) -> tuple[Attempt, CardResult]:
        attempt = await self.driver.prepare(cents)
        return attempt, await self.driver.pay(attempt)

    async def resolved(self, attempt: Attempt) -> CardResult:
        for _ in range(100):
            result = await self.driver.resolve(attempt)
            if result.outcome is not Outcome.UNKNOWN:
                return result
        raise AssertionError(f"never resolved: {result}")


@contextlib.asynccontextmanager
async def counter(times: Times = PATIENT) -> AsyncIterator[Counter]:
    async with CardTerminal(ack_s=20) as terminal:
        it = Counter(terminal, None)  # type: ignore[arg-type]
        it.driver = Driver(
            terminal.host, terminal.port, lambda reason, on: it.troubles.append((reason, on)),
            times=times, on_status=it.shown.append,
        )  # fmt: skip
        try:
            yield it
        finally:
            await it.driver.close()


def run(talk: Callable[[Counter], Awaitable[None]], times: Times = PATIENT) -> None:
    async def whole() -> None:
        async with counter(times) as it:
            await talk(it)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_a_card_is_charged_once_and_the_till_knows() -> None:
    async def talk(it: Counter) -> None:
        attempt, result = await it.pay()
        assert attempt == Attempt(CENTS, None)
        assert result.outcome is Outcome.PAID
        assert (result.cents, result.receipt, result.trace, result.card) == (CENTS, 1, 101, "girocard")
        assert result.lines == ("Händl", "EUR")
        assert it.shown == [0x0A, 0x17]
        assert it.terminal.charged_cents == CENTS
        attempt, result = await it.pay(100)
        assert attempt.previous == 1
        assert result.receipt == 2
        assert it.terminal.charged_cents == CENTS + 100
        assert not it.troubles

    run(talk)


@pytest.mark.parametrize("code", [0x05, 0x6E, 0x78])
def test_a_declined_card_is_not_charged(code: int) -> None:
    async def talk(it: Counter) -> None:
        it.terminal.verdict = code
        _, result = await it.pay()
        assert (result.outcome, result.code) == (Outcome.DECLINED, code)
        assert it.terminal.charged_cents == 0

    run(talk)


def test_the_customer_s_red_key_and_the_till_s_abort() -> None:
    async def talk(it: Counter) -> None:
        it.terminal.waits_for_card = True
        for stop in (it.terminal.press_stop, it.driver.abort):
            attempt = await it.driver.prepare(CENTS)
            paying = asyncio.create_task(it.driver.pay(attempt))
            await it.until(lambda: it.terminal.busy, "the payment")
            stopping = stop()
            if stopping is not None:
                await stopping
            result = await paying
            assert (result.outcome, result.code) == (Outcome.ABORTED, 0x6C)
        assert it.terminal.charged_cents == 0
        # And then one that is paid, over a connection of its own.
        attempt = await it.driver.prepare(CENTS)
        paying = asyncio.create_task(it.driver.pay(attempt))
        await it.until(lambda: it.terminal.busy, "the payment")
        it.terminal.present_card()
        assert (await paying).outcome is Outcome.PAID

    run(talk)


def test_an_abort_that_comes_too_late_says_paid() -> None:
    async def talk(it: Counter) -> None:
        it.terminal.waits_for_card = True
        paying = asyncio.create_task(it.driver.pay(await it.driver.prepare(CENTS)))
        await it.until(lambda: it.terminal.busy, "the payment")
        it.terminal.present_card()
        await it.until(lambda: it.terminal.charged_cents == CENTS, "the bank")
        await it.driver.abort()
        assert (await paying).outcome is Outcome.PAID
        # And one that comes when it is over: its answer is not taken for that to the next command.
        it.terminal.waits_for_card = False
        await it.driver.abort()
        _, result = await it.pay(100)
        assert result.outcome is Outcome.PAID
        assert it.terminal.charged_cents == CENTS + 100

    run(talk)


SCENES = list(itertools.product(Step, (True, False), (False, True)))


@pytest.mark.parametrize(
    ("step", "hang_up", "reverses"),
    SCENES,
    ids=[f"{step.value}-{'lost' if hang_up else 'silent'}{'-reverses' * rev}" for step, hang_up, rev in SCENES],
)
def test_at_every_step_the_till_ends_up_believing_what_the_bank_did(step: Step, hang_up: bool, reverses: bool) -> None:
    async def talk(it: Counter) -> None:
        it.terminal.reverses_unheard = reverses
        assert (await it.pay(100))[1].outcome is Outcome.PAID
        attempt = await it.driver.prepare(CENTS)
        it.terminal.fail(step, hang_up=hang_up)
        it.driver._times = PATIENT if hang_up else HASTY
        result = await it.driver.pay(attempt)
        it.driver._times = PATIENT
        assert result.outcome is Outcome.UNKNOWN, "nothing may be taken for paid or not paid"
        result = await it.resolved(attempt)
        charged = it.terminal.charged_cents - 100
        assert charged in (0, CENTS)
        assert (result.outcome is Outcome.PAID) == (charged == CENTS)
        assert result.outcome in (Outcome.PAID, Outcome.ABORTED)
        # It works on, and the next payment is not mistaken for the last.
        _, result = await it.pay(CENTS)
        assert result.outcome is Outcome.PAID
        assert it.terminal.charged_cents == 100 + charged + CENTS

    run(talk)


@pytest.mark.parametrize("pays", [True, False], ids=["customer_pays", "customer_walks_off"])
def test_a_terminal_that_goes_on_without_the_till_is_waited_for(pays: bool) -> None:
    async def talk(it: Counter) -> None:
        it.terminal.waits_for_card = it.terminal.goes_on_alone = True
        attempt = await it.driver.prepare(CENTS)
        paying = asyncio.create_task(it.driver.pay(attempt))
        await it.until(lambda: it.terminal.busy, "the payment")
        it.terminal._till.end()  # type: ignore[union-attr]
        assert (await paying).outcome is Outcome.UNKNOWN
        if pays:
            it.terminal.present_card()
        result = await it.resolved(attempt)
        assert (result.outcome is Outcome.PAID) == (it.terminal.charged_cents == CENTS) == pays

    run(talk)


def test_a_power_cut_of_the_till_is_resolved_from_what_was_written_down() -> None:
    async def talk(it: Counter) -> None:
        await it.pay(CENTS)
        attempt = await it.driver.prepare(CENTS)
        it.terminal.waits_for_card = it.terminal.goes_on_alone = True
        paying = asyncio.create_task(it.driver.pay(attempt))
        await it.until(lambda: it.terminal.busy, "the payment")
        it.terminal.present_card()
        await it.until(lambda: it.terminal.charged_cents == 2 * CENTS, "the bank")
        paying.cancel()
        await asyncio.gather(paying, return_exceptions=True)
        restarted = Driver(it.terminal.host, it.terminal.port, lambda reason, on: None, times=PATIENT)
        it.driver = restarted
        result = await it.resolved(attempt)
        assert (result.outcome, result.receipt) == (Outcome.PAID, 2)
        # The very same amount, but nothing was sent: the last one's receipt is not taken for it.
        again = await restarted.prepare(CENTS)
        assert (await restarted.resolve(again)).outcome is Outcome.ABORTED

    run(talk)


def test_a_part_of_the_amount_is_no_payment() -> None:
    async def talk(it: Counter) -> None:
        it.terminal.partial_cents = 100
        attempt, result = await it.pay()
        assert result.outcome is Outcome.UNKNOWN
        assert "100 cents instead of 450" in result.reason
        assert (await it.driver.resolve(attempt)).outcome is Outcome.UNKNOWN
        # Somebody sees that and gives it back.
        last = await it.driver.last()
        assert last is not None
        assert last.receipt is not None
        assert await it.driver.reverse(last.receipt) is Reversal.DONE
        assert it.terminal.charged_cents == 0

    run(talk)


def test_a_reversal_gives_back_once_however_often_it_is_asked_for() -> None:
    async def talk(it: Counter) -> None:
        _, result = await it.pay()
        assert result.receipt is not None
        it.terminal.fail(Step.STATUS, hang_up=True)
        assert await it.driver.reverse(result.receipt) is Reversal.UNKNOWN
        assert await it.driver.reverse(result.receipt) is Reversal.DONE
        assert await it.driver.reverse(result.receipt) is Reversal.DONE
        assert it.terminal.charged_cents == 0
        assert await it.driver.reverse(9) is Reversal.REFUSED

    run(talk)


def test_the_day_is_closed_with_its_total() -> None:
    async def talk(it: Counter) -> None:
        await it.pay(450)
        await it.pay(50)
        day = await it.driver.end_of_day()
        assert (day.done, day.cents, day.lines) == (True, 500, ("Kassenschnitt",))
        assert it.terminal.days_closed == [500]
        assert await it.driver.last() is None

    run(talk)


def test_no_terminal_is_no_payment_and_trouble_once() -> None:
    async def talk(it: Counter) -> None:
        attempt = await it.driver.prepare(CENTS)
        await it.terminal.hang_up()
        with pytest.raises(OSError, match="card terminal"):
            await it.driver.prepare(CENTS)
        result = await it.driver.pay(attempt)
        assert (result.outcome, result.reason[:8]) == (Outcome.ABORTED, "not sent")
        assert it.troubles == [("card_lost", True)]
        await it.terminal.listen()
        assert (await it.driver.pay(attempt)).outcome is Outcome.PAID
        assert it.troubles == [("card_lost", True), ("card_lost", False)]

    run(talk)


def test_a_silent_terminal_is_no_payment() -> None:
    async def talk(it: Counter) -> None:
        it.terminal.silent = True
        with pytest.raises(OSError, match="no card terminal"):
            await it.driver.prepare(CENTS)

    run(talk, HASTY)


def test_a_wrong_password_is_told() -> None:
    async def talk(it: Counter) -> None:
        wrong = Driver(it.terminal.host, it.terminal.port, lambda reason, on: None, password="123456", times=PATIENT)
        with pytest.raises(OSError, match="password"):
            await wrong.prepare(CENTS)

    run(talk)


@pytest.mark.parametrize("cents", [0, -1, 10**12])
def test_an_absurd_amount_never_reaches_the_terminal(cents: int) -> None:
    async def talk(it: Counter) -> None:
        with pytest.raises(ValueError, match="an amount is 1 to"):
            await it.driver.prepare(cents)
        assert not it.terminal.commands

    run(talk)


def test_what_is_no_terminal_is_no_payment() -> None:
    async def whole() -> None:
        async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(http, "127.0.0.1", 0)
        driver = Driver("127.0.0.1", server.sockets[0].getsockname()[1], lambda reason, on: None, times=HASTY)
        with pytest.raises(OSError, match="no card terminal"):
            await driver.prepare(CENTS)
        server.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", bytes(300), b"\x06\x00\x00\x06\x01\x03abc\x06\x30\x00", b"\xff" * 400]
)
def test_a_stranger_at_the_terminal_harms_nobody(noise: bytes) -> None:
    async def talk(it: Counter) -> None:
        _, writer = await asyncio.open_connection(it.terminal.host, it.terminal.port)
        writer.write(noise)
        await writer.drain()
        writer.close()
        assert (await it.pay())[1].outcome is Outcome.PAID
        assert it.terminal.charged_cents == CENTS

    run(talk)
