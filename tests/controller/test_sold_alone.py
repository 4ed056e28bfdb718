"""What tills are told so that they can price alone, and what becomes of sales that they tell afterwards."""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.controller.car_park import HOUR, Entry, Exit, ScriptedTill, plan, stay, takings
from tests.controller.conftest import Bench
from tests.controller.voucher_desk import Box, Shop, check_ledger

from einlass_controller import stamps
from einlass_controller.messages import SetRules
from einlass_controller.orders_parking import AddTariff, CorrectStay, SettleClaim
from einlass_controller.orders_vouchers import HandOver
from einlass_controller.tariffs import days_of, holidays_of, load_book
from einlass_core import codes, stamp
from einlass_tariff import carried, due
from einlass_tariff.book import Book
from einlass_tariff.due import Parked, Shown
from einlass_tariff.problems import StayError
from einlass_tariff.read import read_tariff

SECRET = b"a secret of the site"
TEXT = (Path(__file__).parent / "parkplatz.toml").read_text()
DIGEST = load_book([Path(__file__).parent / "parkplatz.toml"]).versions[0].digest


class AloneTill(ScriptedTill):
    """Takes its text and keys as the messages bring them, and sells by them."""

    def __init__(self, bench: Bench, name: str = "till") -> None:
        super().__init__(bench, name)
        self.digest = self.coming = ""
        self.pieces: list[str] = []
        self.text = ""
        self.keys: dict[int, bytes] = {}
        self.hello()

    def look(self, lose: Callable[[], bool] = lambda: False) -> int:
        """One status and what comes of it; how many messages that were."""
        said = {"digest": self.digest, "coming": self.coming, "part": len(self.pieces)}
        count = 0
        for item in self.status(book=said, stamp=max(self.keys, default=0)):
            if item["node"] != self.name or item["kind"] not in ("book", "stamp"):
                continue
            count += 1
            if lose():
                continue
            if item["kind"] == "stamp":
                self.keys[item["day"]] = bytes.fromhex(item["key"])
                continue
            if item["digest"] != self.coming:
                self.coming, self.pieces = item["digest"], []
            if item["part"] == len(self.pieces):
                self.pieces.append(item["text"])
            if len(self.pieces) == item["parts"]:
                self.text, self.digest, self.coming, self.pieces = "".join(self.pieces), self.coming, "", []
                assert hashlib.sha256(self.text.encode()).hexdigest()[:32] == self.digest
        return count

    def sync(self) -> dict[str, Any]:
        for _ in range(80):
            self.bench.now_ms += 4_000
            if not self.look():
                found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(self.text)))
                return found
        raise AssertionError("the text does not come to an end")

    def book(self) -> Book:
        return carried.book_of(self.sync()["tariff"])

    def sell_alone(
        self, subject: str, entered_ms: int, due_cents: int, *cards: str, what: str = "exit", **more: Any
    ) -> str:
        """Told as it was: the record of a sale that it has priced by itself. Returns what stands on the receipt."""
        at_ms = more.pop("at_ms", self.bench.now_ms)
        saved = more.pop("saved", [0] * len(cards))
        note = {
            "at": more.pop("priced_ms", at_ms),
            "entered": entered_ms,
            "fee": due_cents,
            "text": DIGEST,
            "saved": saved,
        }
        self.begin(subject, what)
        held = " ".join(map(str, range(len(cards))))
        said = self.paid_record(
            {"due": due_cents, "held": held, "until": more.pop("until", 0)}, cards, alone=note, **more
        )
        name = f"{self.inc}.1-{self.sale}"
        slip = {"slip": name, "what": what, "cents": due_cents, "until": 0}
        self.event("paid", till={**self.books, "sale": self.sale, "slip": slip}, sale=said, unix_ms=at_ms)
        return name


