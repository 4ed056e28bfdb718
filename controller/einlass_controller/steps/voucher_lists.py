"""What tills may do with vouchers while they are cut off: each till's list, its lots, and whose vouchers are whose.

A till that says in its status which list it has is told the rest, in the same messages as a lane its tickets; the byte
of an entry is the line of the lot. A voucher becomes a till's own at an order; it comes back by the till's word only: a
status whose list lacks it, from a journal of which everything is known.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

from sqlalchemy import literal, or_, select, update

from einlass_controller.domain import voucher_owner, vouchers
from einlass_controller.domain.voucher_owner import ALONE_CENTS_MAX, ALONE_COUNT_MAX, CONTROLLER, OWN, REFUSE, Asker
from einlass_controller.domain.vouchers import Lot
from einlass_controller.live import Node
from einlass_controller.messages import Declined, Status
from einlass_controller.orders_vouchers import Changed, HandOver
from einlass_controller.parking_book import Machine
from einlass_controller.steps import listing
from einlass_controller.steps.batch import Batch
from einlass_controller.steps.vouchers import RANGE_MAX, keep, next_line, read_range
from einlass_controller.store.schema import LOT, VOUCHER
from einlass_controller.store.vouchers import VOUCHER_COLUMNS, vouchers_of

# A till is told of its lots again after so long: no message is certain to have arrived.
TELL_LOTS_MS = 60_000
BACK_AT_ONCE = 500


class VouchersOf:
    """The vouchers that a till may use alone: its own, and those of lots that anybody may."""

    def __init__(self, batch: Batch, machine: Machine, node: Node) -> None:
        self.number = batch.live.vouchers.list_number
        self._rows = batch.rows
        lots = [lot.id for lot in lots_of(batch, machine)]
        mine = (VOUCHER.c.owner == node.id) & (VOUCHER.c.owner_inc == node.inc)
        self._here = (VOUCHER.c.listed > 0) & VOUCHER.c.lot.in_(lots) & or_(VOUCHER.c.owner == CONTROLLER, mine)

    def changes(self, removed: bool, after: int, count_max: int) -> list[Any]:
        """See listing.Source."""
        wanted = VOUCHER.c.listed_number > after, ~self._here if removed else self._here
        columns = (VOUCHER.c.digest, literal(0) if removed else VOUCHER.c.listed, VOUCHER.c.listed_number)
        return self._rows.fetch(select(*columns).where(*wanted).order_by(VOUCHER.c.listed_number).limit(count_max))

    def whole(self, after: str, count_max: int) -> list[Any]:
        """See listing.Source."""
        wanted = self._here, VOUCHER.c.digest > after
        columns = (VOUCHER.c.digest, VOUCHER.c.listed)
        return self._rows.fetch(select(*columns).where(*wanted).order_by(VOUCHER.c.digest).limit(count_max))


def lots_of(batch: Batch, machine: Machine) -> list[Lot]:
    """The lots of which vouchers may count alone where this till stands."""
    known = batch.live.vouchers.lots.values()
    return [
        lot
        for lot in known
        if lot.line and lot.while_cut_off != REFUSE and (not lot.limits.areas or machine.zone in lot.limits.areas)
    ]


def tell(batch: Batch, message: Status) -> None:
    """A till's status: what its list lacks, what its lots are worth, and what it has given back with it."""
    node = batch.live.nodes[message.node]
    machine = batch.live.parking.tills.get(node.id)
    if machine is None or message.listed is None:
        return
    _take_back(batch, message, node)
    told = batch.live.vouchers.told.setdefault(node.id, {})
    for lot in lots_of(batch, machine):
        if batch.now_ms - told.get(lot.line, -TELL_LOTS_MS) >= TELL_LOTS_MS:
            told[lot.line] = batch.now_ms
            batch.send(node.id, "lot", _lot(node, lot))
    listing.follow(batch, message, node, VouchersOf(batch, machine, node))


