"""What people order beside scans (orders.py): each a few rows and a line of the ledger."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, select, update

from einlass_controller import orders_parking as of_parking
from einlass_controller import orders_vouchers as of_vouchers
from einlass_controller.orders import (
    AddApiKey,
    AddSigningKey,
    AnnulEntry,
    BeginImport,
    ChangeTicket,
    ConfirmRecount,
    EndImport,
    ImportTickets,
    LeasesUnknown,
    OfficeOrder,
    PutTogether,
    ReplaceTicket,
    Restored,
    RevokeApiKey,
    RevokeSigningKey,
    UndoImport,
)
from einlass_controller.steps import (
    imports,
    lane_nodes,
    parking_office,
    recounts,
    ticket_life,
    trusting,
    voucher_lists,
    voucher_payments,
    vouchers,
)
from einlass_controller.steps.batch import Batch
from einlass_controller.store.schema import API_KEY, SIGNING_KEY, TICKET
from einlass_core.signed import KEY_ID_MAX, PublicKey


def apply(batch: Batch, order: OfficeOrder) -> Any:
    """Do it; returns what the order's docstring says."""
    return STEPS[type(order)](batch, order)


def _add_key(batch: Batch, order: AddSigningKey) -> int:
    ring = batch.live.ring
    name = max(ring, default=0) + 1
    if name > KEY_ID_MAX:
        raise ValueError("all key ids are used up")
    for key in list(ring.values()):
        ends = key.verify_until_ms
        if key.revoked_ms is None and order.old_until_ms is not None and (ends is None or ends > order.old_until_ms):
            ring[key.id] = PublicKey(key.id, key.public, order.old_until_ms)
            change = update(SIGNING_KEY).where(SIGNING_KEY.c.id == key.id)
            batch.rows.execute(change.values(verify_until_ms=order.old_until_ms))
    ring[name] = PublicKey(name, order.public)
    row = {"id": name, "public": order.public.hex(), "created_ms": batch.now_ms}
    batch.rows.execute(insert(SIGNING_KEY), [row])
    batch.record("signing_key", key=name, public=order.public.hex(), old_until_ms=order.old_until_ms, by=order.by)
    trusting.tell_all(batch)
    return name


def _revoke_key(batch: Batch, order: RevokeSigningKey) -> bool:
    key = batch.live.ring.get(order.id)
    if key is None:
        return False
    if key.revoked_ms is None:
        batch.live.ring[key.id] = PublicKey(key.id, key.public, key.verify_until_ms, batch.now_ms)
        change = update(SIGNING_KEY).where(SIGNING_KEY.c.id == key.id)
        batch.rows.execute(change.values(revoked_ms=batch.now_ms))
        batch.record("signing_key_revoked", key=key.id, reason=order.reason, by=order.by)
        _off_the_lists(batch, key.id)
        trusting.tell_all(batch)
    return True


def _off_the_lists(batch: Batch, key: int) -> None:
    """What a revoked key has signed is looked at once more, and goes off every lane's list.

    The numbers stay, below 0: were the newest of all gone, a controller that starts before it has looked would give
    some of them once more, to changes of which lanes then believe that they have them.
    """
    number = TICKET.c.listed_number
    batch.rows.execute(update(TICKET).where(TICKET.c.key_id == key, number > 0).values(listed_number=-number))
    for ticket in batch.rows.tickets.values():
        if ticket.key_id == key:
            ticket.listed_number = -abs(ticket.listed_number)
    batch.live.to_look_at = True


def _add_api_key(batch: Batch, order: AddApiKey) -> bool:
    if batch.rows.scalar(select(API_KEY.c.name).where(API_KEY.c.name == order.name)) is not None:
        return False
    scopes = " ".join(order.scopes)
    row = {"name": order.name, "key_sha256": order.key_sha256, "created_ms": batch.now_ms}
    row["partner"] = order.partner
    batch.rows.execute(insert(API_KEY), [row | {"scopes": scopes, "rate_per_s": order.rate_per_s}])
    who = {"partner": order.partner} if order.partner else {}
    batch.record("api_key", name=order.name, scopes=scopes, rate_per_s=order.rate_per_s, by=order.by, **who)
    return True


def _revoke_api_key(batch: Batch, order: RevokeApiKey) -> bool:
    if batch.rows.scalar(select(API_KEY.c.name).where(API_KEY.c.name == order.name)) is None:
        return False
    change = update(API_KEY).where(API_KEY.c.name == order.name, API_KEY.c.revoked_ms.is_(None))
    if batch.rows.execute(change.values(revoked_ms=batch.now_ms)):
        batch.record("api_key_revoked", name=order.name, by=order.by)
    return True


STEPS: dict[type[OfficeOrder], Callable[[Batch, Any], Any]] = {
    AddSigningKey: _add_key,
    RevokeSigningKey: _revoke_key,
    BeginImport: imports.begin,
    ImportTickets: imports.take,
    UndoImport: imports.undo,
    EndImport: imports.end,
    Restored: recounts.restored,
    ConfirmRecount: recounts.confirm,
    LeasesUnknown: recounts.leases_unknown,
    PutTogether: lane_nodes.put_together,
    AddApiKey: _add_api_key,
    RevokeApiKey: _revoke_api_key,
    ChangeTicket: ticket_life.change,
    ReplaceTicket: ticket_life.replace,
    AnnulEntry: ticket_life.annul,
    of_vouchers.SetPartner: vouchers.set_partner,
    of_vouchers.MakeLot: vouchers.make_lot,
    of_vouchers.MakeVouchers: vouchers.make_vouchers,
    of_vouchers.ChangeVouchers: vouchers.change_vouchers,
    of_vouchers.HandOver: voucher_lists.hand_over,
    of_vouchers.SetPublicCode: vouchers.set_public_code,
    of_vouchers.BlockPublicCode: vouchers.block_public_code,
    of_vouchers.CloseMonth: vouchers.close_month,
    of_vouchers.HoldVoucher: voucher_payments.hold,
    of_vouchers.CommitPayment: voucher_payments.commit,
    of_vouchers.ReleasePayment: voucher_payments.release,
    of_vouchers.EndPayment: voucher_payments.end,
    of_parking.ReplaceParkingTicket: parking_office.replace_ticket,
    of_parking.CorrectStay: parking_office.correct,
    of_parking.EndStay: parking_office.end,
    of_parking.SettleClaim: parking_office.settle,
    of_parking.AddTariff: parking_office.add_tariff,
}
