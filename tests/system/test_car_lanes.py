"""Entry, exit and sign of a car park: real nodes and a real broker, simulated devices, a controller by a table."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from car_peer import AGAIN_S, LANE, CarBench, car_bench
from einlass_core import codes
from einlass_edge.drivers.qr_reader import QrReader
from einlass_sim.barrier import DOWN, LOOP_B, UP, DroveIn, Manner, WentBack
from einlass_sim.devices.barrier_lane import COIL_LOWER

pytestmark = pytest.mark.needs("mosquitto")

ENTRY = LANE + '[entry]\nserial = "scanner"\n[entry.ticket]\nserial = "printer"\ntitle = "Parkplatz Freibad"\n'
EXIT = LANE + 'exit_cut_off = "{policy}"\nask_ms = 1000\n[exit]\nserial = "scanner"\n'
SIGN = '[sign]\nzone = "parkplatz"\nserial = "display"\ntitle = "Parkplatz Nord"\n'
CONTRACT = codes.opaque(77)
TICKET = codes.opaque(78)


def run(directory: Path, config: str, talk: Callable[[CarBench], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with car_bench(directory, config) as it:
            await talk(it)

    asyncio.run(asyncio.wait_for(whole(), 100))


def test_a_driver_presses_takes_the_ticket_and_drives_in(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        await it.says("Bitte Taste drücken")
        await it.press()
        car = asyncio.create_task(it.sim.car_comes("ABC"))
        await it.at_the_line("ABC")
        assert not it.peer.asks, "a button that nobody in a car presses asks for nothing"
        await it.issue(1)
        await it.says("entnehmen")
        assert it.plant.limit(DOWN), "the boom waits for the ticket to be taken"
        slip = await it.mouth.take(20)
        assert slip is not None
        code = it.peer.asks[0]["code"]
        assert slip.codes == [code]
        assert codes.read(code.encode()) == code
        counter = Image.new("L", (slip.picture.width + 80, slip.picture.height + 80), 160)
        counter.paste(slip.picture, (40, 40))
        assert QrReader().read(counter) == [code.encode()]
        assert any("Parkplatz" in line for line in slip.lines)
        assert isinstance(await car, DroveIn)
        await it.until(lambda: it.peer.kinds() == ["boot", "released", "passed"], "both facts")
        assert it.peer.events[-1]["account"]["balance"] == 1
        assert it.peer.of("released")[0]["nonce"] == it.peer.asks[0]["nonce"]
        await it.until(lambda: it.plant.limit(DOWN), "closed behind it")
        assert code not in it.node.log_path.read_text()

        # A contract parker shows a code and needs no paper.
        second = asyncio.create_task(it.sim.car_comes("DEF"))
        await it.at_the_line("DEF")
        await it.scanner.hold(CONTRACT)
        assert isinstance(await second, DroveIn)
        await it.until(lambda: it.peer.kinds().count("passed") == 2, "counted")
        assert it.mouth.hanging is None

        it.peer.otherwise["entry"] = "zone_full"
        third = asyncio.create_task(it.sim.car_comes("GHI"))
        await it.at_the_line("GHI")
        await it.issue(3)
        await it.says("Besetzt")
        assert len(it.printer.roll.pieces) == 1
        assert it.plant.limit(DOWN)
        assert not third.done()
        third.cancel()

    run(tmp_path, ENTRY, talk)


def test_a_ticket_that_is_left_counts_nobody_and_is_the_next_ones(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        car = asyncio.create_task(it.sim.car_comes("ABC", patience_ms=2000))
        await it.at_the_line("ABC")
        await it.issue(1)
        await it.until(lambda: it.mouth.hanging is not None, "printed")
        assert isinstance(await car, WentBack)
        # Somebody on foot does not open it by pulling at the paper: the car is gone.
        await it.until(lambda: "unused" in it.peer.kinds(), "the place comes back")
        assert it.peer.events[-1]["account"]["balance"] == 0
        assert it.plant.limit(DOWN)

        second = asyncio.create_task(it.sim.car_comes("DEF"))
        await it.at_the_line("DEF")
        await it.issue(2)
        assert it.peer.asks[1]["code"] == it.peer.asks[0]["code"]
        assert it.peer.asks[1]["nonce"] != it.peer.asks[0]["nonce"]
        await it.until(lambda: it.peer.kinds().count("released") == 2, "released again")
        slip = await it.mouth.take(5)
        assert slip is not None
        assert slip.codes == [it.peer.asks[0]["code"]]
        assert isinstance(await second, DroveIn)
        assert len(it.printer.roll.pieces) == 1

    run(tmp_path, ENTRY.replace("[entry]", "release_ms = 3000\n[entry]"), talk)


def test_without_paper_nobody_is_asked_about_and_a_jam_in_the_ticket_lets_nobody_in(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        it.printer.roll.left_mm = 0
        it.printer.open_cover(False)  # tells its state
        await it.until(lambda: "printer_paper_out" in it.peer.alarms, "told")
        car = asyncio.create_task(it.sim.car_comes("ABC"))
        await it.at_the_line("ABC")
        await it.press()
        await it.says("Kein Ticket")
        assert not it.peer.asks
        # Enough for half of a ticket: it stops in the middle.
        it.printer.new_roll(20)
        await it.until(lambda: "printer_paper_out_over" in it.peer.alarms, "a new roll")
        await it.issue(1)
        await it.until(lambda: "ticket_not_printed" in it.peer.alarms, "told")
        await it.until(lambda: "unused" in it.peer.kinds(), "nothing was counted")
        assert it.plant.limit(DOWN)
        assert it.peer.events[-1]["account"]["balance"] == 0
        it.printer.new_roll()
        await it.until(lambda: it.peer.alarms[-1] == "printer_paper_out_over", "a whole roll")
        await it.issue(2)
        assert it.peer.asks[1]["code"] != it.peer.asks[0]["code"]
        slip = await it.mouth.take(20)
        assert slip is not None
        assert isinstance(await car, DroveIn)

    run(tmp_path, ENTRY.replace("[entry]", "release_ms = 3000\n[entry]"), talk)


def test_cut_off_it_prints_and_lets_in_from_its_lease(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        it.peer.ask_for_a_status()
        await it.until(lambda: bool(it.peer.statuses), "a status")
        it.peer.lend()
        await it.until(lambda: "limit" in it.peer.kinds(), "the lease is taken")
        await asyncio.to_thread(it.broker.kill)
        await it.until(lambda: "link_down" in it.node.log_path.read_text(), "cut off")
        car = asyncio.create_task(it.sim.car_comes("ABC"))
        await it.at_the_line("ABC")
        await it.press()
        slip = await it.mouth.take(20)
        assert slip is not None
        assert isinstance(await car, DroveIn)
        await asyncio.to_thread(it.broker.start)
        await it.until(lambda: it.peer.kinds() == ["boot", "limit", "released", "passed"], "told afterwards")
        assert it.peer.of("released")[0]["digest"] == codes.digest(slip.codes[0])
        assert it.peer.of("released")[0]["reason"] == "leased"
        assert not it.peer.asks

    run(tmp_path, ENTRY, talk)


def test_the_exit_asks_shows_what_is_due_and_closes_behind_the_car(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        it.peer.answers[f"exit {TICKET}"] = ("payment_due", {"amount_cents": 450})
        # It stands under the boom for a while on its way out.
        car = asyncio.create_task(it.sim.car_comes("ABC", Manner.STALL))
        await it.at_the_line("ABC")
        await it.scanner.hold(TICKET)
        await it.says("4,50 €")
        assert it.plant.limit(DOWN)
        it.peer.answers[f"exit {TICKET}"] = ("ok_exit", {})
        while not it.plant.loop_occupied(LOOP_B):
            await it.scanner.hold(TICKET)
            await asyncio.sleep(AGAIN_S)
        while it.plant.loop_occupied(LOOP_B):
            assert not it.sim.board.coils[COIL_LOWER]
            await asyncio.sleep(0.01)
        assert isinstance(await car, DroveIn)
        await it.until(lambda: it.peer.kinds() == ["boot", "exit", "passed"], "both facts")
        left, passed = it.peer.events[1:]
        assert left["digest"] == codes.digest(TICKET)
        assert (passed["side"], passed["nonce"]) == ("exit", left["nonce"])
        assert passed["account"]["balance"] == -1
        await it.until(lambda: it.plant.limit(DOWN), "closed")
        await it.says("Bitte Ticket zeigen")
        it.peer.ask_for_a_status()
        await it.until(lambda: bool(it.peer.statuses), "a status")
        assert it.peer.statuses[-1]["cut_off"] == "secure", "an exit asks for no places"

        # Nobody answers: out, by the lane's own policy, and told.
        it.peer.answering = False
        second = asyncio.create_task(it.sim.car_comes("DEF"))
        await it.at_the_line("DEF")
        await it.scanner.hold(CONTRACT)
        assert isinstance(await second, DroveIn)
        await it.until(lambda: it.peer.kinds()[3:] == ["exit", "passed"], "told")
        assert it.peer.events[3]["reason"] == "open"
        await it.until(lambda: it.plant.limit(DOWN), "closed again")

        it.sim.press_emergency(True)
        await it.until(lambda: it.plant.limit(UP), "an emergency raises it")
        await it.until(lambda: "emergency" in it.peer.kinds(), "and is told")

    run(tmp_path, EXIT.replace("{policy}", "open"), talk)


def test_a_secure_exit_keeps_whom_nobody_answers_for(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        it.peer.answering = False
        car = asyncio.create_task(it.sim.car_comes("ABC"))
        await it.at_the_line("ABC")
        await it.scanner.hold(TICKET)
        await it.says("Bitte Personal")
        await it.until(lambda: it.peer.kinds() == ["boot", "given_up"], "given up")
        await asyncio.to_thread(it.broker.kill)
        await it.until(lambda: "link_down" in it.node.log_path.read_text(), "cut off")
        await it.scanner.hold(CONTRACT)
        await asyncio.to_thread(it.broker.start)
        await it.until(lambda: it.peer.kinds() == ["boot", "given_up", "refused"], "refused alone")
        assert it.plant.limit(DOWN)
        it.peer.answering = True
        it.peer.otherwise["exit"] = "ok_exit"
        while not it.plant.loop_occupied(LOOP_B):
            await it.scanner.hold(TICKET)
            await asyncio.sleep(AGAIN_S)
        assert isinstance(await car, DroveIn)

    run(tmp_path, EXIT.replace("{policy}", "secure"), talk)


def test_the_sign_shows_what_it_was_told(tmp_path: Path) -> None:
    async def talk(it: CarBench) -> None:
        await it.says("---")
        places = {"zone": "parkplatz", "free": 12, "open": True, "about": False}
        it.peer.send("places", **places)
        await it.says("Frei 12")
        assert it.display.lines[0].strip() == "Parkplatz Nord"
        it.peer.send("places", **{**places, "zone": "becken", "free": 99})
        it.peer.send("places", **{**places, "about": True})
        await it.says("Frei ca. 12")
        it.peer.send("places", **{**places, "free": 0})
        await it.says("Besetzt")
        it.peer.send("places", **{**places, "open": False})
        await it.says("Geschlossen")
        await it.until(lambda: bool(it.peer.statuses), "it says that it is there")

    run(tmp_path, SIGN, talk)
