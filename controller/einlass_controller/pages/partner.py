"""A partner's own page: its cards, what they came to this month, a voucher to hand out, a lost range to block."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from einlass_controller.api import partners, vouchers
from einlass_controller.api import voucher_models as models
from einlass_controller.api.access import CLIENT_PREFIX, Caller, ControllerOf
from einlass_controller.api.house import now_ms
from einlass_controller.domain.voucher_account import MONTH_PATTERN, account, month_bounds, statistics
from einlass_controller.domain.vouchers import (
    ACTIVATED,
    BLOCKED,
    DIGITAL,
    EXPIRED,
    HELD,
    REDEEMED,
    RETURNED,
    SETTLED,
    VOIDED,
    Lot,
    Partner,
    Voucher,
    seen_as,
)
from einlass_controller.pages.sessions import NeedsSession, Visitor, check_form
from einlass_controller.pages.shell import Accepted, Lang, show
from einlass_controller.pages.words import instant_writer, language_of
from einlass_controller.pages.words_forms import WORDS
from einlass_controller.runtime import Controller
from einlass_controller.setup import ADMIN, PARTNER, READ, SELL, SUPERVISE
from einlass_controller.steps.vouchers import RANGE_MAX, SERIAL_MAX
from einlass_controller.voucher_paper import worth

NAME_LENGTH_MAX = 32
REASON_LENGTH_MAX = 200
FORM_BYTES_MAX = 16 * 1024
BAR_UNITS = 1_000
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

router = APIRouter(include_in_schema=False)
Here = Annotated[Visitor, Depends(NeedsSession(PARTNER, SELL, SUPERVISE, READ))]
Whose = Annotated[str, Query(alias="partner", max_length=NAME_LENGTH_MAX)]
Month = Annotated[str, Query(pattern=rf"^$|{MONTH_PATTERN}")]


@router.get("/partner")
async def page(
    visitor: Here,
    controller: ControllerOf,
    whose: Whose = "",
    month: Month = "",
    lang: Lang = None,
    accept_language: Accepted = None,
) -> Response:
    """How many are out and used, and what that costs."""
    return await _shown(visitor, controller, whose, month, language_of(lang, accept_language))


@router.post("/partner/hand-out", max_body_size=FORM_BYTES_MAX)
async def hand_out(
    request: Request, visitor: Here, controller: ControllerOf, lang: Lang = None, accept_language: Accepted = None
) -> Response:
    """One digital voucher, with its link and its picture. Its code is in this answer and nowhere else."""
    language = language_of(lang, accept_language)
    form = await request.form()
    check_form(request, visitor, form.get("form_token"))
    partner = _partner(visitor, controller, _text(form, "partner"))
    _may(visitor, SELL)
    lot = _text(form, "lot")
    if partner is None or not (lot.isascii() and lot.isdigit() and len(lot) < 10):
        raise HTTPException(422, "no such lot")
    made = await vouchers.hand_out(int(lot), _caller(visitor, partner), controller, request)
    return show(controller, "handed.html", language, "/partner", visitor, made=made, partner=partner.id)


@router.post("/partner/block", max_body_size=FORM_BYTES_MAX)
async def block(
    request: Request, visitor: Here, controller: ControllerOf, lang: Lang = None, accept_language: Accepted = None
) -> Response:
    """A lost or stolen range counts no more."""
    language = language_of(lang, accept_language)
    form = await request.form()
    check_form(request, visitor, form.get("form_token"))
    partner = _partner(visitor, controller, _text(form, "partner"))
    _may(visitor, SELL, SUPERVISE)
    if partner is None:
        raise HTTPException(404, "no such partner")
    numbers = [_text(form, name).strip() for name in ("first", "last")]
    reason = " ".join(_text(form, "reason").split())[:REASON_LENGTH_MAX]
    number = 0 if language == "de" else 1
    said, is_wrong = WORDS["bad_range"][number].format(most=RANGE_MAX), True
    if reason and reason.isprintable() and all(one.isascii() and one.isdigit() and len(one) < 13 for one in numbers):
        first, last = (int(one) for one in numbers)
        if 1 <= first <= last <= SERIAL_MAX and last - first < RANGE_MAX:
            order = models.RangeOrder(do="block", first=first, last=last, reason=reason)
            found = await vouchers.change(order, _caller(visitor, partner), controller)
            counts = {"done": found.done, "already": found.already, "missing": found.missing}
            counts |= {"waiting": len(found.waiting), "refused": sum(found.refused.values())}
            said, is_wrong = WORDS["blocked"][number].format(**counts), False
    return await _shown(visitor, controller, partner.id, "", language, said, is_wrong)


@router.get("/partner/account")
async def settlement(
    visitor: Here,
    controller: ControllerOf,
    month: Annotated[str, Query(pattern=MONTH_PATTERN)],
    whose: Whose = "",
    form: Annotated[Literal["csv", "pdf"], Query(alias="format")] = "csv",
    lang: Lang = None,
    accept_language: Accepted = None,
) -> Response:
    """The account of a month as a file."""
    partner = _known(visitor, controller, whose)
    language: Literal["de", "en"] = "en" if language_of(lang, accept_language) == "en" else "de"
    return await partners.settlement(partner.id, month, _caller(visitor, partner), controller, form, language)


@router.get("/partner/figures")
async def figures(visitor: Here, controller: ControllerOf, whose: Whose = "") -> Response:
    """The statistics of the last 30 days as a file."""
    partner = _known(visitor, controller, whose)
    return await partners.figures(_caller(visitor, partner), controller, partner.id, form="csv")


def _partner(visitor: Visitor, controller: Controller, asked: str) -> Partner | None:
    """The visitor's own; for the house the one that is asked for, or the first."""
    known = controller.live.vouchers.partners
    if PARTNER in visitor.key.scopes:
        return known.get(visitor.partner)
    return known.get(asked) if asked else next(iter(known.values()), None)


