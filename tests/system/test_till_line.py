"""Sales at a till that is a process of its own: what the customer reads, gets and pays, and what the books say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from einlass_core.codes import digest
from einlass_sim.brokers import Broker, start_broker
from einlass_sim.devices.card_terminal import Step
from till_line import CONTROLLER, SPENT, USER, run, stay, till_line, voucher

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = start_broker("mosquitto", tmp_path_factory.mktemp("broker"), [CONTROLLER, USER])
    try:
        yield broker
    finally:
        broker.stop()


def test_coins_pay_a_stay_and_change_comes_back(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            await line.shows("Bitte Parkschein")
            await line.begin(stay(1))
            await line.shows("3,00 EUR")
            await line.insert("EU200A", "EU200A")
            sale = await line.sold(1)
            assert (sale["due"], sale["coins"], sale["by_card"]) == (300, 300, 0)
            assert sale["subject"] == digest(stay(1))
            await line.at_rest()
            assert (line.stand.cents_in, line.stand.cents_out) == (400, 100)
            line.balance()
            (slip,) = line.stand.printer.roll.pieces
            text = "\n".join(slip.lines)
            assert "Quittung" in text
            assert "Bis 3 Stunden" in text
            await line.shows("Bitte Parkschein")

    run(scene)


def test_two_vouchers_and_a_coin_pay_a_stay_and_the_vouchers_are_used_with_it(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            await line.begin(stay(1))
            for number, price in ((1, "2,00"), (2, "1,00")):
                await line.stand.scanner.hold(voucher(number))
                await line.shows(price)
            await line.stand.scanner.hold(SPENT)
            await line.shows("Gutschein nicht")
            assert not line.peer.sales()
            await line.insert("EU100A")
            sale = await line.sold(1)
            assert (sale["due"], sale["used"]) == (100, [digest(voucher(1)), digest(voucher(2))])
            await line.at_rest()
            line.balance()

    run(scene)


def test_an_abort_gives_the_coins_back_and_uses_no_voucher(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            await line.begin(stay(1))
            await line.stand.scanner.hold(voucher(1))
            await line.shows("2,00")
            await line.insert("EU050A", "EU010A")
            await line.shows("0,60")
            line.stand.keypad.press("\x1b")
            await line.until(lambda: "aborted" in line.peer.kinds(), "aborted")
            await line.at_rest()
            assert (line.stand.cents_in, line.stand.cents_out) == (60, 60)
            assert not line.peer.sales()
            line.balance()

    run(scene)


def test_a_card_pays_the_rest(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            await line.begin(stay(1))
            await line.insert("EU100A")
            await line.shows("1,00 EUR")
            line.stand.keypad.press("*")
            sale = await line.sold(1)
            assert (sale["coins"], sale["by_card"], line.stand.terminal.charged_cents) == (100, 200, 200)
            await line.at_rest()
            line.balance()

    run(scene)


def test_a_declined_card_leaves_the_sale_open_and_coins_pay_it(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            line.stand.terminal.verdict = 5
            await line.begin(stay(1))
            line.stand.keypad.press("*")
            await line.shows("Karte nicht")
            await line.insert("EU200A", "EU100A")
            sale = await line.sold(1)
            assert (sale["coins"], sale["by_card"]) == (300, 0)
            await line.at_rest()
            line.balance()

    run(scene)


def test_without_paper_the_sale_stands_and_the_slip_comes_when_there_is_paper(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            line.stand.printer.roll.left_mm = 0
            await line.until(lambda: "printer_paper_out" in line.peer.alarms(), "staff are told")
            await line.begin(stay(1))
            await line.insert("EU200A", "EU100A")
            sale = await line.sold(1)
            assert sale["coins"] == 300
            await line.shows("Bitte Parkschein")
            assert not line.stand.printer.roll.pieces
            line.stand.printer.new_roll()
            await line.at_rest()
            (slip,) = [piece for piece in line.stand.printer.roll.pieces if piece.lines]
            assert "Quittung" in "\n".join(slip.lines)
            assert "Zweitausdruck" not in "\n".join(slip.lines)
            line.balance()

    run(scene)


def test_paper_that_ends_within_a_slip_is_printed_again_and_says_so(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            line.stand.printer.roll.left_mm = 12
            await line.begin(stay(1))
            await line.insert("EU200A", "EU100A")
            await line.sold(1)
            cleared = line.stand.printer.cleared
            await line.until(lambda: line.stand.printer.roll.out, "the paper ends")
            await line.until(lambda: line.stand.printer.cleared > cleared, "the rest of the slip is forgotten")
            line.stand.printer.new_roll()
            await line.at_rest()
            assert "Zweitausdruck" in "\n".join(line.stand.printer.roll.pieces[-1].lines)
            line.balance()

    run(scene)


def test_a_silent_terminal_is_settled_when_it_speaks_again(broker: Broker, tmp_path: Path) -> None:
    extra = "show_ms = 500\ncard_ms = 1000\ndoubt_ms = 1000\n"

    async def scene() -> None:
        async with till_line(broker, tmp_path, extra=extra) as line:
            line.stand.terminal.fail(Step.STATUS, hang_up=False)
            await line.begin(stay(1))
            await line.insert("EU100A")
            await line.shows("1,00 EUR")
            line.stand.keypad.press("*")
            await line.until(lambda: line.stand.terminal.charged_cents == 200, "the bank has taken it")
            line.stand.terminal.silent = True
            await line.until(lambda: "card_doubtful" in line.peer.kinds(), "staff are told")
            await line.until(lambda: line.stand.cents_inside == 0, "the coins come back")
            await line.shows("Bitte Parkschein")
            await line.begin(stay(2))
            line.stand.keypad.press("*")
            await line.shows("keine")
            await line.insert("EU200A", "EU100A")
            assert (await line.sold(1))["subject"] == digest(stay(2))
            line.stand.terminal.silent = False
            await line.until(lambda: "card_undone" in line.peer.kinds(), "what it took is given back")
            assert line.stand.terminal.charged_cents == 0
            await line.at_rest()
            line.balance()

    run(scene)


def test_an_empty_hopper_gives_a_paper_for_the_rest(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            line.stand.hoppers[3].coins = 1
            line.stand.hoppers[4].coins = 2
            await line.begin(stay(1))
            await line.insert("EU200A", "EU200A")
            await line.until(lambda: "owed" in line.peer.kinds(), "the rest is owed")
            await line.at_rest()
            assert line.peer.last()["owed"] == 30
            assert line.stand.cents_out == 70
            paper = line.stand.printer.roll.pieces[-1]
            assert [code.rsplit(":", 1)[1] for code in paper.codes] == ["30"]
            assert {"hopper_3_empty", "hopper_4_empty"} <= set(line.peer.alarms())
            line.balance()

    run(scene)


def test_a_full_cash_box_shuts_the_slot_and_a_card_still_pays(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            line.stand.acceptor.capacity = 1
            await line.begin(stay(1))
            await line.insert("EU050A")
            await line.shows("0,50")
            assert not line.stand.acceptor.insert("EU050A")
            await line.until(lambda: "coins_stopped" in line.peer.kinds(), "it is recorded")
            await line.until(lambda: "cash_box_full" in line.peer.alarms(), "staff are told")
            line.stand.keypad.press("*")
            sale = await line.sold(1)
            assert (sale["coins"], sale["by_card"]) == (50, 250)
            await line.at_rest()
            line.balance()

    run(scene)


def test_cut_off_there_is_no_sale_and_a_customer_reads_why(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path, extra="show_ms = 500\nprice_ms = 500\n") as line:
            line.peer.pricing = False
            await line.stand.scanner.hold(stay(1))
            await line.shows("Keine Verbindung")
            await line.shows("Bitte Parkschein")
            line.peer.pricing = True
            await line.stand.scanner.hold(SPENT)
            await line.shows("Unbekannter")
            await line.stand.scanner.hold(b"\xff\x00 nothing")
            await line.shows("Code nicht lesbar")
            await line.begin(stay(2))
            line.stand.keypad.press("\x1b")
            await line.at_rest()
            line.balance()

    run(scene)


def test_pay_and_display_sells_time_for_a_plate(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path, kind="pay-and-display") as line:
            await line.shows("Kennzeichen")
            line.stand.keypad.press("b-x 12x\x083")
            await line.shows("B-X 123")
            line.stand.keypad.press("\r")
            await line.shows("0,00|bis")
            await line.insert("EU100A", "EU010A")
            await line.shows("1,10|bis")
            line.stand.keypad.press("\r")
            sale = await line.sold(1)
            assert (sale["what"], sale["due"], sale["subject"]) == ("display", 100, digest("BX123"))
            await line.at_rest()
            assert line.stand.cents_out == 10
            text = "\n".join(line.stand.printer.roll.pieces[-1].lines)
            assert "Parkschein" in text
            assert "B-X 123" in text
            line.balance()

    run(scene)


def test_a_desk_sells_a_pool_ticket_and_prints_its_code(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        products = (("1", "erwachsene", "Erwachsene"), ("2", "kinder", "Kinder"))
        async with till_line(broker, tmp_path, kind="desk", products=products) as line:
            await line.shows("1=Erwachsene")
            line.stand.keypad.press("#2")
            await line.shows("To pay")
            await line.insert("EU200A", "EU200A")
            sale = await line.sold(1)
            assert (sale["what"], sale["subject"]) == ("pool", digest("kinder"))
            await line.at_rest()
            slip = line.stand.printer.roll.pieces[-1]
            (code,) = slip.codes
            assert digest(code) == sale["code"]
            assert "Kinder" in "\n".join(slip.lines)
            line.balance()

    run(scene)


def test_a_hopper_reset_in_the_middle_is_not_paid_twice_and_staff_are_told(broker: Broker, tmp_path: Path) -> None:
    async def scene() -> None:
        async with till_line(broker, tmp_path) as line:
            hopper = line.stand.hoppers[3]
            hopper._coin_s = 0.3
            await line.begin(stay(1))
            await line.insert("EU200A")
            await line.shows("2,00 EUR")
            line.stand.keypad.press("\x1b")
            await line.until(lambda: hopper.fallen == 1, "the first of four coins falls")
            line.node.kill()
            hopper.reset()
            fallen = hopper.fallen
            await line.start()
            await line.until(lambda: "owed" in line.peer.kinds(), "what nobody can know is on a paper")
            await line.until(lambda: "payout_uncertain" in line.peer.alarms(), "staff are told")
            assert hopper.fallen == fallen
            account = line.peer.last()
            assert account["owed"] == 200 - account["given"]
            await line.shows("Bitte Parkschein")
            await line.begin(stay(2))
            await line.insert("EU200A", "EU200A")
            await line.sold(1)
            await line.until(lambda: hopper.fallen == fallen + 2, "the next customer gets coins again")

    run(scene)