class Town:
    def __init__(self, bench: Bench) -> None:
        self.bench, self.shop = bench, Shop(bench)
        bench.engine.live.stamp_secret = SECRET
        self.entry, self.out = Entry(bench, "in"), Exit(bench, "out")
        self.entry.hello()
        self.out.hello()
        self.till = AloneTill(bench, "till")

    def claims(self) -> list[tuple[str, str, int]]:
        return [tuple(row) for row in self.bench.rows("SELECT kind, name, cents FROM till_claim ORDER BY at_ms, key")]

    def sale(self) -> Any:
        (row, *_) = self.bench.rows("SELECT is_alone, due_cents, should_cents FROM parking_sale ORDER BY paid_ms DESC")
        return row

    def wrong(self) -> list[str]:
        return [reason for entry in self.bench.ledger("paid") for reason in entry["wrong"]]

    def parked(self, hours: int = 2) -> tuple[str, int]:
        """A car that has been there for so long: its code, and when it came."""
        code = self.entry.drive_in()
        entered_ms = stay(self.bench)["entered_ms"]
        self.bench.now_ms = entered_ms + hours * HOUR
        return code, entered_ms

    def fee(self, entered_ms: int, *shown: Shown, at_ms: int = 0) -> int:
        return due.bill(self.till.book(), Parked(entered_ms), at_ms or self.bench.now_ms, 0, shown).due_cents


@pytest.fixture
def town(make_park: Callable[[dict[str, Any]], Bench]) -> Town:
    values = plan()
    values["node"].append({"id": "till2"})
    values["till"].append({"id": "kasse2", "node": "till2", "zone": "park", "name": "Kasse 2"})
    return Town(make_park(values))


def test_a_till_is_told_its_tariff_and_prices_until_it_has_them(town: Town) -> None:
    town.bench.rules(product=[{"id": "bad", "name": "Bad", "name_en": "Pool", "price_cents": 450}])
    lost = iter([True, False, True, False, False] * 100)
    town.till.look(lambda: next(lost))
    said = town.till.sync()
    assert (said["zone"], said["lost_cents"], said["products"]) == ("park", 2000, {"bad": ["Bad", "Pool", 450]})
    assert said["tariff"]["texts"] == [[TEXT, False]]
    assert town.till.look() == 0, "it has it"
    before = town.till.digest
    later = TEXT.replace(TEXT.split("valid_from = ")[1].split("\n")[0], "2030-01-01")
    assert isinstance(town.bench.order(AddTariff(later, False, "council", "ann")), int)
    assert len(town.till.sync()["tariff"]["texts"]) == 2
    assert town.till.digest != before
    town.bench.restart()
    assert town.till.look() == 0, "a controller that starts again says the very same"


def test_the_holidays_travel_as_dates() -> None:
    text = TEXT + '\n[holidays]\nstate = "BY"\ncatholic = true\n'
    here = days_of(read_tariff(text))
    there = carried.book_of(json.loads(json.dumps(carried.packed([(text, False)], holidays_of, 2026, 2027)))).days
    day, named = date(2026, 1, 1), 0
    while day.year < 2028:
        assert here.holiday(day) == there.holiday(day), day
        named += here.holiday(day) is not None
        day += timedelta(days=1)
    assert named > 20
    with pytest.raises(StayError, match="2028"):
        there.holiday(day)


def test_keys_go_to_tills_and_to_entries_with_tickets_only_and_change_every_day(town: Town) -> None:
    town.till.sync()
    today = stamps.day_of(town.bench.now_ms)
    assert sorted(town.till.keys) == [today - 1, today, today + 1]

    def told(sent: list[dict[str, Any]]) -> list[tuple[str, int]]:
        return [(item["node"], item["day"]) for item in sent if item["kind"] == "stamp"]

    assert told(town.entry.status(stamp=0)) == [("in", today)]
    assert told(town.entry.status(stamp=today)) == []
    assert told(town.out.status(stamp=0)) == [], "an exit prints nothing"
    assert told(town.bench.gate().status(stamp=0)) == []
    assert told(town.entry.status()) == [], "who says nothing of stamps has no printer"
    sent = [item for item in town.entry.status(stamp=0) if item["kind"] == "stamp"]
    key = bytes.fromhex(sent[0]["key"])
    now_s = town.bench.now_ms // 1000
    ticket = stamp.stamped(codes.opaque(7), now_s, today, key)
    assert stamp.entered(ticket.encode(), town.till.keys, now_s).entered_s == now_s
    assert len({stamps.key_of(SECRET, zone, day) for zone in ("park", "bath") for day in range(9)}) == 18
    town.bench.pass_by(hours=24)
    assert told(town.entry.status(stamp=today)) == [("in", today + 1)]
    for told_of in (key.hex(), town.till.keys[today - 1].hex()):
        rows = town.bench.rows("SELECT body FROM ledger") + town.bench.rows("SELECT answer FROM parking_price")
        assert not [row for row in rows if told_of in str(row)], "a key is in no ledger"
    town.bench.engine.live.stamp_secret = b""
    assert told(town.entry.status(stamp=0)) == []


