"""The receipt printer's driver and a printer that draws: what is on the paper, and what the driver says about it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from einlass_core.codes import opaque
from einlass_edge.drivers import escpos
from einlass_edge.drivers.escpos import Feed, Qr, Slip, Text
from einlass_edge.drivers.printer import Outcome, Printed, Times
from einlass_edge.drivers.printer import ReceiptPrinter as Driver
from einlass_edge.drivers.qr_reader import QrReader
from einlass_sim.devices.receipt_printer import ReceiptPrinter

DEADLINE_S = 20.0
CODE = opaque(0x1234_5678_9ABC_DEF0_1234)
TICKET: Slip = (
    Text("Schwimmbad Nord", big=True, align=escpos.CENTRE),
    Text("Größe: 1 Erwachsener, 4,50 €"),
    Qr(CODE),
    Feed(1),
    Text("Danke!", bold=True, align=escpos.RIGHT),
)


class Desk:
    """A printer, its driver and what the driver reported."""

    def __init__(self, printer: ReceiptPrinter, driver: Driver, troubles: list[tuple[str, bool]]) -> None:
        self.printer = printer
        self.driver = driver
        self.troubles = troubles

    async def until(self, true: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end_s, f"never: {what}; {self.troubles}"
            await asyncio.sleep(0.01)

    def trouble(self, reason: str) -> bool:
        """Whether that trouble stands now."""
        return ([on for name, on in self.troubles if name == reason] or [False])[-1]

    async def told(self, reason: str, on: bool = True) -> None:
        await self.until(lambda: self.trouble(reason) == on, f"{reason} {on}")


@contextlib.asynccontextmanager
async def at_desk(
    times: Times | None = None, driver_options: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Desk]:
    troubles: list[tuple[str, bool]] = []
    async with ReceiptPrinter(**options) as printer:
        driver = Driver(
            printer.path, 9600, lambda reason, on: troubles.append((reason, on)),
            times=times or Times(answer_s=10, slip_s=60, poll_s=0.1), **(driver_options or {}),
        )  # fmt: skip
        task = asyncio.create_task(driver.run())
        desk = Desk(printer, driver, troubles)
        try:
            await desk.until(lambda: driver.status is not None, "the first status")
            yield desk
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def run(talk: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        async with at_desk(**options) as desk:
            await talk(desk)

    asyncio.run(asyncio.wait_for(whole(), 60))


def read(picture: Image.Image) -> list[bytes]:
    """What our own reader sees on the slip, held before a camera on a grey counter."""
    frame = Image.new("L", (picture.width + 80, picture.height + 80), 160)
    frame.paste(picture, (40, 40))
    return QrReader().read(frame)


@pytest.mark.parametrize("raster", [False, True], ids=["qr_command", "raster"])
@pytest.mark.parametrize("marks", [True, False], ids=["marks", "no_marks"])
@pytest.mark.parametrize("code_page", ["cp858", "cp1252"])
def test_a_ticket_is_drawn_and_its_code_read_back(raster: bool, marks: bool, code_page: str) -> None:
    async def talk(desk: Desk) -> None:
        assert await desk.driver.print(TICKET) == Printed(Outcome.PRINTED)
        await desk.until(lambda: len(desk.printer.roll.pieces) == 1, "the cut")
        piece = desk.printer.roll.pieces[0]
        assert read(piece.picture) == [CODE.encode()]
        assert [line for line in piece.lines if line] == [
            "Schwimmbad Nord", "Größe: 1 Erwachsener, 4,50 €", "Danke!",
        ]  # fmt: skip
        assert not desk.printer.unknown
        assert desk.troubles == []

    options = {"raster": raster, "marks": marks, "code_page": code_page}
    run(talk, driver_options=options, has_marks=marks, has_qr=not raster)


def test_a_name_cannot_cut_feed_or_clear() -> None:
    evil = "Bobby\x1dV\x00\x1b@\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08\x10\x04\x01 \x1b[2J\u202e\x7f\x00 Tables"

    async def talk(desk: Desk) -> None:
        assert (await desk.driver.print((Text("Anna"), Qr(CODE)))).outcome is Outcome.PRINTED
        expected = list(desk.printer.commands)
        desk.printer.commands.clear()
        cleared = desk.printer.cleared
        assert (await desk.driver.print((Text(evil), Qr(CODE)))).outcome is Outcome.PRINTED
        assert desk.printer.commands == [command for command in expected if command != "GS a"]
        assert desk.printer.cleared == cleared
        assert len(desk.printer.roll.pieces) == 2
        assert desk.printer.roll.pieces[1].lines[0].startswith("Bobby?V??@??")
        assert not desk.printer.unknown

    run(talk)


def test_paper_that_ends_within_a_slip_makes_it_uncertain_and_the_rest_never_comes_out() -> None:
    async def talk(desk: Desk) -> None:
        cleared = desk.printer.cleared
        desk.printer.roll.left_mm = 15
        printed = await desk.driver.print(TICKET)
        assert printed == Printed(Outcome.UNCERTAIN, "paper_out")
        await desk.told("printer_paper_out")
        assert read(desk.printer.roll.hanging()) == []
        # Without paper nothing is begun.
        assert await desk.driver.print(TICKET) == Printed(Outcome.NOT_PRINTED, "paper_out")
        await desk.until(lambda: desk.printer.cleared > cleared, "the buffers are cleared")
        desk.printer.new_roll()
        await desk.told("printer_paper_out", False)
        assert await desk.driver.print(TICKET) == Printed(Outcome.PRINTED)
        torn_off, whole = desk.printer.roll.pieces
        assert read(torn_off.picture) == []
        assert read(whole.picture) == [CODE.encode()]

    run(talk)


def test_a_printer_that_cannot_be_cleared_prints_the_rest_and_the_driver_said_uncertain() -> None:
    async def talk(desk: Desk) -> None:
        desk.printer.roll.left_mm = 15
        assert await desk.driver.print(TICKET) == Printed(Outcome.UNCERTAIN, "paper_out")
        assert len(desk.printer.roll.pieces) == 0
        desk.printer.new_roll()
        await desk.until(lambda: len(desk.printer.roll.pieces) == 2, "the rest of it and the cut")

    run(talk, has_marks=False, driver_options={"marks": False})


@pytest.mark.parametrize("hindrance", ["cover_open", "cutter_jammed"])
def test_a_hindrance_is_reported_before_and_within_a_slip(hindrance: str) -> None:
    async def talk(desk: Desk) -> None:
        def hinder(on: bool) -> None:
            (desk.printer.open_cover if hindrance == "cover_open" else desk.printer.jam_cutter)(on)

        reason = "printer_cover_open" if hindrance == "cover_open" else "printer_failed"
        hinder(True)
        await desk.told(reason)
        assert await desk.driver.print(TICKET) == Printed(Outcome.NOT_PRINTED, hindrance)
        assert desk.printer.roll.hanging().height == 1, "not a single line"
        hinder(False)
        await desk.told(reason, False)
        printing = asyncio.create_task(desk.driver.print(tuple(Text(str(line)) for line in range(200))))
        await desk.until(lambda: desk.printer.lines_printed > 3, "the first lines")
        hinder(True)
        assert await printing == Printed(Outcome.UNCERTAIN, hindrance)
        assert not desk.printer.roll.pieces

    run(talk, line_s=0.02)


def test_little_paper_is_told_and_hinders_nobody() -> None:
    async def talk(desk: Desk) -> None:
        desk.printer.roll.left_mm = 3000
        await desk.told("printer_paper_low")
        assert (await desk.driver.print(TICKET)).outcome is Outcome.PRINTED
        desk.printer.new_roll()
        await desk.told("printer_paper_low", False)

    run(talk)


def test_a_silent_printer_is_lost_and_found_again() -> None:
    async def talk(desk: Desk) -> None:
        desk.printer.silent = True
        assert await desk.driver.print(TICKET) == Printed(Outcome.NOT_PRINTED, "printer_lost")
        await desk.told("printer_lost")
        assert desk.printer.lines_printed == 0
        desk.printer.silent = False
        await desk.told("printer_lost", False)
        assert (await desk.driver.print(TICKET)).outcome is Outcome.PRINTED

    run(talk, times=Times(answer_s=1.0, slip_s=60, poll_s=0.1))


def test_a_printer_that_falls_silent_within_a_slip_leaves_it_uncertain() -> None:
    async def talk(desk: Desk) -> None:
        printing = asyncio.create_task(desk.driver.print(tuple(Text(str(line)) for line in range(200))))
        await desk.until(lambda: desk.printer.lines_printed > 3, "the first lines")
        desk.printer.silent = True
        assert await printing == Printed(Outcome.UNCERTAIN, "printer_lost")

    run(talk, times=Times(answer_s=1.0, slip_s=60, poll_s=0.1), line_s=0.02)


def test_slips_of_two_callers_do_not_mix() -> None:
    async def talk(desk: Desk) -> None:
        slips = [tuple(Text(f"{name}{line}") for line in range(5)) for name in "abc"]
        results = await asyncio.gather(*(desk.driver.print(slip) for slip in slips))
        assert {printed.outcome for printed in results} == {Outcome.PRINTED}
        assert [[line for line in piece.lines if line] for piece in desk.printer.roll.pieces] == [
            [f"{name}{line}" for line in range(5)] for name in "abc"
        ]

    run(talk)


def test_no_printer_there_is_one_trouble_and_no_slip() -> None:
    async def whole() -> None:
        troubles: list[tuple[str, bool]] = []
        driver = Driver("/nowhere/printer", 9600, lambda reason, on: troubles.append((reason, on)))
        task = asyncio.create_task(driver.run())
        end_s = time.monotonic() + DEADLINE_S
        while not troubles:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.01)
        assert await driver.print(TICKET) == Printed(Outcome.NOT_PRINTED, "printer_lost")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert troubles == [("printer_lost", True)]

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_the_simulator_obeys_a_command_that_stands_in_a_picture() -> None:
    printer = ReceiptPrinter()
    for byte in b"\x1dv0\x00\x03\x00\x01\x00" + b"\x10\x05\x02":
        printer.receive(byte)
    assert printer.cleared == 1


PIECES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"\x1b", b"\x1d", b"\x1d(k", b"\x1dv0", b"\x1dV", b"\x1b!", b"\x10\x14", b"\x1ba", b"\x1bt", b"\n"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=15))
def test_any_bytes_are_printed_or_skipped_and_a_slip_comes_out_after_it(pieces: list[bytes]) -> None:
    printer = ReceiptPrinter()
    for byte in b"".join(pieces):
        printer.receive(byte)
    while printer.step():
        pass
    printer.power_cycle()
    done = len(printer.roll.pieces)
    for byte in escpos.encode((Text("Danke"),)):
        printer.receive(byte)
    while printer.step():
        pass
    assert printer.roll.pieces[done].lines[-1] == "Danke"
