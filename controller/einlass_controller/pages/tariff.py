"""What parking costs: the site's tariff for everybody; any text, and two versions compared, for who has signed in."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from einlass_controller.api.access import ControllerOf
from einlass_controller.api.house import read
from einlass_controller.api.tariff_models import (
    BODY_BYTES_MAX,
    MOMENT_LENGTH_MAX,
    NAME_LENGTH_MAX,
    STAYS_CHARACTERS_MAX,
    TRY_BODY_BYTES_MAX,
)
from einlass_controller.api.tariffs import Desk, DeskOf, known_tariffs
from einlass_controller.domain.hours import DAY_MS, local_instant
from einlass_controller.pages.sessions import NeedsSession, Visitor, check_form, visitor_of
from einlass_controller.pages.shell import Accepted, Lang, show
from einlass_controller.pages.words import language_of
from einlass_controller.pages.words_forms import WORDS
from einlass_controller.runtime import Controller
from einlass_controller.setup import READ, SUPERVISE
from einlass_controller.site_tariffs import SiteTariff, stays_csv
from einlass_controller.tariff_invented import DAYS as INVENTED_DAYS
from einlass_controller.tariff_invented import STAYS as INVENTED_STAYS
from einlass_controller.tariff_questions import STAYS_MAX, about, fee_of, time_of
from einlass_controller.tariff_worker import SECONDS_MAX, WorkerError
from einlass_tariff.buy import CENTS_MAX
from einlass_tariff.lines import duration
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.read import TEXT_MAX
from einlass_tariff.result import CARDS_MAX

MIB = 1024 * 1024
PROPOSED_STAY = timedelta(hours=2)
PROPOSED_MONEY = {"de": "2,00", "en": "2.00"}
LAST_DAY = datetime(2199, 12, 30)  # noqa: DTZ001 - local by meaning
BAR_UNITS = 1_000
INVENTED_SEED = 1
# Lines of a text beside the one that is wrong.
LINES_AROUND = 1
_MONEY = re.compile(r"(\d{1,5})(?:[.,](\d{1,2}))?\s*(?:€|EUR)?", re.I)
_FIELDS = ("from", "to", "vouchers", "paid", "pass", "ticket", "money", "do")

router = APIRouter(include_in_schema=False)
ReaderHere = Annotated[Visitor, Depends(NeedsSession(READ, SUPERVISE))]
Field = Annotated[str, Query(max_length=MOMENT_LENGTH_MAX)]
Short = Annotated[str, Query(max_length=NAME_LENGTH_MAX)]


class _Slip(Exception):
    """What somebody wrote into a field; key and values of its words."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.words = {"de": WORDS[key][0].format(**values), "en": WORDS[key][1].format(**values)}


@router.get("/tariff")
async def page(
    request: Request,
    controller: ControllerOf,
    desk: DeskOf,
    lang: Lang = None,
    tariff: Short = "",
    from_: Annotated[str, Query(alias="from", max_length=MOMENT_LENGTH_MAX)] = "",
    to: Field = "",
    vouchers: Field = "",
    paid: Field = "",
    pass_: Annotated[str, Query(alias="pass", max_length=NAME_LENGTH_MAX)] = "",
    ticket: Short = "",
    money: Field = "",
    do: Field = "",
    accept_language: Accepted = None,
) -> Response:
    """The site's own tariff, for everybody. The form is in the address, so that an answer can be linked to."""
    language = language_of(lang, accept_language)
    known = await known_tariffs(controller)
    given = {"from": from_, "to": to, "vouchers": vouchers, "paid": paid, "pass": pass_, "ticket": ticket}
    fields = _fields(controller, language, given | {"money": money, "do": do})
    values: dict[str, Any] = {"known": list(known), "chosen": "", "about": None, "fields": fields, "found": None}
    chosen = known.get(tariff) or next(iter(known.values()), None)
    if chosen is not None:
        values["chosen"] = chosen.name
        values["about"] = await desk.public(chosen, lambda book, _: about(book), {})
        if do in ("try", "buy"):
            values["found"] = await _asked(desk, chosen, fields, do)
    return show(controller, "tariff.html", language, "/tariff", await visitor_of(request), **_said(values, fields))


@router.get("/tariff/own")
async def own(
    visitor: ReaderHere,
    controller: ControllerOf,
    lang: Lang = None,
    tariff: Short = "",
    accept_language: Accepted = None,
) -> Response:
    """A text to paste a tariff into; with one of the site's in it, if that is asked for."""
    language = language_of(lang, accept_language)
    known = await known_tariffs(controller)
    fields = _fields(controller, language, {})
    text = known[tariff].texts[-1][0] if tariff in known else ""
    values = {"known": list(known), "chosen": tariff, "text": text, "about": None, "found": None, "wrong": []}
    return show(controller, "own.html", language, "/tariff/own", visitor, **_said(values, fields))


