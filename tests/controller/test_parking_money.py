"""Money and vouchers whatever happens on the way: every cent told is in the takings once, a voucher is used once.

Two tills, cars, shops' cards; questions and records that repeat, get lost, come late; machines and controller that
start again in the middle. A till obeys the rules of einlass_core.till: it uses only what its last answer held for it.
"""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.controller.car_park import HOUR, Entry, Exit, ScriptedTill, plan, takings
from tests.controller.conftest import Bench
from tests.controller.voucher_desk import Shop, check_ledger

from einlass_controller.domain.parking import INSIDE, TICKET, ParkingStay
from einlass_controller.messages import Tick
from einlass_controller.tariffs import load_book
from einlass_tariff import due
from einlass_tariff.due import Shown

SEEDS = range(4)
ACTIONS = 90
CARDS = 12
BOOK = load_book([Path(__file__).with_name("parkplatz.toml")])


class LossyTill(ScriptedTill):
    """Its records wait, repeat and arrive in order; its questions overtake them."""

    def __init__(self, bench: Bench, name: str, chance: random.Random) -> None:
        super().__init__(bench, name)
        self.chance = chance
        self.waiting: list[Any] = []
        self.told: list[dict[str, Any]] = []
        self.priced: dict[str, Any] | None = None
        self.cards: tuple[str, ...] = ()
        self.shown: tuple[str, ...] = ()
        self.hello()

    def record(self, kind: str, sale: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
        message = self.event_message(kind, till={**self.books, "sale": self.sale, **more}, sale=sale or {})
        self.waiting.append(message)
        if self.chance.random() < 0.6:
            self.deliver()
        return []

    def deliver(self) -> None:
        """As a node sends: all that is not acknowledged, again and again."""
        for message in self.waiting:
            for _ in range(self.chance.choice((1, 1, 2))):
                self.bench.attempt(message)
        if self.chance.random() < 0.7:
            self.waiting.clear()

    def serve(self, code: str, cards: list[str]) -> None:
        self.begin(code)
        self.priced, self.cards = None, ()
        for _ in range(self.chance.randrange(1, 4)):
            shown = (*self.cards, *self.chance.sample(cards, self.chance.randrange(0, 3)))
            shown = tuple(dict.fromkeys(shown))[:6]
            question = self.price_message(shown)
            outcome = self.bench.attempt(question)
            for _ in range(self.chance.choice((0, 0, 1))):
                again = self.bench.attempt(question)
                assert _payload(again) == _payload(outcome)
            answer = next(item for item in self.bench.read(outcome) if item["kind"] == "priced")
            if self.chance.random() < 0.2:  # lost: with cards in hand there is no sale without a fresh answer
                self.abort()
                return
            if answer["code"] == "ok":
                self.priced = answer
                self.cards = tuple(shown[int(place)] for place in answer["held"].split())
                self.shown = shown
            elif self.priced is not None:  # as the core: ask again for what was held before
                fresh = self.price(*self.cards)
                if fresh["code"] != "ok":
                    self.abort()
                    return
                self.priced, self.shown = fresh, self.cards

    def finish(self) -> None:
        """Paid, broken off, or the power goes."""
        what = self.chance.random()
        if self.priced is None or what < 0.25:
            self.abort()
        elif what < 0.4:
            self.boot += 1
            self.waiting.append(self.event_message("boot"))
            self.priced = None
        else:
            said = self.paid_record(self.priced, self.shown)
            if self.chance.random() < 0.3 and said["due"]:
                said |= {"coins": 0, "by_card": said["due"], "ref": f"r{self.sale}"}
                self.books["taken"] -= said["due"]
                self.books["kept"] -= said["due"]
            self.told.append(said)
            self.record("paid", said)
            self.priced = None

    def abort(self) -> None:
        self.priced = None
        self.record("aborted")


def _payload(outcome: Any) -> list[bytes]:
    return [item.payload for item in outcome.outbound if item.topic.endswith("/priced")]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_cent_once_and_every_voucher_once(make_park: Callable[[dict[str, Any]], Bench], seed: int) -> None:
    chance = random.Random(seed)
    values = plan(cap=200)
    values["node"].append({"id": "till2"})
    values["till"].append({"id": "kasse2", "node": "till2", "zone": "park", "name": "Kasse 2"})
    bench = make_park(values)
    shop = Shop(bench)
    cards = [*shop.cards(shop.lot(20), CARDS).values(), *shop.cards(shop.lot(5, kind="cents", value=150), 5).values()]
    cards += shop.cards(shop.lot(5, kind="percent", value=50), 3).values()
    entry, leave = Entry(bench, "in"), Exit(bench, "out")
    entry.hello(), leave.hello()
    tills = [LossyTill(bench, name, chance) for name in ("till", "till2")]
    inside: list[str] = [entry.drive_in()]
    for _ in range(ACTIONS):
        bench.now_ms += chance.randrange(1, HOUR // 3)
        till, what = chance.choice(tills), chance.random()
        if what < 0.2:
            inside.append(entry.drive_in())
        elif what < 0.65:
            till.serve(chance.choice(inside), cards)
            other = chance.choice(tills)
            if other is not till and other.priced is None:
                other.serve(chance.choice(inside), cards)
                other.finish()
            till.finish()
        elif what < 0.75:
            till.deliver()
        elif what < 0.8:
            bench.restart()
        elif what < 0.9:
            code = chance.choice(inside)
            if leave.ask_out(code)["code"] == "ok_exit":
                leave.alone(code)
                inside.remove(code)
                inside = inside or [entry.drive_in()]
        else:
            bench.attempt(Tick())
    for till in tills:
        till.deliver()
        till.begin(inside[0])
        till.chance = random.Random(1)
        till.record("aborted")
        till.deliver()

    told = [said for till in tills for said in till.told]
    assert told, "this seed sold something"
    assert takings(bench) == sum(said["coins"] + said["by_card"] for said in told)
    assert len(bench.ledger("paid")) == len(told)
    assert bench.rows("SELECT count(*) FROM voucher WHERE state = 'held'") == [(0,)]
    used = Counter(serial for entry in bench.ledger("vouchers_used") for serial in entry["used"])
    assert set(used.values()) <= {1}
    assert sum(used.values()) == sum(len(said["used"]) for said in told)
    assert not bench.ledger("voucher_conflict")
    wrong = [entry["wrong"] for entry in bench.ledger("paid") if entry["wrong"]]
    assert all(reason == "it was paid for a stay that was over" for reasons in wrong for reason in reasons), wrong
    ((paid,),) = bench.rows("SELECT sum(paid_cents) FROM stay")
    assert int(paid) == takings(bench), "every cent is some stay's"
    ((saved,),) = bench.rows("SELECT coalesce(sum(saved_cents), 0) FROM voucher")
    assert int(saved) == sum(entry["saved_cents"] for entry in bench.ledger("paid"))
    check_ledger(bench)


KINDS = st.sampled_from([("minutes", 30), ("minutes", 60), ("minutes", 180), ("cents", 50), ("cents", 250)])
KINDS |= st.sampled_from([("percent", 10), ("percent", 50), ("percent", 100)])


@settings(max_examples=120, deadline=None)
@given(
    minutes=st.integers(0, 30 * 60),
    offered=st.lists(KINDS, max_size=6),
    paid=st.integers(0, 1200),
    credit=st.sampled_from([0, 0, 150]),
    old_minutes=st.sampled_from([0, 0, 60, 120]),
)
def test_a_bill_adds_up_and_takes_only_what_helps(
    minutes: int, offered: list[tuple[str, int]], paid: int, credit: int, old_minutes: int
) -> None:
    now_ms = 1_790_000_000_000
    entered = now_ms - minutes * 60_000
    old = ParkingStay("T", "park", TICKET, INSIDE, "T", entered, None, paid, credit, old_minutes, old_minutes // 60)
    plain = due.bill(BOOK, old, now_ms)
    shown = [Shown(place, kind, value) for place, (kind, value) in enumerate(offered)]
    found = due.bill(BOOK, old, now_ms, 0, shown)
    assert 0 <= found.due_cents <= plain.due_cents
    assert found.saved_cents == plain.due_cents - found.due_cents
    assert all(item.saved_cents >= 0 and 0 < item.value <= offered[item.place][1] for item in found.taken)
    if found.due_cents:
        assert sum(cents for _, _, cents in found.lines) == found.due_cents
    for item in found.taken:
        without = [one for one in shown if one.place in {other.place for other in found.taken} - {item.place}]
        assert due.bill(BOOK, old, now_ms, 0, without).due_cents > found.due_cents, "each one helps"


@settings(max_examples=60, deadline=None)
@given(cents=st.integers(0, 3000), before=st.integers(0, 800))
def test_money_to_time_is_the_inverse(cents: int, before: int) -> None:
    now_ms = 1_790_000_000_000
    old = ParkingStay("", "park", "display", INSIDE, "", now_ms, None, before)
    found = due.display(BOOK, old, cents)
    assert 0 <= found.due_cents <= cents
    until_s = found.until_ms // 1000
    as_exit = ParkingStay("", "park", TICKET, INSIDE, "", now_ms)
    assert due.bill(BOOK, as_exit, until_s * 1000).fee_cents <= before + cents