def _known(visitor: Visitor, controller: Controller, asked: str) -> Partner:
    found = _partner(visitor, controller, asked)
    if found is None:
        raise HTTPException(404, "no such partner")
    return found


def _may(visitor: Visitor, *scopes: str) -> None:
    if not visitor.key.scopes & {PARTNER, ADMIN, *scopes}:
        raise HTTPException(403, f"this key may only look: it needs the scope {' or '.join(scopes)}")


def _caller(visitor: Visitor, partner: Partner) -> Caller:
    """As the partner, also where the house does it for him: nobody else's vouchers can be meant on his page."""
    return Caller(CLIENT_PREFIX + visitor.key.name, partner.id)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


async def _shown(
    visitor: Visitor,
    controller: Controller,
    whose: str,
    month: str,
    language: str,
    said: str = "",
    is_wrong: bool = False,
) -> Response:
    partner = _partner(visitor, controller, whose)
    known = [] if visitor.partner else list(controller.live.vouchers.partners.values())
    values: dict[str, Any] = {"partner": partner, "known": known, "said": said, "is_wrong": is_wrong}
    if partner is None:
        return show(controller, "partner.html", language, "/partner", visitor, 404 if whose else 200, **values)
    clocks, at_ms = controller.live.clocks, now_ms()
    month = month or datetime.now(UTC).astimezone(clocks).strftime("%Y-%m")
    found = await partners.vouchers_of_partner(controller, partner.id)
    lots = dict(controller.live.vouchers.lots)
    lines = account(lots, found, month, *month_bounds(month, clocks), at_ms)
    from_ms = at_ms - int(timedelta(days=partners.DAYS_SHOWN).total_seconds()) * 1000
    made = statistics(lots, found, from_ms, at_ms, clocks)
    hours = [(hour, made.by_hour[hour]) for hour in range(24) if made.by_hour[hour]]
    values |= {
        "month": month,
        "lots": _lots(controller, partner, found, language, at_ms),
        "sums": {
            name: sum(getattr(line, name) for line in lines)
            for name in ("given", "used", "saved_cents", "due_cents", "unreported")
        },
        "made": made,
        "percent": made.used_percent,
        "hours": _bars(hours),
        "weekdays": _bars([(_DAYS[day], made.by_weekday[day]) for day in range(7)]),
        "areas": _bars([(_area(controller, area, language), count) for area, count in sorted(made.by_area.items())]),
        "bar_units": BAR_UNITS,
        "range_max": RANGE_MAX,
        "may_hand_out": bool(visitor.key.scopes & {PARTNER, ADMIN, SELL}),
        "may_block": bool(visitor.key.scopes & {PARTNER, ADMIN, SELL, SUPERVISE}),
    }
    return show(controller, "partner.html", language, "/partner", visitor, **values)


def _lots(
    controller: Controller, partner: Partner, found: list[Voucher], language: str, at_ms: int
) -> list[dict[str, Any]]:
    """The partner's lots, and those of which it was sold some, with what became of its vouchers."""
    instant = instant_writer(controller.site.time_zone)
    known = controller.live.vouchers.lots
    counts: dict[int, Counter[str]] = {}
    for voucher in found:
        counts.setdefault(voucher.lot, Counter())[seen_as(voucher, known[voucher.lot], at_ms)] += 1
    return [
        _lot(lot, counts.get(lot.id, Counter()), language, "" if until is None else instant(until))
        for lot in known.values()
        for until in [lot.valid_until_ms]
        if lot.partner == partner.id or lot.id in counts
    ]


def _lot(lot: Lot, counted: Counter[str], language: str, until: str) -> dict[str, Any]:
    return {
        "id": lot.id,
        "name": lot.name,
        "worth": worth(lot.kind, lot.value, language),
        "first": lot.first,
        "last": lot.last,
        "until": until,
        "out": counted[ACTIVATED] + counted[HELD],
        "used": counted[REDEEMED] + counted[SETTLED],
        "dead": counted[BLOCKED] + counted[VOIDED] + counted[RETURNED],
        "expired": counted[EXPIRED],
        "left": lot.left,
        "is_digital": lot.medium == DIGITAL and lot.left > 0,
    }


def _area(controller: Controller, area: str, language: str) -> str:
    known = controller.live.areas.get(area)
    if known is None:
        return area or "?"
    return known.name_en if language == "en" else known.name


def _bars(counts: list[tuple[Any, int]]) -> list[dict[str, Any]]:
    most = max((count for _, count in counts), default=0) or 1
    return [{"name": name, "count": count, "width": count * BAR_UNITS // most} for name, count in counts]
