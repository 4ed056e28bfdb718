"""A till without its controller goes on selling: to the cent, each voucher once, and all of it is in the books later.

Everything is real but the hardware: broker, controller, the till's node.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from einlass_core import codes
from einlass_sim.till_site import HOUR_CENTS, LOST_CENTS, TillSite

pytestmark = pytest.mark.timeout(200)
BRISK = "show_ms = 500\nalone_ms = 1000\n"
CARD = 50


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 190))


async def drop(site: TillSite, *coins: str) -> None:
    for coin in coins:
        await site.until(lambda coin=coin: site.stand.acceptor.takes(coin), f"the slot is open for {coin}")  # type: ignore[misc]
        assert site.stand.acceptor.insert(coin)


async def rests(site: TillSite) -> None:
    await site.shows("Bitte Parkschein")


async def refused(site: TillSite, code: str, word: str, due: str) -> None:
    """A card that is handed back with a word of why; the sale goes on."""
    await site.stand.scanner.hold(code)
    await site.shows(word)
    await site.shows(due)


async def books(site: TillSite, sales: int) -> dict[str, Any]:
    """When all is told: the controller's books are the devices' truth. Returns the sums of the day."""

    async def told() -> bool:
        account, rows = await site.account(), await site.takings()
        told = (account["taken"], account["given"]) == (site.stand.cents_in, site.stand.cents_out)
        return told and not account["credit"] and not account["change"] and sum(row["sales"] for row in rows) == sales

    await site.until(told, f"the controller knows every coin of {sales} sales")
    account, rows = await site.account(), await site.takings()
    total = {name: sum(row[name] for row in rows) for name in rows[0] if type(rows[0][name]) is int}
    assert account["kept"] == total["coins_cents"]
    assert site.stand.cents_inside == account["kept"] + account["owed"]
    assert site.stand.terminal.charged_cents == total["card_cents"]
    assert not [entry for entry in await site.ledger("alarm") if "till_books" in entry["reason"]]
    return total


def test_cut_off_it_sells_each_voucher_once_and_all_is_told_later(tmp_path: Path) -> None:
    async def scene() -> None:
        async with TillSite(tmp_path, extra=BRISK) as site:
            own = [await site.voucher(to_till=True) for _ in range(2)]
            shared = [await site.voucher(alone="report") for _ in range(2)]
            refuse, not_mine = await site.voucher(alone="refuse"), await site.voucher()
            cars = [await site.drive_in() for _ in range(4)]
            tickets = [site.ticket(code) for code in cars]
            await site.told(len(own) + len(shared))
            await rests(site)
            await site.cut()

            # What cannot be priced is said, and nothing is taken for it.
            await site.stand.scanner.hold(cars[0])
            await site.shows("mit dem QR-Code")
            await rests(site)
            code, second, day, mac = tickets[0].split(".")
            await site.stand.scanner.hold(".".join((code, str(int(second) + 1200), day, mac)))
            await site.shows("Parkschein verändert")
            await rests(site)

            # Its own, one that anybody may use, and those that need the line.
            await site.stand.scanner.hold(tickets[0])
            await site.shows("1,00 EUR")
            await refused(site, refuse, "Gutschein geht nur", "1,00 EUR")
            await refused(site, not_mine, "Gutschein geht nur", "1,00 EUR")
            await refused(site, "FREI24", "Aktionscode", "1,00 EUR")
            await site.stand.scanner.hold(own[0])
            await site.shows("0,50 EUR")
            await drop(site, "EU200A")
            await site.alone(1)
            await rests(site)
            await site.stand.scanner.hold(tickets[1])
            await site.shows("1,00 EUR")
            await refused(site, own[0], "Gutschein schon", "1,00 EUR")
            await site.stand.scanner.hold(shared[0])
            await site.shows("0,50 EUR")
            await drop(site, "EU020A")

            # kill -9 in the middle: the coin comes back, the card is as good as before, and the clock goes on.
            await site.shows("0,20 EUR")
            site.node.kill()
            await site.start_till(linked=False)
            await rests(site)
            await site.until(lambda: site.stand.cents_out == 170, "150 in change, and the coin is back")
            await site.stand.scanner.hold(tickets[1])
            await site.shows("1,00 EUR")
            await refused(site, own[0], "Gutschein schon", "1,00 EUR")
            await site.stand.scanner.hold(shared[0])
            await site.shows("0,50 EUR")
            site.stand.keypad.press("*")
            await site.alone(2)
            await rests(site)

            # One is used elsewhere before anybody has heard that it was used here.
            await site.stand.scanner.hold(tickets[2])
            await site.shows("1,00 EUR")
            await site.stand.scanner.hold(shared[1])
            await site.shows("0,50 EUR")
            await drop(site, "EU050A")
            await site.alone(3)
            desk = {"inc": "d", "payment": 1, "area": "parkplatz"}
            held = await site.call("POST", "/vouchers/hold", {**desk, "number": 1, "code": shared[1]})
            assert held["code"] == "ok"
            elsewhere = await site.call("POST", "/vouchers/hold", {**desk, "number": 2, "code": own[1]})
            assert elsewhere["code"] == "owned_elsewhere"
            uses = [{"serial": site.serials[shared[1]], "value": CARD, "saved_cents": CARD}]
            await site.call("POST", "/vouchers/commit", {"inc": "d", "payment": 1, "uses": uses, "paid_cents": 0})

            await site.mend()
            total = await books(site, 3)
            assert (total["alone"], total["missing_cents"], total["refund_cents"]) == (3, CARD, 0)
            assert (total["total_cents"], total["saved_cents"]) == (3 * CARD, 3 * CARD)
            (claim,) = await site.call("GET", "/parking/claims")
            assert (claim["kind"], claim["cents"], claim["till"]) == ("due", CARD, "kasse")
            (conflict,) = await site.ledger("voucher_conflict")
            assert conflict["voucher"] == site.serials[shared[1]]
            used = await site.call("GET", "/vouchers?state=redeemed")
            wanted = sorted(site.serials[code] for code in (own[0], shared[0], shared[1]))
            assert sorted(item["serial"] for item in used["vouchers"]) == wanted
            await rests(site)

            # With the line back it asks again: what was used alone is used, what was not is good.
            await site.stand.scanner.hold(tickets[3])
            await site.shows("1,00 EUR")
            await refused(site, own[0], "Gutschein schon", "1,00 EUR")
            await site.stand.scanner.hold(own[1])
            await site.shows("0,50 EUR")
            await drop(site, "EU050A")
            total = await books(site, 4)
            assert (total["alone"], total["missing_cents"]) == (3, CARD)

    run(scene)


def test_a_controller_that_does_not_answer_is_waited_for_and_then_done_without(tmp_path: Path) -> None:
    async def scene() -> None:
        async with TillSite(tmp_path, extra=BRISK) as site:
            car = await site.drive_in(90)
            await site.told(0)
            await rests(site)
            site.controller.kill()
            await site.stand.scanner.hold(site.ticket(car))
            await site.shows("2,00 EUR")
            await drop(site, "EU100A", "EU050A")
            await site.shows("1,50 EUR")
            await drop(site, "EU200A")
            await site.alone(1)
            await rests(site)
            await site.stand.scanner.hold(site.ticket(car))  # paid here just now: nothing is due, and it is known
            await site.alone(2)
            await rests(site)
            site.stand.keypad.press("?")
            await site.shows("5,00 EUR")
            await drop(site, "EU200A", "EU200A", "EU100A")
            await site.alone(3)
            site.controller.start()
            await site.healthy()
            total = await books(site, 3)
            assert (total["alone"], total["total_cents"]) == (3, 2 * HOUR_CENTS + LOST_CENTS)
            assert (await site.call("GET", "/parking/claims")) == []
            assert not [entry for entry in await site.ledger("paid") if entry["wrong"]]

            await site.become("pay-and-display")
            await site.told(0)
            await site.shows("Kennzeichen")
            await site.cut()
            site.stand.keypad.press("B-X 1\r")
            await drop(site, "EU200A", "EU050A")
            await site.shows("2,50|bis")
            site.stand.keypad.press("\r")
            await site.alone(4)
            await site.mend()
            total = await books(site, 4)
            assert total["alone"] == 4
            assert (await site.call("GET", "/parking/claims")) == []
            (found,) = await site.call("POST", "/parking/stays/find", {"plate": "B-X 1"})
            (sold,) = [entry for entry in await site.ledger("paid") if entry["what"] == "display"]
            assert (found["paid_cents"], sold["should_cents"]) == (sold["coins_cents"], sold["due_cents"])
            assert codes.digest("B-X 1") not in str(await site.ledger("paid")), "a plate is in no ledger"

    run(scene)