def test_a_ticket_with_a_stamp_is_the_same_ticket_to_everybody(town: Town) -> None:
    code, _ = town.parked(0)
    ticket = stamp.stamped(code, 1_790_000_000, 20717, b"0123456789abcdef")
    assert town.bench.intake.prove(ticket.encode()) == town.bench.intake.prove(code.encode())
    assert town.out.ask_out(ticket)["code"] == "ok_exit"


def test_a_sale_alone_that_was_right_is_credited_and_claimed_by_nobody(town: Town) -> None:
    code, entered_ms = town.parked()
    cents = town.fee(entered_ms)
    assert cents > 0
    town.bench.now_ms += 60_000
    sold_ms = town.bench.now_ms
    town.bench.pass_by(hours=3)
    town.till.sell_alone(code, entered_ms - 900, town.fee(entered_ms - 900, at_ms=sold_ms), at_ms=sold_ms)
    assert (town.claims(), town.wrong()) == ([], [])
    found = stay(town.bench)
    assert (found["paid_cents"], found["paid_ms"]) == (takings(town.bench), sold_ms)
    is_alone, *_ = town.sale()
    assert is_alone == 1
    (entry,) = town.bench.ledger("paid")
    assert (entry["alone"]["entered_ms"], entry["should_cents"]) == (entered_ms - 900, entry["due_cents"])
    assert DIGEST in entry["tariff"]
    check_ledger(town.bench)


def test_too_little_and_too_much_become_claims_that_are_settled_once(town: Town) -> None:
    first, entered_ms = town.parked()
    cents = town.fee(entered_ms)
    name = town.till.sell_alone(first, entered_ms, cents - 10)
    assert town.claims() == [("due", name, 10)]
    second, entered_ms = town.parked()
    cents = town.fee(entered_ms)
    other = town.till.sell_alone(second, entered_ms, cents + 70)
    assert town.claims()[1:] == [("refund", other, 70)]
    assert [entry["cents"] for entry in town.bench.ledger("sale_differs")] == [10, 70]
    assert len([entry for entry in town.bench.ledger("alarm") if "sold_alone" in entry["reason"]]) == 2
    assert town.bench.order(SettleClaim(other, "paid back", "ann")) == 70
    assert "before" in str(town.bench.order(SettleClaim(other, "once more", "ann")))
    # A paper for money owed by the same machine, whose name begins like a receipt's, settles nothing of that.
    town.till.begin("x")
    slip = {"slip": f"{name}-o-o", "what": "", "cents": 0, "until": 0, "owed": 90}
    town.till.event("owed", till={**town.till.books, "sale": 9, "slip": slip}, sale={"cents": 30})
    assert town.bench.rows("SELECT state FROM till_claim WHERE kind = 'due'") == [("open",)]


def test_paid_at_another_till_before_is_paid_back(town: Town) -> None:
    code, entered_ms = town.parked()
    priced = AloneTill(town.bench, "till2").sell(code)
    assert priced["due"] > 0
    name = town.till.sell_alone(code, entered_ms, priced["due"])
    assert town.claims() == [("refund", name, priced["due"])]


def test_the_books_know_better_when_a_stay_began_unless_it_is_seconds(town: Town) -> None:
    code, entered_ms = town.parked(3)
    found = stay(town.bench)["id"]
    town.bench.order(CorrectStay(found, entered_ms + 2 * HOUR, None, "the entry was stuck", "ann"))
    told = town.fee(entered_ms)
    name = town.till.sell_alone(code, entered_ms, told)
    assert town.claims() == [("refund", name, told - town.fee(entered_ms + 2 * HOUR))]


