"""What tests of vouchers share: a shop, a lot, codes, and tills that hold and pay."""

import hashlib
import json
from typing import Any

from einlass_controller.domain.ledger import verify
from einlass_controller.domain.public_codes import normal
from einlass_controller.domain.vouchers import CARD, MINUTES, Limits, Lot, Partner
from einlass_controller.live import load
from einlass_controller.orders_vouchers import (
    Answered,
    ChangeVouchers,
    CommitPayment,
    EndPayment,
    HoldVoucher,
    MakeLot,
    MakeVouchers,
    ReleasePayment,
    SetPartner,
    Till,
    Use,
)
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare
from einlass_core import codes

BAKER = Partner("baker", "Bäckerei Höß")


class Shop:
    """A bench with a partner; makes lots and codes."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.made = 0
        self.order(SetPartner(BAKER, True, "ann"))

    def order(self, message: Any) -> Any:
        return self.bench.order(message)

    def lot(self, size: int = 5, limits: Limits | None = None, **changes: Any) -> Lot:
        values = {"partner": "baker", "kind": MINUTES, "value": 60, "medium": CARD, **changes}
        lot = Lot(0, first=0, last=0, made=0, limits=limits or Limits(), **values)
        made = self.order(MakeLot(lot, size, "ann"))
        assert isinstance(made, Lot), made
        return made

    def cards(self, lot: Lot, n: int = 1, activate: bool = True) -> dict[int, str]:
        """Serial numbers and codes."""
        new = []
        for _ in range(n):
            self.made += 1
            new.append(codes.opaque(9_000_000 + self.made))
        proofs = tuple((codes.digest(code), hashlib.sha256(code.encode()).hexdigest()) for code in new)
        serials = self.order(MakeVouchers(lot.id, proofs, False, "", "ann"))
        assert isinstance(serials, tuple), serials
        if activate:
            self.change("activate", serials[0], serials[-1], partner="baker")
        return dict(zip(serials, new, strict=True))

    def change(self, do: str, first: int, last: int = 0, **more: Any) -> Any:
        return self.order(ChangeVouchers(do, first, last or first, "because", "ann", **more))

    def state(self, serial: int) -> str:
        (found,) = self.bench.rows(f"SELECT state FROM voucher WHERE serial = {serial}")
        return str(found[0])


class Box:
    """A till. asks_first: a desk, which waits for every answer."""

    def __init__(self, bench: Any, name: str = "api:desk", inc: str = "i1", asks_first: bool = True) -> None:
        self.bench, self.till = bench, Till(name, inc, asks_first)
        self.number = self.payment = 0

    def open(self) -> int:
        self.payment += 1
        return self.payment

    def hold_order(self, code: str, number: int = 0, **more: Any) -> HoldVoucher:
        self.number += 0 if number else 1
        proof = self.bench.intake.prove(code.encode())
        values = {"payment": self.payment, "area": "bath", **more}
        return HoldVoucher(self.till, number or self.number, proof=proof, public=normal(code), **values)

    def hold(self, code: str, number: int = 0, **more: Any) -> dict[str, Any]:
        return dict(read(self.bench.order(self.hold_order(code, number, **more))))

    def pay_order(self, *uses: Use, payment: int = 0, **more: Any) -> CommitPayment:
        return CommitPayment(self.till, payment or self.payment, uses, **more)

    def pay(self, *uses: Use, **more: Any) -> Any:
        return read(self.bench.order(self.pay_order(*uses, **more)))

    def abort(self, payment: int = 0) -> Any:
        return read(self.bench.order(ReleasePayment(self.till, payment or self.payment)))

    def end_by_staff(self, payment: int = 0) -> Any:
        return read(self.bench.order(EndPayment(self.till.key(payment or self.payment), "till gone", "ann")))


def read(found: Any) -> Any:
    if not isinstance(found, Answered):
        return found
    assert not found.conflict
    return json.loads(found.answer)


def check_ledger(bench: Any) -> None:
    with one_moment(bench.database) as connection:
        found = compare(connection, ledger_entries(connection), load(connection))
        assert found["ok"], found["examples"]
        assert verify(ledger_entries(connection))[2] is None
