"""What a till may do with vouchers while it is cut off, and what it must not forget: what was used here, and paid here.

Its list names vouchers by digest, with the line of their lot; a lot says what one is worth, when it counts, and whether
the till may use what is its own (`own`) or whatever is on its list, up to a number and an amount until the controller
has heard of it (`report`). What was used here is not used here again, whatever a list says later.

Each sale is one row under the number of its `paid` record, written before that. A row without its record (the power
went between the two) is dropped before another record can have its number.

store: rows() -> (number, text), put(number, text), cut(number): forget that and all after it, drop(number): and all
before it. Durable when they return; OSError when they are not.
"""

import json

from einlass_core import codes
from einlass_core.record import TYPE_CHECKING, Record
from einlass_core.till_words import DISPLAY, EXIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OWN, REPORT = "own", "report"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Older ones go first: a list does not bring a voucher back that was used so many sales ago.
ROWS_MAX = 20_000
PUBLIC_LENGTHS = (4, 8)
# Why a voucher is not taken here and now; the other words are those that the controller uses, too.
CODE_ALONE, VOUCHER_ALONE, ALONE_LIMIT = "code_alone", "voucher_alone", "alone_limit"


class Worth(Record):
    """A voucher that counts here and now: its digest, what it is worth, and whether it counts to what is allowed."""

    __slots__ = ("digest", "kind", "value", "limits")

    def __init__(self, digest: str, kind: str, value: int, limits: "tuple[int, int] | None") -> None:
        self.digest = digest
        self.kind = kind
        self.value = value
        self.limits = limits  # (vouchers, cents) that may be used in all before the controller has heard of them


class Alone:
    """listed: the line of a digest, 0: not on the list. lots: line -> the fields of its `lot` message.

    acknowledged: up to which record the controller has all.
    """

    def __init__(
        self,
        store: "Any",
        lots: "dict[int, dict[str, Any]]",
        listed: "Callable[[str], int]",
        acknowledged: "Callable[[], int]",
    ) -> None:
        self.lots = lots
        self._store = store
        self._listed = listed
        self._acknowledged = acknowledged
        self._rows: "dict[int, dict[str, Any]]" = {}
        self._spent: "dict[str, int]" = {}
        for number, text in store.rows():
            self._take(number, json.loads(text))

    # What is asked

    def judge(self, code: str, now_ms: int, weekday: str) -> "Worth | str":
        """What a code is worth, or a word that says why it is not taken. now_ms: UTC."""
        if code[:3] not in (codes.OPAQUE_PREFIX, codes.SIGNED_PREFIX) and _may_be_public(code):
            return CODE_ALONE  # It ends on time and has a limit in all: only the controller knows.
        digest = codes.digest(code)
        if digest in self._spent:
            return "redeemed"
        lot = self.lots.get(self._listed(digest))
        if lot is None or lot["alone"] not in (OWN, REPORT):
            return VOUCHER_ALONE
        if lot["until"] and now_ms > lot["until"]:
            return "expired"
        if now_ms < lot["from"]:
            return "too_early"
        if lot["days"] and weekday not in lot["days"].split():
            return "wrong_day"
        limits = (lot["count"], lot["cents"]) if lot["alone"] == REPORT else None
        return Worth(digest, lot["kind"], lot["value"], limits)

    def fits(self, taken: "list[tuple[Worth, int]]") -> bool:
        """Whether these, each with the cents that it takes off, may be used without asking."""
        count, cents = self.unheard()
        for worth, saved in taken:
            if worth.limits is not None:
                count += 1
                cents += saved
        # In all, whichever lots they are of: each lot's own limit holds for the sum.
        return all(w.limits is None or (count <= w.limits[0] and cents <= w.limits[1]) for w, _ in taken)

    def unheard(self) -> "tuple[int, int]":
        """How many vouchers of others, and for how much, were used here without the controller having heard of it."""
        known = self._acknowledged()
        count = cents = 0
        for number, row in self._rows.items():
            if number > known:
                for _, saved, counts in row["used"]:
                    if counts:
                        count += 1
                        cents += saved
        return count, cents

    def is_untold(self, code: str) -> bool:
        """Whether a sale alone used this voucher, or was of this stay, and the controller has not heard of that yet.

        Asked now it would say that the voucher is good, and the stay not paid.
        """
        digest, known = codes.digest(code), self._acknowledged()
        if self._spent.get(digest, 0) > known and self._rows[self._spent[digest]]["alone"]:
            return True
        late = [row for number, row in self._rows.items() if number > known]
        return any(row["alone"] and row["subject"] == digest for row in late)

    def paid_here(self, subject: str) -> "list[dict[str, Any]]":
        """What was paid here for a stay (its digest), oldest first; see recorded() for what is in each."""
        return [row for _, row in sorted(self._rows.items()) if row["subject"] == subject]

    # What is kept

    def recorded(self, kind: str, fields: "dict[str, Any]", number: int, more: "dict[str, int]") -> None:
        """Call it before each record, with the number that it will have. OSError: it must not be written.

        more: of a sale, `credit` and `minutes`: what vouchers in money (and percent), and in minutes, were worth;
        `entered`: when its stay began (Unix ms).
        """
        if self._rows and max(self._rows) >= number:
            self._store.cut(number)
            for late in [at for at in self._rows if at >= number]:
                row = self._rows.pop(late)
                for digest, _, _ in row["used"]:
                    self._spent.pop(digest, None)
        if kind != "paid":
            return
        sale = fields["sale"]
        alone = sale.get("alone")
        saved = alone["saved"] if alone is not None else [0] * len(sale["used"])
        row = {
            "what": sale["what"],
            "subject": sale["subject"] if sale["what"] in (EXIT, DISPLAY) else "",  # of the others it is no stay
            "cents": sale["coins"] + sale["by_card"],
            "credit": more.get("credit", 0),
            "minutes": more.get("minutes", 0),
            "cards": len(sale["used"]),
            "entered": more.get("entered", 0),
            "alone": int(alone is not None),
            "until": sale["until"],
            "used": [
                [digest, saved[at], int(alone is not None and self._counts(digest))]
                for at, digest in enumerate(sale["used"])
            ],
        }
        self._store.put(number, json.dumps(row))
        self._take(number, row)

    def forget(self, now_ms: int, rows_max: int = ROWS_MAX) -> None:
        """Of a number plate whose time is over nothing is kept; nor are more sales than rows_max. now_ms: UTC."""
        for number, row in list(self._rows.items()):
            if row["what"] == DISPLAY and row["subject"] and now_ms > row["until"]:
                row["subject"] = ""
                self._store.put(number, json.dumps(row))
        if len(self._rows) > rows_max:
            last = sorted(self._rows)[-rows_max - 1]
            self._store.drop(last)
            for number in [at for at in self._rows if at <= last]:
                for digest, _, _ in self._rows.pop(number)["used"]:
                    self._spent.pop(digest, None)

    def _take(self, number: int, row: "dict[str, Any]") -> None:
        self._rows[number] = row
        for digest, _, _ in row["used"]:
            self._spent[digest] = number

    def _counts(self, digest: str) -> bool:
        lot = self.lots.get(self._listed(digest))
        return lot is None or lot["alone"] == REPORT


def _may_be_public(code: str) -> bool:
    """As the controller reads a code for everybody: 4 to 8 letters or digits."""
    plain = "".join(code.split()).replace("-", "").upper()
    letters = all("0" <= character <= "9" or "A" <= character <= "Z" for character in plain)
    return PUBLIC_LENGTHS[0] <= len(plain) <= PUBLIC_LENGTHS[1] and letters
