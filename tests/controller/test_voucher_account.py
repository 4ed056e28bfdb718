"""Accounts and figures: what was used when, by the site's clocks; what is due, what is owed."""

import csv
import io
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einlass_controller import account_files
from einlass_controller.domain.voucher_account import account, month_bounds, statistics
from einlass_controller.domain.vouchers import Lot, Partner, Voucher

BERLIN = ZoneInfo("Europe/Berlin")
MAY = month_bounds("2026-05", BERLIN)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


def lot(number: int = 1, **more: Any) -> Lot:
    return Lot(number, "baker", **{"kind": "minutes", "value": 60, "medium": "card", **more}, first=1, last=99, made=99)


def voucher(serial: int, state: str, given: str = "", used: str = "", **more: Any) -> Voucher:
    times: dict[str, Any] = {"activated_ms": at(given) if given else None, "used_ms": at(used) if used else None}
    return Voucher(serial, more.pop("lot", 1), "d", "s", 0, "baker", state, **times, **more)


def may(vouchers: list[Voucher], known: Lot, now: str = "2026-07-01") -> Any:
    (line,) = account({known.id: known}, vouchers, "2026-05", *MAY, at(now))
    return line


def test_a_month_is_the_sites_own_also_when_clocks_change() -> None:
    assert (at("2026-05-01"), at("2026-06-01")) == MAY
    assert month_bounds("2026-12", BERLIN)[1] == at("2027-01-01")
    first, until = month_bounds("2026-03", BERLIN)
    assert until - first == (31 * 24 - 1) * 3_600_000
    first, until = month_bounds("2026-10", BERLIN)
    assert until - first == (31 * 24 + 1) * 3_600_000


def test_what_stands_in_an_account() -> None:
    found = may(
        [
            voucher(1, "printed"),
            voucher(2, "activated", "2026-04-03"),
            voucher(3, "activated", "2026-06-01"),  # given later
            voucher(4, "redeemed", "2026-05-01", "2026-05-31T23:59:59.999", used_value=60, saved_cents=150),
            voucher(5, "redeemed", "2026-05-02", "2026-06-01", used_value=60, saved_cents=150),  # used later
            voucher(6, "redeemed", "2026-04-02", "2026-05-01", used_value=30),
            voucher(7, "settled", "2026-04-02", "2026-04-30", settled="2026-05", used_value=60, saved_cents=100),
            voucher(8, "settled", "2026-04-02", "2026-05-02", settled="2026-06", used_value=60, saved_cents=100),
            voucher(9, "voided", "2026-05-02"),
            voucher(10, "blocked", "2026-05-02"),
            voucher(11, "returned", "2026-05-02"),
            voucher(12, "held", "2026-05-02"),
        ],
        lot(price_cents=80),
    )
    assert (found.given, found.used, found.settled) == (6, 3, 1)
    assert (found.minutes, found.saved_cents, found.unreported) == (150, 250, 1)
    assert (found.unused, found.void, found.returned, found.expired) == (3, 2, 1, 0)
    assert (found.due_cents, found.owed_cents) == (240, 0)


@pytest.mark.parametrize(
    ("terms", "price", "due", "owed"), [("on_use", 80, 80, 0), ("on_use", 0, 150, 0), ("prepaid", 80, 160, 80)]
)
def test_terms(terms: str, price: int, due: int, owed: int) -> None:
    used = voucher(1, "redeemed", "2026-05-01", "2026-05-02", saved_cents=150)
    found = may([used, voucher(2, "activated", "2026-05-01")], lot(terms=terms, price_cents=price))
    assert (found.due_cents, found.owed_cents) == (due, owed)


def test_a_voucher_is_expired_only_from_the_month_in_which_it_ran_out() -> None:
    item = voucher(1, "activated", "2026-04-01")
    assert may([item], lot(valid_until_ms=at("2026-05-20"))).expired == 1
    assert may([item], lot(valid_until_ms=at("2026-06-20"))).unused == 1, "in May it could still be used"
    assert may([item], lot(valid_until_ms=at("2026-05-20")), "2026-05-10").unused == 1, "it is the 10th now"


@given(st.lists(st.tuples(st.sampled_from(["4", "5", "6"]), st.sampled_from(["", "5", "6", "7"])), max_size=12))
def test_every_used_voucher_stands_in_exactly_one_month(rows: list[tuple[str, str]]) -> None:
    """Settled or not: over all months none is missing and none is there twice."""
    items = [
        voucher(n, "settled" if settled else "redeemed", f"2026-0{used}-01", f"2026-0{used}-02",
                settled=f"2026-0{settled}" if settled else "")
        for n, (used, settled) in enumerate(rows)
    ]  # fmt: skip
    months = [f"2026-0{number}" for number in range(3, 9)]
    total = 0
    for month in months:
        lines = account({1: lot()}, items, month, *month_bounds(month, BERLIN), at("2026-12-01"))
        total += sum(line.used for line in lines)
    assert total == len(rows)


def test_figures_by_place_and_local_time() -> None:
    items = [
        voucher(1, "redeemed", "2026-05-04T10:00", "2026-05-04T10:30", area="market", saved_cents=100, used_value=60),
        voucher(2, "redeemed", "2026-05-04T10:00", "2026-05-05T10:59:59", area="market"),
        voucher(3, "settled", "2026-05-04T10:00", "2026-05-10T23:00", area="pool"),
        voucher(4, "activated", "2026-05-04"),
        voucher(5, "redeemed", "2026-04-01", "2026-04-02", area="pool"),  # before
        voucher(6, "voided", "2026-05-04"),
        voucher(7, "printed"),
    ]
    found = statistics({1: lot()}, items, *MAY, BERLIN)
    assert (found.used, found.minutes, found.saved_cents) == (3, 60, 100)
    assert found.by_area == {"market": 2, "pool": 1}
    assert found.by_hour == {10: 2, 23: 1}
    assert found.by_weekday == {0: 1, 1: 1, 6: 1}
    assert (found.given, found.used_of_given, found.used_percent) == (5, 4, 80)
    assert (found.delay_median_minutes, found.delay_most_minutes) == (1499, 9420)
    empty = statistics({}, [], *MAY, BERLIN)
    assert (empty.used_percent, empty.delay_median_minutes) == (None, None)
    rows = list(csv.reader(io.StringIO(account_files.statistics_csv(found))))
    assert ["hour", "10", "2"] in rows
    assert ["weekday", "sun", "1"] in rows


def test_an_account_of_many_lots_goes_over_pages() -> None:
    lines = account({n: lot(n) for n in range(1, 91)}, [voucher(n, "activated", "2026-05-01", lot=n)
                    for n in range(1, 91)], "2026-05", *MAY, at("2026-06-01"))  # fmt: skip
    made = account_files.Account(Partner("baker", "Höß " * 40), "2026-05", lines, "Bad", 0, str)
    page = account_files.account_pdf(made)
    assert page == account_files.account_pdf(made)
    assert page.count(b"/Type /Page\n") >= 2
    assert len(account_files.account_csv(made).splitlines()) == 91
    assert account_files.euros(123_456_789) == "1.234.567,89 €"
