"""Car parks: stays and their fees, lost tickets, takings, what tills owe, tariffs."""

import csv
import hashlib
import io
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, select

from einlass_controller.api import parking_models as models
from einlass_controller.api.access import Anybody, ClientOf, ControllerOf, Office, Supervisor, Watcher
from einlass_controller.api.house import now_ms, read, unix_ms
from einlass_controller.api.models import Reasoned
from einlass_controller.api.vouchers import do
from einlass_controller.domain.hours import DAY_MS, local_instant
from einlass_controller.domain.parking import DISPLAY, LEFT, TICKET, ParkingStay
from einlass_controller.issuing import new_code
from einlass_controller.orders_parking import AddTariff, CorrectStay, EndStay, ReplaceParkingTicket, SettleClaim
from einlass_controller.runtime import Controller
from einlass_controller.steps.parking_stays import STAY_COLUMNS
from einlass_controller.steps.sale_rows import PAID
from einlass_controller.store.schema import CLAIM, SALE, STAY, TARIFF
from einlass_controller.view import reachable
from einlass_core import codes
from einlass_core.plates import forms
from einlass_tariff import due
from einlass_tariff.problems import StayError

CSV = "text/csv"
STAYS_MAX = 1_000
CLAIMS_MAX = 1_000
DAYS_MAX = 400
DAY = r"^\d{4}-\d\d-\d\d$"

router = APIRouter(prefix="/parking", tags=["parking"])

FirstDay = Annotated[str | None, Query(alias="from", pattern=DAY, description="a local day; default: today")]
LastDay = Annotated[str | None, Query(alias="until", pattern=DAY, description="the last day; default: today")]
StayPath = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{1,32}$")]


@router.get("/stays")
async def stays(
    client: Anybody,
    controller: ControllerOf,
    zone: Annotated[str, Query(max_length=32)] = "",
    state: Annotated[Literal["issued", "inside", "left", "unused"] | None, Query()] = None,
    unpaid: Annotated[bool, Query(description="only those that left without paying")] = False,
    size: Annotated[int, Query(alias="limit", ge=1, le=STAYS_MAX)] = 100,
) -> list[models.StayOut]:
    """Stays, the newest first."""
    wanted = [STAY.c.zone == zone] if zone else []
    wanted += [STAY.c.state == state] if state else []
    wanted += [STAY.c.unpaid_cents > 0] if unpaid else []
    return [_out(stay) for stay in await _load(controller, size, *wanted)]


