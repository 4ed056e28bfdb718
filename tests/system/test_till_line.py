"""Sales at a till that is a process of its own: what the customer reads, gets and pays, and what the books say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from einlass_core.codes import digest
from einlass_sim.brokers import Broker, start_broker
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