def test_a_fee_that_rises_while_somebody_pays_is_not_claimed(town: Town) -> None:
    code, entered_ms = town.parked(2)
    priced_ms = entered_ms + 2 * HOUR + HOUR // 2 - 10_000  # the first half is free
    cents = town.fee(entered_ms, at_ms=priced_ms)
    assert town.fee(entered_ms, at_ms=priced_ms + 90_000) > cents, "a third hour has begun"
    town.bench.now_ms = priced_ms + 90_000
    town.till.sell_alone(code, entered_ms, cents, at_ms=town.bench.now_ms, priced_ms=priced_ms)
    assert town.claims() == []


def test_own_vouchers_are_used_once_and_take_off_what_the_till_said(town: Town) -> None:
    cards = town.shop.cards(town.shop.lot(60), 2)
    first, second = cards.values()
    town.bench.order(HandOver(min(cards), max(cards), "kasse", False, "summer fair", "ann"))
    code, entered_ms = town.parked(3)
    whole, rest = town.fee(entered_ms), town.fee(entered_ms, Shown(0, "minutes", 60))
    assert rest < whole
    town.till.sell_alone(code, entered_ms, rest, first, saved=[whole - rest])
    assert (town.claims(), town.wrong()) == ([], [])
    assert town.bench.rows(f"SELECT state, saved_cents FROM voucher WHERE serial = {min(cards)}") == [
        ("redeemed", whole - rest)
    ]
    other, entered_ms = town.parked(3)
    name = town.till.sell_alone(other, entered_ms, rest, first, saved=[whole - rest])
    assert town.claims() == [("due", name, whole - rest)], "the same card again takes nothing off"
    assert len(town.bench.ledger("voucher_conflict")) == 1
    third, entered_ms = town.parked(3)
    town.till.sell_alone(third, entered_ms, rest, second, saved=[whole - rest])
    assert len(town.claims()) == 1
    check_ledger(town.bench)


def test_shown_elsewhere_while_the_record_is_on_its_way_is_found(town: Town) -> None:
    report = town.shop.cards(town.shop.lot(60, while_cut_off="report"), 1)
    own = town.shop.cards(town.shop.lot(60), 1)
    town.bench.order(HandOver(min(own), max(own), "kasse", False, "summer fair", "ann"))
    (shared,), (mine,) = report.values(), own.values()
    code, entered_ms = town.parked(3)
    whole, rest = town.fee(entered_ms), town.fee(entered_ms, Shown(0, "minutes", 120))
    desk = Box(town.bench)
    desk.open()
    assert desk.hold(mine, area="park")["code"] == "owned_elsewhere", "nobody else can use it meanwhile"
    assert desk.hold(shared, area="park")["code"] == "ok"
    name = town.till.sell_alone(code, entered_ms, rest, mine, shared, saved=[whole - rest, 0])
    (conflict,) = town.bench.ledger("voucher_conflict")
    assert (conflict["voucher"], conflict["state"]) == (min(report), "held")
    ((kind, at, cents),) = town.claims()
    assert (kind, at) == ("due", name)
    assert cents == town.fee(entered_ms, Shown(0, "minutes", 60)) - rest


def test_the_entry_was_cut_off_too_and_tells_after_the_till(town: Town) -> None:
    code = town.entry.code()
    entered_ms = town.bench.now_ms
    town.bench.pass_by(hours=2)
    cents = town.fee(entered_ms)
    town.till.sell_alone(code, entered_ms, cents)
    assert (town.claims(), town.wrong()) == ([], [])
    found = stay(town.bench)
    assert (found["state"], found["paid_cents"], found["entered_ms"]) == ("issued", cents, entered_ms)
    town.entry.alone(code, unix_ms=entered_ms)
    found = stay(town.bench)
    assert (found["state"], found["paid_cents"]) == ("inside", cents)
    assert town.out.drive_out(code)["code"] == "ok_exit"
    assert stay(town.bench)["unpaid_cents"] == 0


