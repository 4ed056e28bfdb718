"""Runs the golden cases that stand beside a tariff."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from einlass_controller.tariffs import instant_of
from einlass_tariff.book import Book
from einlass_tariff.buy import buy
from einlass_tariff.cases import read_cases
from einlass_tariff.fee import fee
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.result import MINUTES_CARD, Card, Fee, Payment, Stay


def stay_of(book: Book, case: dict[str, Any]) -> Stay:
    """The question that a case asks."""
    entry_s, exit_s = (instant_of(case[name], book.days) for name in ("from", "to"))
    card = Card(MINUTES_CARD, book.versions[0].voucher.seconds // 60)
    paid: tuple[Payment, ...] = ()
    if "paid_cents" in case:
        paid_at = instant_of(case["paid_at"], book.days) if "paid_at" in case else None
        paid = (Payment(case["paid_cents"], paid_at),)
    return Stay(
        entry_s, exit_s, (card,) * case.get("vouchers", 0), case.get("pass", ""), case.get("ticket", ""),
        case.get("lost_ticket", False), ((entry_s, exit_s),) if case.get("public_code") else (), paid,
    )  # fmt: skip


def failures(book: Book, path: Path) -> list[str]:
    """What does not come out as the cases in this file say; nothing when there is no such file."""
    if not path.exists():
        return []
    try:
        golden = read_cases(path.read_text(encoding="utf-8"))
    except TariffError as error:
        raise TariffError([replace(one, path=f"{path.name}: {one.path}") for one in error.problems]) from error
    found = []
    for case in golden.cases:
        try:
            got = fee(book, stay_of(book, case))
        except StayError as error:
            found.append(f"{case['id']}: {error}")
            continue
        found += _differences(case, got)
    for case in golden.buys:
        entry_s = instant_of(case["from"], book.days)
        try:
            bought = buy(book, Stay(entry_s, entry_s, pass_name=case.get("pass", "")), case["cents"])
        except StayError as error:
            found.append(f"{case['id']}: {error}")
            continue
        if bought.until_s != instant_of(case["until"], book.days):
            until = book.days.local(bought.until_s)
            found.append(f"{case['id']}: lasts until {until:%Y-%m-%dT%H:%M}, not {case['until']} ({case['why']})")
    return found


def _differences(case: dict[str, Any], got: Fee) -> list[str]:
    found = []
    if got.due_cents != case["fee_cents"]:
        found.append(f"{case['id']}: {got.due_cents} cents, not {case['fee_cents']} ({case['why']})")
    used = case.get("vouchers_used")
    if used is not None and got.vouchers_used != used:
        found.append(f"{case['id']}: uses {got.vouchers_used} vouchers, not {used} ({case['why']})")
    return found
