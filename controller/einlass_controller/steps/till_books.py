"""What a till needs to price alone: its car park's tariff, holidays and prices as one text in pieces; keys of stamps.

Each is told again until the node's status says that it has it. A key goes to tills of the car park, and to lanes into
it that give out tickets: never to a board, which has no printer, and never to anybody else.
"""

import base64
import hashlib
import json
import zlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from einlass_controller import stamps
from einlass_controller.live import Lane, Node
from einlass_controller.messages import Status
from einlass_controller.parking_book import Machine, TillText
from einlass_controller.steps.batch import Batch, log
from einlass_controller.store.schema import TARIFF
from einlass_controller.tariffs import holidays_of
from einlass_core.stamp import DAY_S
from einlass_core.wire_till import PIECE_LENGTH_MAX, PIECES_AT_ONCE
from einlass_tariff.carried import packed
from einlass_tariff.problems import StayError, TariffError

RESEND_MS = 3_000
# Versions that ended longer ago than that are of no stay any more that a stamp could tell of.
VERSIONS_MS = 60 * DAY_S * 1000
PRODUCTS_MAX = 200
PARTS_MAX = 400
DIGEST_LENGTH = 32
BOARDS = "esp32"


def tell(batch: Batch, message: Status) -> None:
    """A status says which text and which key a node has: it gets what it lacks."""
    node = batch.live.nodes[message.node]
    machine = batch.live.parking.tills.get(node.id)
    if machine is not None and message.book is not None:
        _tell_book(batch, node, machine, *message.book)
    if message.stamp is not None and not node.board.startswith(BOARDS):
        _tell_keys(batch, node, machine, message.stamp)


def _tell_book(batch: Batch, node: Node, machine: Machine, has: str, coming: str, part: int) -> None:
    text = text_of(batch, machine.zone)
    if text is None or has == text.digest:
        return
    first = part if coming == text.digest and part < len(text.pieces) else 0
    told = batch.live.parking.told.get(node.id)
    if told is not None and told[:2] == (text.digest, first) and batch.now_ms - told[2] < RESEND_MS:
        return
    batch.live.parking.told[node.id] = (text.digest, first, batch.now_ms)
    last = min(len(text.pieces), (first // PIECES_AT_ONCE + 1) * PIECES_AT_ONCE)
    for number in range(first, last):
        fields = {"digest": text.digest, "part": number, "parts": len(text.pieces), "text": text.pieces[number]}
        batch.send(node.id, "book", {"inc": node.inc, **fields})


def _tell_keys(batch: Batch, node: Node, machine: Machine | None, newest: int) -> None:
    today, secret = stamps.day_of(batch.now_ms), batch.live.stamp_secret
    if not secret:
        return
    days: tuple[int, ...] = (today,)
    if machine is not None:
        # Also the next one: the line may be down when an entry that is not cut off begins to use it.
        zone, days = machine.zone, (today - 1, today, today + 1)
    else:
        zone = _zone(batch, batch.live.lane_of_node.get(node.id))
    if zone and newest != days[-1]:
        for day in days:
            fields = {"inc": node.inc, "day": day, "key": stamps.key_of(secret, zone, day)}
            batch.send(node.id, "stamp", fields)


def _zone(batch: Batch, lane: Lane | None) -> str:
    """The car park that a lane gives out tickets for; "": none."""
    if lane is None or not lane.issues:
        return ""
    return next((name for name in lane.zones if name in batch.live.parking.zones), "")


def text_of(batch: Batch, zone: str) -> TillText | None:
    """What tills of a car park are told; made anew when something in it has changed, or the day."""
    book = batch.live.parking
    made_of = (
        tuple(tariff.digest for tariff in book.book_of(zone).versions),
        batch.catalogue.version,
        book.lost_cents(zone),
        stamps.day_of(batch.now_ms),
    )
    known = book.texts.get(zone)
    if known is None or known.made_of != made_of:
        known = book.texts[zone] = _made(batch, zone, made_of)
    return known if known.pieces else None


def _made(batch: Batch, zone: str, made_of: tuple[Any, ...]) -> TillText:
    year = datetime.fromtimestamp(batch.now_ms / 1000, UTC).year
    try:
        carried = packed(_texts(batch, zone), holidays_of, year - 1, year + 2)
    except (TariffError, StayError) as error:
        log.error("no_text_for_tills", zone=zone, reason=str(error))
        return TillText(made_of, "", ())
    products = [item for item in batch.catalogue.products.values() if item.price_cents is not None]
    said = {
        "zone": zone,
        "tariff": carried,
        "lost_cents": batch.live.parking.lost_cents(zone),
        "products": {item.id: [item.name, item.name_en, item.price_cents] for item in products[:PRODUCTS_MAX]},
    }
    text = json.dumps(said, separators=(",", ":"), sort_keys=True)
    sent = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    pieces = tuple(sent[at : at + PIECE_LENGTH_MAX] for at in range(0, len(sent), PIECE_LENGTH_MAX))
    if len(pieces) > PARTS_MAX:
        log.error("no_text_for_tills", zone=zone, reason=f"the tariff has {len(pieces)} pieces, at most {PARTS_MAX}")
        return TillText(made_of, "", ())
    return TillText(made_of, hashlib.sha256(sent.encode()).hexdigest()[:DIGEST_LENGTH], pieces)


def _texts(batch: Batch, zone: str) -> list[tuple[str, bool]]:
    """The versions that a stay may belong to, which are those from the one in force a while ago on."""
    name = batch.live.parking.zones[zone].tariff
    columns = (TARIFF.c.valid_from, TARIFF.c.body, TARIFF.c.is_json)
    rows = batch.rows.fetch(select(*columns).where(TARIFF.c.name == name).order_by(TARIFF.c.number))
    newest = {row.valid_from: (str(row.body), bool(row.is_json)) for row in rows}
    book = batch.live.parking.book_of(zone)
    since = book.days.day((batch.now_ms - VERSIONS_MS) // 1000).isoformat()
    in_force = max((day for day in newest if day[:10] <= since), default=min(newest))
    return [newest[day] for day in sorted(newest) if day >= in_force]