def test_who_paid_alone_and_left_by_an_open_exit_owes_nothing_in_whatever_order_it_is_told(town: Town) -> None:
    for told_first in ("exit", "till", "exit before the entry"):
        code = town.entry.code()
        town.bench.pass_by(minutes=1)
        entered_ms = town.bench.now_ms
        if told_first != "exit before the entry":
            town.entry.drive_in(code)
        town.bench.now_ms = entered_ms + 2 * HOUR
        cents, sold_ms = town.fee(entered_ms), entered_ms + 2 * HOUR
        town.bench.pass_by(minutes=5)
        if told_first == "till":
            town.till.sell_alone(code, entered_ms, cents, at_ms=sold_ms)
            town.out.alone(code)
        else:
            town.out.alone(code)
            town.till.sell_alone(code, entered_ms, cents, at_ms=sold_ms)
        if told_first == "exit before the entry":
            town.entry.alone(code, unix_ms=entered_ms)
        digest = codes.digest(code)
        ((state, paid, unpaid),) = town.bench.rows(
            "SELECT state, paid_cents, unpaid_cents FROM stay JOIN ticket ON ticket.id = stay.ticket "
            f"WHERE digest = '{digest}'"
        )
        assert (state, paid, unpaid) == ("left", cents, 0), told_first
        assert (town.claims(), town.wrong()) == ([], []), told_first


def test_pay_and_display_alone_is_worth_what_its_time_costs(town: Town) -> None:
    now_ms = town.bench.now_ms
    book = town.till.book()
    bought = due.display(book, Parked(now_ms), 300)
    town.till.sell_alone("WW-X 1", now_ms, bought.due_cents, what="display", until=bought.until_ms, at_ms=now_ms)
    assert town.claims() == []
    first = stay(town.bench)
    assert (first["kind"], first["paid_cents"], first["until_ms"]) == ("display", bought.due_cents, bought.until_ms)
    on = due.display(book, Parked(now_ms, paid_cents=bought.due_cents, until_ms=bought.until_ms), 200)
    town.till.sell_alone("WW-X 1", now_ms, on.due_cents, what="display", until=on.until_ms)
    assert (town.claims(), town.bench.rows("SELECT count(*) FROM stay")) == ([], [(1,)]), "the same stay goes on"
    late_ms = town.bench.now_ms
    name = town.till.sell_alone("WW-X 2", late_ms, 10, what="display", until=late_ms + 2 * HOUR, at_ms=late_ms)
    ((kind, at, cents),) = town.claims()
    assert (kind, at) == ("due", name)
    assert cents == due.cost_until(book, Parked(late_ms), late_ms + 2 * HOUR) - 10


def test_lost_tickets_and_products_have_their_price(town: Town) -> None:
    town.bench.order(
        SetRules({"product": [{"id": "bad", "name": "Bad", "entries": 1, "price_cents": 450}]}, 0, "ann", "a desk")
    )
    town.till.sell_alone("bad", 0, 450, what="pool", code=codes.digest(codes.opaque(31)))
    town.till.sell_alone("lost", town.bench.now_ms, 2000, what="lost", code=codes.digest(codes.opaque(32)))
    assert (town.claims(), town.wrong()) == ([], [])
    name = town.till.sell_alone("bad", 0, 400, what="pool", code=codes.digest(codes.opaque(33)))
    assert town.claims() == [("due", name, 50)]


@pytest.mark.parametrize(
    "note",
    [{}, {"at": -5, "entered": "x", "fee": None, "saved": "no", "text": 7}, {"saved": [1] * 99, "text": "f" * 99}, 7],
)
def test_a_machine_that_talks_nonsense_of_a_sale_alone_stops_nothing(town: Town, note: Any) -> None:
    code, _ = town.parked()
    town.till.begin(code)
    said = town.till.paid_record({"due": 100, "held": "", "until": 0}, (), alone=note)
    town.till.record("paid", said)
    assert takings(town.bench) == 100
    assert stay(town.bench)["paid_cents"] == 100
