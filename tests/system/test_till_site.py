"""A till and the real controller: what is sold is in the books, cent by cent and voucher by voucher."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from einlass_core.codes import digest
from einlass_sim.devices.paper import Cut
from einlass_sim.till_site import HOUR_CENTS, LOST_CENTS, POOL_CENTS, TillSite

pytestmark = pytest.mark.timeout(150)
BRISK = "show_ms = 500\n"


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 140))


async def balanced(site: TillSite) -> None:
    """When all is told, the controller's books are the devices' truth."""

    async def told() -> bool:
        account = await site.account()
        at_rest = not account["credit"] and not account["change"]
        return at_rest and (account["taken"], account["given"]) == (site.stand.cents_in, site.stand.cents_out)

    await site.until(told, "the controller knows every coin")
    account, takings = await site.account(), await site.takings()
    assert account["kept"] == sum(row["coins_cents"] for row in takings)
    assert site.stand.cents_inside == account["kept"] + account["owed"]
    assert site.stand.terminal.charged_cents == sum(row["card_cents"] for row in takings)
    assert not [entry for entry in await site.ledger("paid") if entry["wrong"]]
    assert not [entry for entry in await site.ledger("alarm") if "till_books" in entry["reason"]]


async def drop(site: TillSite, *coins: str) -> None:
    for coin in coins:
        await site.until(lambda coin=coin: site.stand.acceptor.takes(coin), f"the slot is open for {coin}")  # type: ignore[misc]
        assert site.stand.acceptor.insert(coin)


async def sales(site: TillSite, count: int) -> None:
    async def told() -> bool:
        told: int = sum(row["sales"] for row in await site.takings())
        return told == count

    await site.until(told, f"{count} sales")


async def printed(site: TillSite, text: str, not_code: str = "") -> Cut:
    """The slip that says so; not_code: and is not that ticket."""

    def fitting() -> list[Cut]:
        return [it for it in site.stand.printer.roll.pieces if text in "\n".join(it.lines) and it.codes != [not_code]]

    await site.until(fitting, f"a slip that says {text!r}")
    return fitting()[-1]


def test_coins_card_and_vouchers_pay_stays_and_each_is_in_the_books_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with TillSite(tmp_path, extra=BRISK) as site:
            await site.stand.scanner.hold(await site.drive_in())
            await site.shows("1,00 EUR")
            await drop(site, "EU050A", "EU200A")
            await sales(site, 1)
            await balanced(site)
            assert site.stand.cents_out == 250 - HOUR_CENTS

            await site.shows("Bitte Parkschein")
            first, second = await site.voucher(), await site.voucher()
            await site.stand.scanner.hold(await site.drive_in())
            await site.shows("1,00 EUR")
            await site.stand.scanner.hold(first)
            await site.shows("0,50 EUR")
            await drop(site, "EU020A")
            await site.shows("0,20 EUR")
            site.stand.keypad.press("*")
            await sales(site, 2)
            await balanced(site)

            await site.shows("Bitte Parkschein")
            third = await site.drive_in()
            await site.stand.scanner.hold(third)
            await site.shows("1,00 EUR")
            await site.stand.scanner.hold(first)
            await site.shows("Gutschein schon")
            await site.shows("1,00 EUR")  # until there is a price again no card is taken
            await site.stand.scanner.hold(second)
            await site.shows("0,50 EUR")
            await drop(site, "EU010A")
            await site.shows("0,10 EUR")
            site.stand.keypad.press("\x1b")
            await site.shows("Bitte Parkschein")
            await balanced(site)
            await site.stand.scanner.hold(await site.drive_in())
            await site.shows("1,00 EUR")
            await site.stand.scanner.hold(second)
            await site.shows("0,50 EUR")
            await drop(site, "EU050A")
            await sales(site, 3)
            await balanced(site)

            await site.shows("Bitte Parkschein")
            await site.stand.scanner.hold(await site.drive_in())
            await site.shows("1,00 EUR")
            await site.stand.scanner.hold(await site.voucher("minutes", 60))
            await site.shows("Gutschein mehr wert")  # an hour, for half an hour
            site.stand.keypad.press("\x1b")
            await site.shows("1,00 EUR")
            await site.stand.scanner.hold(await site.voucher("minutes", 60))
            await site.shows("Gutschein mehr wert")
            await site.until(lambda: not site.stand.acceptor.takes("EU100A"), "the slot is shut meanwhile")
            site.stand.keypad.press("\r")
            await sales(site, 4)
            await balanced(site)
            used = [entry for entry in await site.ledger("paid") if entry["vouchers"]]
            assert len(used) == 3
            assert len({serial for entry in used for serial in entry["vouchers"]}) == 3
            held = await site.call("GET", "/vouchers?state=held")
            assert held["vouchers"] == []

    run(scene)


def test_every_kind_of_machine_sells_what_the_controller_then_knows(tmp_path: Path) -> None:
    async def scene() -> None:
        async with TillSite(tmp_path, extra=BRISK) as site:
            await site.shows("Bitte Parkschein")
            site.stand.keypad.press("?")
            await site.shows("5,00 EUR")
            await drop(site, "EU200A", "EU200A", "EU100A")
            await sales(site, 1)
            await balanced(site)
            (code,) = (await printed(site, "Ersatz")).codes
            assert [row["total_cents"] for row in await site.takings()] == [LOST_CENTS]
            await site.shows("Bitte Parkschein")
            await site.stand.scanner.hold(code)
            await site.shows("Bezahlt")  # it is a ticket of this car park, and nothing more is due
            await sales(site, 2)

            await site.become("pay-and-display")
            await site.shows("Kennzeichen")
            site.stand.keypad.press("B-X 1\r")
            await drop(site, "EU200A", "EU050A")
            await site.shows("2,50|bis")
            site.stand.keypad.press("\r")
            await sales(site, 3)
            await balanced(site)
            (row,) = [row for row in await site.takings() if row["what"] == "display"]
            assert row["coins_cents"] == site.stand.cents_inside - LOST_CENTS
            assert "Kennzeichen B-X 1" in (await printed(site, "Parken bis")).lines

            await site.become("desk", (("1", "bad", "Bad"),))
            await site.shows("1=Bad")
            site.stand.keypad.press("1")
            await site.shows("4,50 EUR")
            site.stand.keypad.press("*")
            await sales(site, 4)
            await balanced(site)
            (code,) = (await printed(site, "Vor den Leser halten", not_code=code)).codes
            issued = [entry for entry in await site.ledger("issued") if entry.get("by") == "till"]
            assert [row["digest"] for row in issued[-1]["rows"]] == [digest(code)]
            assert site.stand.terminal.charged_cents == POOL_CENTS

    run(scene)