@router.post("/tariff/own", max_body_size=TRY_BODY_BYTES_MAX)
async def try_own(
    request: Request,
    visitor: ReaderHere,
    controller: ControllerOf,
    desk: DeskOf,
    lang: Lang = None,
    accept_language: Accepted = None,
) -> Response:
    """What a pasted tariff makes of a stay, or what is wrong with it, line by line."""
    language = language_of(lang, accept_language)
    form = await request.form(max_part_size=TRY_BODY_BYTES_MAX)
    check_form(request, visitor, form.get("form_token"))
    text = _text(form, "text")
    fields = _fields(controller, language, {name: _text(form, name)[:MOMENT_LENGTH_MAX] for name in _FIELDS})
    do = fields["do"] if fields["do"] in ("try", "buy") else "check"
    values: dict[str, Any] = {"chosen": "", "text": text, "about": None, "found": None, "wrong": []}
    values["known"] = list(await known_tariffs(controller))
    try:
        question = {} if do == "check" else _question(fields, do)
        question["from"] = fields["from"]
        said = await desk.workers.ask({"do": do, "texts": [{"text": text}], **question})
        values["wrong"] = _marked(said.get("problems", ()), text)
        values["found"] = {"do": do, **said} if not values["wrong"] else None
    except (WorkerError, _Slip) as error:
        values["found"] = {"do": do, "refused": _both(error)}
    return show(controller, "own.html", language, "/tariff/own", visitor, **_said(values, fields))


@router.get("/tariff/compare")
async def comparison(
    visitor: ReaderHere,
    controller: ControllerOf,
    lang: Lang = None,
    tariff: Short = "",
    accept_language: Accepted = None,
) -> Response:
    """Two texts and a file of stays."""
    language = language_of(lang, accept_language)
    known = await known_tariffs(controller)
    chosen = known.get(tariff) or next(iter(known.values()), None)
    text = chosen.texts[-1][0] if chosen else ""
    values = _compared(list(known), chosen.name if chosen else "", text, text)
    return show(controller, "compare.html", language, "/tariff/compare", visitor, **values)


@router.post("/tariff/compare", max_body_size=BODY_BYTES_MAX)
async def compare_now(
    request: Request,
    visitor: ReaderHere,
    controller: ControllerOf,
    desk: DeskOf,
    lang: Lang = None,
    accept_language: Accepted = None,
) -> Response:
    """What the new text would have brought."""
    language = language_of(lang, accept_language)
    form = await request.form(max_part_size=TRY_BODY_BYTES_MAX)
    check_form(request, visitor, form.get("form_token"))
    old, new = _text(form, "old"), _text(form, "new")
    known = await known_tariffs(controller)
    values = _compared(list(known), _text(form, "tariff")[:NAME_LENGTH_MAX], old, new)
    values["source"] = source if (source := _text(form, "source")) in ("month", "invented") else "file"
    try:
        texts: dict[str, Any] = {"texts": [{"text": old}], "new": [{"text": new}]}
        name, stays = "", ""
        if values["source"] == "month":
            name, stays = f"{_last_month():%Y-%m}", await _stays_of_month(controller, values["chosen"])
        elif values["source"] == "invented":
            texts["invented_seed"] = INVENTED_SEED
        else:
            name, stays = await _uploaded(form)
        said = await desk.workers.ask({"do": "compare", **texts, "stays": stays, "name": name[:NAME_LENGTH_MAX]})
        values["wrong_old"] = _marked(said.get("problems", ()), old)
        answer = said.get("answer", {})
        values["wrong_new"] = _marked(answer.get("new_problems", ()), new)
        values["refused"] = said.get("refused")
        if "stays" in answer:
            values["found"] = _drawn(answer, language)
    except (WorkerError, _Slip) as error:
        values["refused"] = _both(error)
    return show(controller, "compare.html", language, "/tariff/compare", visitor, **values)


# --- questions ---


def _fields(controller: Controller, language: str, given: dict[str, str]) -> dict[str, str]:
    """What stands in the form: what was written, else a stay from now on."""
    now = datetime.now(UTC).astimezone(controller.live.clocks).replace(second=0, microsecond=0, tzinfo=None)
    with suppress(ValueError, OverflowError):
        now = datetime.fromisoformat(given.get("from") or "").replace(tzinfo=None)
    proposed = {
        "from": now.isoformat(timespec="minutes"),
        "to": (min(now, LAST_DAY) + PROPOSED_STAY).isoformat(timespec="minutes"),
        "vouchers": "0",
        "money": PROPOSED_MONEY[language],
    }
    return {name: (given.get(name) or "").strip() or proposed.get(name, "") for name in _FIELDS}


def _question(fields: dict[str, str], do: str) -> dict[str, Any]:
    """Raises _Slip."""
    names = {"from": fields["from"], "pass": fields["pass"], "ticket": fields["ticket"]}
    if do == "buy":
        return names | {"cents": _cents(fields["money"])}
    count = fields["vouchers"]
    if not (count.isascii() and count.isdigit() and len(count) <= 4 and int(count) <= CARDS_MAX):
        raise _Slip("bad_number", value=repr(count), most=CARDS_MAX)
    paid = _cents(fields["paid"]) if fields["paid"] else None
    return names | {"to": fields["to"], "vouchers": int(count), "paid_cents": paid}