@router.get("/stays.csv", response_class=Response, responses={200: {"content": {CSV: {}}}})
async def export(
    client: Watcher,
    controller: ControllerOf,
    first: FirstDay = None,
    last: LastDay = None,
    zone: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """Stays that began on these days and are over, as `einlass tariff compare --stays` reads them."""
    clocks, begin, ends, from_ms, until_ms = _span(controller, first, last)
    columns = STAY.c.cards, STAY.c.pass_name, STAY.c.zone, STAY.c.paid_cents, STAY.c.unpaid_cents
    wanted = [STAY.c.state == LEFT, STAY.c.kind == TICKET, STAY.c.reason.not_like("goes on as %")]
    wanted += [STAY.c.entered_ms >= from_ms, STAY.c.entered_ms < until_ms]
    wanted += [STAY.c.zone == zone] if zone else []
    statement = select(STAY.c.entered_ms, STAY.c.left_ms, *columns).where(*wanted).order_by(STAY.c.entered_ms)

    def load(connection: Connection) -> str:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("entry", "exit", "vouchers", "pass", "zone", "paid_cents", "unpaid_cents"))
        for entered_ms, left_ms, *rest in connection.execute(statement):
            at = [
                datetime.fromtimestamp(ms // 1000, UTC).astimezone(clocks).isoformat() for ms in (entered_ms, left_ms)
            ]
            writer.writerow((*at, *rest))
        return text.getvalue()

    headers = {"Content-Disposition": f'attachment; filename="stays-{begin}-{ends}.csv"'}
    return Response(await read(controller.database, load), media_type=CSV + "; charset=utf-8", headers=headers)


@router.post("/stays/find")
async def find(given: models.PlateIn, client: Anybody, controller: ControllerOf) -> list[models.StayOut]:
    """Pay and display: the stays that were paid for this plate and are not over, however it is typed."""
    masks = [controller.intake.mask(codes.digest(form).encode()) for form in forms(given.plate) if form]
    return [_out(stay) for stay in await _load(controller, STAYS_MAX, STAY.c.plate.in_(masks), STAY.c.kind == DISPLAY)]


@router.get("/stays/{stay_id}")
async def one(stay_id: StayPath, client: Anybody, controller: ControllerOf) -> models.StayExplained:
    """A stay with its fee, line by line: as of now, or of when it left."""
    return await _explained(controller, stay_id)


@router.post("/stays/{stay_id}/correct")
async def correct(
    stay_id: StayPath, order: models.StayCorrection, client: Supervisor, controller: ControllerOf
) -> models.StayExplained:
    """It began at another time; or its car may leave unpaid within some minutes."""
    entered_ms = None if order.entered is None else unix_ms(order.entered)
    free_until_ms = now_ms() + order.free_minutes * 60_000 if order.free_minutes else None
    if entered_ms is not None and entered_ms < 0:
        raise HTTPException(422, "entered is before 1970")
    by = _by(client, order.by)
    await do(controller, CorrectStay(stay_id, entered_ms, free_until_ms, order.reason, by))
    return await _explained(controller, stay_id)


@router.post("/stays/{stay_id}/end")
async def end(stay_id: StayPath, order: Reasoned, client: Supervisor, controller: ControllerOf) -> models.StayExplained:
    """Its car is gone, unseen by any exit. The count of cars is corrected apart from that."""
    await do(controller, EndStay(stay_id, order.reason, _by(client, order.by)))
    return await _explained(controller, stay_id)


@router.post("/lost", status_code=201)
async def lost(order: models.LostOrder, client: Office, controller: ControllerOf) -> models.LostMade:
    """A ticket for somebody who lost his. Its code is in this answer and nowhere else."""
    code = new_code()
    digest, sha256 = codes.digest(code), hashlib.sha256(code.encode()).hexdigest()
    by = _by(client, order.by)
    name = await do(controller, ReplaceParkingTicket(order.zone, order.stay, digest, sha256, order.reason, by))
    return models.LostMade(stay=str(name), code=code, typed=codes.in_groups(code))


@router.get("/takings", response_model=list[models.TakingsOut], responses={200: {"content": {CSV: {}}}})
async def takings(
    client: Watcher,
    controller: ControllerOf,
    first: FirstDay = None,
    last: LastDay = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """What each till took, by local day and what for: every sale that a till has told, once. Default: today."""
    clocks, begin, ends, from_ms, until_ms = _span(controller, first, last)
    columns: tuple[Any, ...] = (SALE.c.node, SALE.c.what, SALE.c.paid_ms, SALE.c.coins_cents, SALE.c.card_cents)
    columns += (SALE.c.saved_cents, SALE.c.is_alone, SALE.c.due_cents, SALE.c.should_cents)
    wanted = SALE.c.state == PAID, SALE.c.paid_ms >= from_ms, SALE.c.paid_ms < until_ms
    rows = await read(
        controller.database, lambda connection: list(connection.execute(select(*columns).where(*wanted)).all())
    )
    tills = controller.live.parking.tills
    sums: dict[tuple[str, str, str], list[int]] = {}
    for node, what, paid_ms, coins, card, saved, is_alone, asked, should in rows:
        day = datetime.fromtimestamp(paid_ms / 1000, UTC).astimezone(clocks).date().isoformat()
        name = tills[node].id if node in tills else str(node)
        off = 0 if should is None else should - asked
        found = sums.setdefault((day, name, str(what)), [0, 0, 0, 0, 0, 0, 0])
        for place, cents in enumerate((1, coins, card, saved, int(is_alone), max(0, off), max(0, -off))):
            found[place] += cents
    made = [
        models.TakingsOut(
            day=day,
            till=till,
            what=what,
            sales=count,
            coins_cents=coins,
            card_cents=card,
            total_cents=coins + card,
            saved_cents=saved,
            alone=alone,
            missing_cents=missing,
            refund_cents=refund,
        )
        for (day, till, what), (count, coins, card, saved, alone, missing, refund) in sorted(sums.items())
    ]
    if form == "json":
        return JSONResponse([item.model_dump() for item in made])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(models.TakingsOut.model_fields))
    writer.writeheader()
    writer.writerows(item.model_dump() for item in made)
    headers = {"Content-Disposition": f'attachment; filename="takings-{begin}-{ends}.csv"'}
    return Response(text.getvalue(), media_type=CSV + "; charset=utf-8", headers=headers)


@router.get("/tills")
async def tills(client: Watcher, controller: ControllerOf) -> list[models.TillOut]:
    """Every till, with its own account as it told it last."""
    live, at_ms = controller.live, now_ms()
    made = []
    for machine in live.parking.tills.values():
        node = live.nodes[machine.node]
        shown = {name: getattr(machine, name) for name in ("id", "node", "zone", "name")}
        account = {name: int(cents) for name, cents in machine.account.items() if name != "off"}
        made.append(models.TillOut(**shown, online=reachable(node, at_ms), fault=node.fault, account=account))
    return made


@router.get("/claims")
async def claims(
    client: Office, controller: ControllerOf, settled: Annotated[bool, Query(description="all of them")] = False
) -> list[models.ClaimOut]:
    """What tills owe by a paper, card payments in doubt, sales while cut off that came to another sum; newest first."""
    statement = select(CLAIM).order_by(CLAIM.c.at_ms.desc()).limit(CLAIMS_MAX)
    if not settled:
        statement = statement.where(CLAIM.c.state == "open")
    rows = await read(controller.database, lambda connection: list(connection.execute(statement).mappings()))
    known = controller.live.parking.tills
    return [
        models.ClaimOut(
            till=known[row["node"]].id if row["node"] in known else row["node"],
            **{name: row[name] for name in models.ClaimOut.model_fields if name != "till"},
        )
        for row in rows
    ]


@router.post("/claims/settle")
async def settle(order: models.SettleOrder, client: Office, controller: ControllerOf) -> models.Settled:
    """Staff paid a paper out, or cleared a card payment in doubt. Each once: 409 for the second time."""
    cents = await do(controller, SettleClaim(order.name, order.reason, _by(client, order.by)))
    return models.Settled(name=order.name, cents=cents)


@router.get("/tariffs")
async def tariffs(client: Watcher, controller: ControllerOf) -> list[models.TariffOut]:
    """Every version of every tariff."""
    names = list(models.TariffOut.model_fields)
    statement = select(*[TARIFF.c[name] for name in names]).order_by(TARIFF.c.name, TARIFF.c.number)
    rows = await read(controller.database, lambda connection: list(connection.execute(statement).mappings()))
    return [models.TariffOut(**row) for row in rows]


@router.get("/tariffs/{number}")
async def tariff(
    number: Annotated[int, Path(ge=1, le=1_000_000)], client: Watcher, controller: ControllerOf
) -> models.TariffText:
    """A version with its text."""
    statement = select(TARIFF).where(TARIFF.c.number == number)
    row = await read(controller.database, lambda connection: connection.execute(statement).mappings().first())
    if row is None:
        raise HTTPException(404, "no such version: see /api/v1/parking/tariffs")
    return models.TariffText(**{name: row[name] for name in models.TariffOut.model_fields}, text=row["body"])


@router.post("/tariffs", status_code=201)
async def add_tariff(order: models.TariffOrder, client: ClientOf, controller: ControllerOf) -> models.TariffOut:
    """A new version, from its valid_from on. 409 says what is wrong with it, line by line."""
    number = await do(controller, AddTariff(order.text, order.format == "json", order.reason, _by(client, order.by)))
    return next(item for item in await tariffs(client, controller) if item.number == number)


async def _explained(controller: Controller, name: str) -> models.StayExplained:
    found = await _load(controller, 1, STAY.c.id == name)
    if not found:
        raise HTTPException(404, "no such stay")
    stay, book = found[0], controller.live.parking
    if stay.zone not in book.zones:
        raise HTTPException(409, f"zone {stay.zone!r} has no tariff any more")
    at_ms = stay.left_ms or now_ms()
    if stay.kind == DISPLAY:
        bill = due.Bill(stay.paid_cents + stay.credit_cents, 0, stay.until_ms)
    else:
        try:
            bill = due.bill(book.book_of(stay.zone), stay, at_ms, book.lost_cents(stay.zone))
        except StayError as error:
            raise HTTPException(409, f"this stay has no price: {error}") from error
    columns = (SALE.c.key, SALE.c.node, SALE.c.what, SALE.c.paid_ms, SALE.c.coins_cents, SALE.c.card_cents)
    statement = select(*columns, SALE.c.saved_cents, SALE.c.tariff).where(SALE.c.stay == name, SALE.c.state == PAID)

    def load(connection: Connection) -> list[models.SaleOut]:
        return [
            models.SaleOut(
                key=row.key,
                till=book.tills[row.node].id if row.node in book.tills else row.node,
                what=row.what,
                at_ms=row.paid_ms,
                coins_cents=row.coins_cents,
                card_cents=row.card_cents,
                saved_cents=row.saved_cents,
                tariff=row.tariff,
            )
            for row in connection.execute(statement.order_by(SALE.c.paid_ms))
        ]

    return models.StayExplained(
        **_out(stay).model_dump(),
        fee_cents=bill.fee_cents,
        due_cents=bill.due_cents,
        tariff=f"{bill.version} {bill.digest}".strip(),
        lines=[models.LineOut(de=german, en=english, cents=cents) for german, english, cents in bill.lines],
        payments=await read(controller.database, load),
    )


async def _load(controller: Controller, size: int, *wanted: Any) -> list[ParkingStay]:
    statement = select(*STAY_COLUMNS).where(*wanted).order_by(STAY.c.entered_ms.desc()).limit(size)
    rows = await read(controller.database, lambda connection: list(connection.execute(statement).all()))
    return [ParkingStay(*row) for row in rows]


def _out(stay: ParkingStay) -> models.StayOut:
    shown = {name: getattr(stay, name) for name in models.StayOut.model_fields if hasattr(stay, name)}
    return models.StayOut(**shown, vouchers=stay.cards)


def _by(client: str, person: str) -> str:
    return f"{client}: {person}" if person else client


def _span(controller: Controller, first: str | None, last: str | None) -> tuple[ZoneInfo, date, date, int, int]:
    """The site's clocks, two local days, and the instants from the begin of one to the end of the other."""
    clocks = controller.live.clocks
    today = datetime.now(UTC).astimezone(clocks).date()
    begin, ends = _day(first, today), _day(last, today)
    if ends < begin or (ends - begin).days > DAYS_MAX:
        raise HTTPException(422, f"until is before from, or more than {DAYS_MAX} days after it")
    return clocks, begin, ends, local_instant(begin, 0, clocks), local_instant(ends, DAY_MS, clocks)


def _day(text: str | None, today: date) -> date:
    if text is None:
        return today
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise HTTPException(422, f"{text} is no day") from error
    if not 1970 <= found.year <= 2199:
        raise HTTPException(422, f"{text} is not in the years 1970 to 2199")
    return found
