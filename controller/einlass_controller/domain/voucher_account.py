"""What a partner's vouchers came to: the account of a month, and the figures a trade association asks for."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo

from einlass_controller.domain.hours import local_instant
from einlass_controller.domain.vouchers import (
    BLOCKED,
    EXPIRED,
    MINUTES,
    PREPAID,
    PRINTED,
    RETURNED,
    USED,
    VOIDED,
    Lot,
    Voucher,
    seen_as,
)

MONTH_PATTERN = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
MINUTE_MS = 60_000
PERCENT = 100


@dataclass(slots=True)
class LotAccount:
    """One lot in one month. minutes: of vouchers worth minutes. saved_cents: what they took off, as tills reported it.

    unreported: used ones whose till did not say what they took off. unused: could still be used when the month ended.
    void: blocked or voided. due_cents: the partner owes it; owed_cents: paid before, and not used yet.
    """

    lot: Lot
    given: int = 0
    used: int = 0
    minutes: int = 0
    saved_cents: int = 0
    unreported: int = 0
    unused: int = 0
    expired: int = 0
    void: int = 0
    returned: int = 0
    settled: int = 0
    due_cents: int = 0
    owed_cents: int = 0


@dataclass(slots=True)
class Statistics:
    """Vouchers used in a time, by place and local time. delays: minutes from handing out to use, half and nine tenths.

    given: handed out until the end of that time (without those given back or void), used_of_given: of these.
    """

    used: int = 0
    minutes: int = 0
    saved_cents: int = 0
    by_area: Counter[str] = field(default_factory=Counter)
    by_hour: Counter[int] = field(default_factory=Counter)
    by_weekday: Counter[int] = field(default_factory=Counter)
    by_lot: Counter[int] = field(default_factory=Counter)
    given: int = 0
    used_of_given: int = 0
    delay_median_minutes: int | None = None
    delay_most_minutes: int | None = None

    @property
    def used_percent(self) -> int | None:
        """How many of a hundred that were handed out have been used; None: none was handed out."""
        return None if not self.given else (self.used_of_given * PERCENT + self.given // 2) // self.given


def month_bounds(month: str, zone: tzinfo) -> tuple[int, int]:
    """First instant of a month such as 2026-05, and the first of the next one, by the site's clocks."""
    year, number = int(month[:4]), int(month[5:])
    following = date(year + number // 12, number % 12 + 1, 1)
    return local_instant(date(year, number, 1), 0, zone), local_instant(following, 0, zone)


def account(lots: Mapping[int, Lot], vouchers: Iterable[Voucher], month: str, first_ms: int, until_ms: int, now_ms: int
            ) -> list[LotAccount]:  # fmt: skip
    """A partner's account of a month, lot by lot. What was settled in a month stays in it, whenever it was used."""
    found: dict[int, LotAccount] = {}
    seen_ms = min(until_ms - 1, now_ms)
    for item in vouchers:
        line = found.get(item.lot)
        if line is None:
            line = found[item.lot] = LotAccount(lots[item.lot])
        _add(line, item, month, first_ms, until_ms, seen_ms)
    for line in found.values():
        lot = line.lot
        if lot.terms == PREPAID:
            line.due_cents, line.owed_cents = line.given * lot.price_cents, line.unused * lot.price_cents
        else:
            line.due_cents = line.used * lot.price_cents if lot.price_cents else line.saved_cents
    return [found[number] for number in sorted(found)]


def _add(line: LotAccount, item: Voucher, month: str, first_ms: int, until_ms: int, seen_ms: int) -> None:
    given_ms, used_ms = item.activated_ms, item.used_ms
    if given_ms is not None and first_ms <= given_ms < until_ms:
        line.given += 1
    mine = item.settled == month if item.settled else used_ms is not None and first_ms <= used_ms < until_ms
    if item.state in USED and mine:
        line.used += 1
        line.settled += bool(item.settled)
        line.minutes += item.used_value if line.lot.kind == MINUTES else 0
        line.saved_cents += item.saved_cents or 0
        line.unreported += item.saved_cents is None
    state = seen_as(item, line.lot, seen_ms)
    if given_ms is None or given_ms >= until_ms or state == PRINTED:
        return
    if state in USED:
        line.unused += used_ms is not None and used_ms >= until_ms
    else:
        line.expired += state == EXPIRED
        line.void += state in (BLOCKED, VOIDED)
        line.returned += state == RETURNED
        line.unused += state not in (EXPIRED, BLOCKED, VOIDED, RETURNED)


def statistics(
    lots: Mapping[int, Lot], vouchers: Iterable[Voucher], from_ms: int, until_ms: int, zone: tzinfo
) -> Statistics:
    """Figures of the time from_ms .. until_ms."""
    found = Statistics()
    delays: list[int] = []
    for item in vouchers:
        given_ms, used_ms = item.activated_ms, item.used_ms
        is_used = item.state in USED and used_ms is not None and used_ms < until_ms
        if given_ms is not None and given_ms < until_ms and item.state not in (RETURNED, VOIDED):
            found.given += 1
            found.used_of_given += is_used
        if not is_used or used_ms is None or used_ms < from_ms:
            continue
        local = datetime.fromtimestamp(used_ms / 1000, UTC).astimezone(zone)
        found.used += 1
        found.by_area[item.area] += 1
        found.by_hour[local.hour] += 1
        found.by_weekday[local.weekday()] += 1
        found.by_lot[item.lot] += 1
        found.minutes += item.used_value if lots[item.lot].kind == MINUTES else 0
        found.saved_cents += item.saved_cents or 0
        if given_ms is not None:
            delays.append(max(0, used_ms - given_ms) // MINUTE_MS)
    delays.sort()
    if delays:
        found.delay_median_minutes = delays[(len(delays) - 1) // 2]
        found.delay_most_minutes = delays[(len(delays) * 9 - 1) // 10]
    return found