def _cents(value: str) -> int:
    match = _MONEY.fullmatch(value)
    cents = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else -1
    if not 0 <= cents <= CENTS_MAX:
        raise _Slip("bad_money", value=repr(value))
    return cents


async def _asked(desk: Desk, tariff: SiteTariff, fields: dict[str, str], do: str) -> dict[str, Any]:
    try:
        said = await desk.public(tariff, fee_of if do == "try" else time_of, _question(fields, do))
    except (StayError, _Slip) as error:
        return {"do": do, "refused": _both(error)}
    except TariffError as error:  # a version that a newer reader refuses
        return {"do": do, "refused": {"de": str(error), "en": str(error)}}
    return {"do": do, "answer": said}


def _both(error: Exception) -> dict[str, str]:
    words = error.words if isinstance(error, StayError | WorkerError | _Slip) else (str(error), str(error))
    return words if isinstance(words, dict) else {"de": words[0], "en": words[1]}


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.replace("\r\n", "\n")[: TEXT_MAX + 1] if isinstance(value, str) else ""


async def _uploaded(form: FormData) -> tuple[str, str]:
    file = form.get("stays")
    if not isinstance(file, UploadFile) or not file.filename:
        raise _Slip("no_file")
    raw = await file.read(STAYS_CHARACTERS_MAX + 1)
    if len(raw) > STAYS_CHARACTERS_MAX:
        raise _Slip("too_long", mib=STAYS_CHARACTERS_MAX // MIB)
    try:
        return file.filename, raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Slip("no_utf8") from error


async def _stays_of_month(controller: Controller, tariff: str) -> str:
    zones = frozenset(zone.zone for zone in controller.live.parking.zones.values() if zone.tariff == tariff)
    first = _last_month()
    last = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    clocks = controller.live.clocks
    from_ms, until_ms = local_instant(first, 0, clocks), local_instant(last - timedelta(days=1), DAY_MS, clocks)
    text = await read(controller.database, lambda connection: stays_csv(connection, from_ms, until_ms, zones, clocks))
    if text.count("\n") < 2:
        raise _Slip("no_stays")
    return text


def _last_month() -> date:
    return (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).replace(day=1)


# --- what is shown ---


def _said(values: dict[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    found = values["found"]
    if found is not None:
        found = values["found"] = {"refused": None, "answer": None, **found}
    answer = found["answer"] if found else None
    over = ""
    if answer and answer.get("over_max_stay_s"):
        over = duration(answer["over_max_stay_s"])
    if found and answer and found["do"] == "check":
        values["about"] = answer
    if answer and "until" in answer:
        answer["lasts"] = duration(answer["minutes"] * 60)
    return values | {"fields": fields, "over": over, "cards_max": CARDS_MAX, "moment": _moment}


def _moment(text: str, language: str) -> str:
    when = datetime.fromisoformat(text)
    return when.strftime("%d.%m.%Y %H:%M" if language == "de" else "%Y-%m-%d %H:%M")


def _marked(problems: Any, text: str) -> list[dict[str, Any]]:
    """Problems with the lines of the text around them."""
    lines = text.split("\n")
    marked = []
    for one in problems:
        number = one["line"]
        first, last = max(1, number - LINES_AROUND), min(len(lines), number + LINES_AROUND)
        around = [(place, lines[place - 1], place == number) for place in range(first, last + 1)] if number else []
        marked.append({**one, "around": around})
    return marked


def _compared(known: list[str], chosen: str, old: str, new: str) -> dict[str, Any]:
    limits = {"rows": f"{STAYS_MAX}", "mib": STAYS_CHARACTERS_MAX // MIB, "seconds": round(SECONDS_MAX)}
    limits |= {"invented": f"{INVENTED_STAYS}", "days": INVENTED_DAYS}
    month = f"{_last_month():%Y-%m}"
    empty: dict[str, Any] = {"found": None, "refused": None, "wrong_old": [], "wrong_new": [], "source": "file"}
    return {"known": known, "chosen": chosen, "old": old, "new": new, "limits": limits, "month": month} | empty


def _drawn(answer: dict[str, Any], language: str) -> dict[str, Any]:
    """The comparison with the lengths of its bars."""
    most = max((one["stays"] for one in answer["by_change"]), default=0) or 1
    total = max(1, answer["stays"])
    parts, start = [], 0
    for kind in ("cheaper", "same", "dearer"):
        width = min(BAR_UNITS - start, round(answer[kind] * BAR_UNITS / total))
        parts.append({"kind": kind, "start": start, "width": width})
        start += width
    changes = [one | {"width": one["stays"] * BAR_UNITS // most} for one in answer["by_change"] if one["stays"]]
    examples = [
        one | {"from": _moment(one["from"], language), "to": _moment(one["to"], language)} for one in answer["examples"]
    ]
    return answer | {"parts": parts, "changes": changes, "examples": examples, "bar_units": BAR_UNITS}