def _lot(node: Node, lot: Lot) -> dict[str, Any]:
    return {
        "inc": node.inc,
        "line": lot.line,
        "lot": lot.id,
        "kind": lot.kind,
        "value": lot.value,
        "alone": lot.while_cut_off,
        "from": lot.valid_from_ms or 0,
        "until": lot.valid_until_ms or 0,
        "days": " ".join(lot.limits.weekdays),
        "count": 0 if lot.while_cut_off == OWN else ALONE_COUNT_MAX,
        "cents": 0 if lot.while_cut_off == OWN else ALONE_CENTS_MAX,
    }


def _take_back(batch: Batch, message: Status, node: Node) -> None:
    """A list without it, and nothing in the journal that is not known here: it was not used, and never will be."""
    added, removed = message.listed or (0, 0)
    if not added or message.report.seq > node.applied or message.report.inc != node.inc:
        return
    mine = VOUCHER.c.owner == node.id, VOUCHER.c.owner_inc == node.inc, VOUCHER.c.wanted_back.is_(True)
    wanted = select(*VOUCHER_COLUMNS).where(*mine, VOUCHER.c.listed_number <= removed).limit(BACK_AT_ONCE)
    back = vouchers_of(batch.rows.fetch(wanted))
    for voucher in back:
        voucher_owner.give_back(voucher, Asker(node.id, node.inc), voucher.owner_version)
    keep(batch, back, moved=True)
    if back:
        serials = [voucher.serial for voucher in back]
        batch.record("vouchers_given_back", till=node.id, vouchers=serials)


def hand_over(batch: Batch, order: HandOver) -> Changed | Declined:
    """To a till as its own, back from it, or (lost) back without its word: all of a range that can be."""
    if order.last - order.first >= RANGE_MAX:
        return Declined(f"at most {RANGE_MAX} vouchers at once: give smaller ranges")
    machine = next((item for item in batch.live.parking.tills.values() if item.id == order.till), None)
    node = None if machine is None else batch.live.nodes[machine.node]
    if order.till and (node is None or not node.inc):
        return Declined(f"no till is called {order.till!r}, or it was never here", missing=True)
    found = read_range(batch, order.first, order.last, "")
    done, waiting, already, refused = [], [], 0, Counter[str]()
    for voucher in found:
        lot = batch.live.vouchers.lots[voucher.lot]
        if node is not None:
            if voucher_owner.owns(voucher, Asker(node.id, node.inc)) and not voucher.wanted_back:
                already += 1
            elif lot.while_cut_off == REFUSE or not (lot.line or _name(batch, lot)):
                refused["refuse"] += 1
            elif voucher.owner != CONTROLLER or voucher.state != vouchers.ACTIVATED:
                refused["owned" if voucher.owner else voucher.state] += 1
            else:
                voucher_owner.give(voucher, Asker(node.id, node.inc))
                done.append(voucher)
        elif voucher.owner == CONTROLLER:
            already += 1
        elif order.is_lost:
            voucher_owner.decide_lost(voucher)
            done.append(voucher)
        elif voucher.wanted_back:
            already += 1
        else:
            voucher.wanted_back = True
            done.append(voucher)
            waiting.append(voucher.serial)
    keep(batch, done, moved=True)
    serials = [voucher.serial for voucher in done]
    what = {"till": order.till, "lost": order.is_lost, "by": order.by, "reason": order.reason}
    batch.record("vouchers_handed_over", vouchers=serials, **what)
    missing = order.last - order.first + 1 - len(found)
    return Changed(len(done), already, tuple(waiting), dict(refused), missing)


def _name(batch: Batch, lot: Lot) -> int:
    """A line for a lot that has none yet."""
    line = next_line(batch)
    batch.live.vouchers.lots[lot.id] = replace(lot, line=line)
    batch.rows.execute(update(LOT).where(LOT.c.id == lot.id).values(line=line))
    return line
