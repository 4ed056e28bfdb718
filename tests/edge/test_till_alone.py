"""What a till prices by while it is cut off: as it came in pieces, the time it may believe, what it knows of a stay."""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from einlass_core import codes, stamp
from einlass_core.allowlist import AllowList
from einlass_core.journal import Journal, JournalError
from einlass_core.till_words import DISPLAY, EXIT, LOST, POOL, Price, PriceAlone
from einlass_core.wire_till import PIECES_AT_ONCE
from einlass_edge import till_clock
from einlass_edge.clock import WallClock
from einlass_edge.database import Database
from einlass_edge.journal_store import JournalStore
from einlass_edge.list_files import ListFiles
from einlass_edge.ticket_stamps import TicketStamps
from einlass_edge.till_alone import AloneDesk, Told, list_folder
from einlass_edge.till_book import TillBook
from einlass_edge.till_clock import TillClock
from einlass_edge.till_sold import SoldStore
from einlass_edge.till_tariff import TillTariff
from einlass_tariff import carried, due
from einlass_tariff.days import NoHolidays
from einlass_tariff.due import Parked

TARIFF = """
tariff = "parkplatz"
title = "Parkplatz"
valid_from = 2020-01-01
grace_minutes = 15
[rate.hour]
steps = [{ minutes = 60, cents = 100 }]
"""
NOON_MS = int(datetime(2026, 5, 12, 12, tzinfo=UTC).timestamp()) * 1000  # a Tuesday
HOUR_MS = 3_600_000
DAY = 20_585
KEY = b"0123456789abcdef"
TICKET, OWN, SHARED = codes.opaque(1), codes.opaque(2), codes.opaque(3)


def text_of(tariff: str = TARIFF, **more: Any) -> str:
    said: dict[str, Any] = {
        "zone": "park",
        "tariff": carried.packed([(tariff, False)], lambda rules: NoHolidays(), 2025, 2028),
    }
    said |= {"lost_cents": 2000, "products": {"bad": ["Bad", "Pool", 450]}, **more}
    return base64.b64encode(zlib.compress(json.dumps(said).encode())).decode()


def pieces(text: str, size: int = 100) -> list[dict[str, Any]]:
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return [
        {"inc": "i", "digest": digest, "part": number, "parts": len(parts), "text": part}
        for number, part in enumerate(parts)
    ]


class Desk:
    """An AloneDesk on a disk, told what the controller tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ms = NOON_MS
        self.acknowledged = 0
        self.number = 0
        self.questions = 0
        self.open()

    def open(self) -> None:
        self.database = Database(self.folder / "till.db")
        self.book = TillBook(self.database)
        listed = AllowList(ListFiles(self.folder / "till.list"))
        self.desk = AloneDesk(
            self.book,
            SoldStore(self.database),
            listed,
            lambda: self.acknowledged,
            lambda: self.now_ms,
            "Europe/Berlin",
        )

    def again(self) -> None:
        """As after kill -9."""
        self.database.close()
        self.open()

    def tell_all(self) -> None:
        for piece in pieces(text_of()):
            self.desk.heard("book", piece)
        self.desk.heard("stamp", {"inc": "i", "day": DAY, "key": KEY.hex()})
        for line, alone in ((1, "own"), (2, "report")):
            lot = {"kind": "minutes", "value": 60, "alone": alone, "from": 0, "until": 0, "days": ""}
            self.desk.heard("lot", {"inc": "i", "line": line, "lot": line, **lot, "count": 1, "cents": 500})
        entries = sorted((codes.digest(OWN) + "01", codes.digest(SHARED) + "02"))
        version = {"since": {"added": 0, "removed": 0}, "to": {"added": 5, "removed": 5}}
        self.desk.heard("list", {"inc": "i", **version, "start": True, "end": True, "entries": "".join(entries)})

    def ask(self, *cards: str, what: str = EXIT, subject: str = TICKET, hours: float = 2, **more: Any) -> Told:
        self.questions += 1
        entered_s = int(self.now_ms - hours * HOUR_MS) // 1000
        raw = more.get("raw", stamp.stamped(TICKET, entered_s, DAY, KEY).encode())
        asked = PriceAlone(f"n{self.questions}", what, subject, cards, more.get("paid", 0))
        return self.desk.price(asked, raw, more.get("known_ms", 0))

    def sell(self, told: Told, what: str = EXIT, subject: str = TICKET) -> None:
        self.number += 1
        priced = told.priced
        assert priced.code == "ok", priced
        sale = {"what": what, "subject": codes.digest(subject), "coins": priced.due, "by_card": 0}
        sale |= {"until": priced.until, "used": [codes.digest(card) for card in priced.held], "alone": priced.alone}
        self.desk.rules.recorded("paid", {"sale": sale}, self.number, told.more)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.tell_all()
    yield made
    made.database.close()


def test_a_text_comes_in_pieces_and_is_kept(tmp_path: Path) -> None:
    made = Desk(tmp_path)
    told = pieces(text_of(), 10)
    assert len(told) > 2 * PIECES_AT_ONCE
    assert made.desk.status()["book"] == {"digest": "", "coming": "", "part": 0}
    answers = [made.desk.heard("book", piece) for piece in told[:-1]]
    assert [number for number, wanted in enumerate(answers, 1) if wanted] == [
        number for number in range(1, len(told)) if number % PIECES_AT_ONCE == 0
    ]
    assert made.desk.heard("book", told[-3]) is False, "it has that one"
    assert made.ask().priced.code == "offline_not_here", "half a tariff is none"
    assert made.desk.heard("book", told[-1]) is True
    assert made.desk.status()["book"]["digest"] == told[0]["digest"]
    made.again()
    assert made.desk.status()["book"] == {"digest": told[0]["digest"], "coming": "", "part": 0}
    # The next text begins: the one that is there holds until it is whole, and a piece that is missing waits.
    after = pieces(text_of(lost_cents=1), 10)
    assert [made.desk.heard("book", after[number]) for number in (0, 2, 1)] == [False, False, False]
    assert made.desk.status()["book"] == {"digest": told[0]["digest"], "coming": after[0]["digest"], "part": 2}
    made.database.close()


@pytest.mark.parametrize(
    "text",
    [
        "no base64",
        base64.b64encode(b"not compressed").decode(),
        base64.b64encode(zlib.compress(b"[]")).decode(),
        base64.b64encode(zlib.compress(b'{"zone":"x"}')).decode(),
        base64.b64encode(zlib.compress(b" " * 5_000_000)).decode(),
        base64.b64encode(
            zlib.compress(json.dumps({"zone": "x", "tariff": {"texts": [["x", False]]}}).encode())
        ).decode(),
    ],
)
def test_a_text_that_nobody_can_price_by_is_thrown_away(desk: Desk, text: str) -> None:
    before = desk.desk.status()["book"]["digest"]
    assert [desk.desk.heard("book", piece) for piece in pieces(text, 700)][-1] is False
    assert desk.desk.status()["book"] == {"digest": before, "coming": "", "part": 0}
    (other,) = pieces(text_of(lost_cents=1), 5000)
    assert desk.desk.heard("book", {**other, "digest": "0" * 32}) is False, "not what its digest says"
    assert desk.desk.heard("book", {**other, "digest": ""}) is False
    assert desk.desk.status()["book"]["digest"] == before
    assert desk.ask().priced.due == 200


def test_a_stored_text_that_is_not_sound_is_asked_for_anew(tmp_path: Path) -> None:
    made = Desk(tmp_path)
    made.book.write("tariff", {"digest": "d" * 32, "text": "nonsense"})
    assert TillTariff(made.book).status()["digest"] == ""
    made.database.close()


def test_a_stay_costs_what_the_controller_would_ask(desk: Desk) -> None:
    for hours, cents in ((0.5, 100), (1, 100), (2.01, 300), (23, 2300)):
        told = desk.ask(hours=hours)
        entered_ms = told.values["entered_ms"]
        there = due.bill(carried.book_of(carried.packed([(TARIFF, False)], lambda r: NoHolidays(), 2025, 2028)),
                         Parked(entered_ms), desk.now_ms)  # fmt: skip
        assert told.priced.due == there.due_cents == cents
        assert told.priced.alone == {
            "at": desk.now_ms, "entered": entered_ms, "fee": there.fee_cents, "text": there.digest, "saved": [],
        }  # fmt: skip


def test_what_was_paid_here_counts_and_the_grace_does_not_begin_anew(desk: Desk) -> None:
    first = desk.ask(OWN)
    assert (first.priced.due, first.priced.held, first.more["minutes"]) == (100, (OWN,), 60)
    desk.sell(first)
    desk.again()
    desk.now_ms += 5 * 60_000
    again = desk.ask(hours=2 + 5 / 60)
    assert (again.priced.due, again.priced.until) == (0, first.priced.until)
    desk.now_ms += 50 * 60_000
    late = desk.ask(hours=2 + 55 / 60)
    assert late.priced.due == 100, "three hours, one of them by the card, one paid"
    assert desk.ask(OWN, hours=3).priced.code == "redeemed"


def test_what_the_controller_has_not_heard_of_is_not_put_to_it(desk: Desk) -> None:
    def instead(subject: str, *cards: str) -> str:
        found = desk.desk.instead(Price("n", EXIT, subject, cards, 0))
        return "" if found is None else found.code

    assert instead(TICKET, OWN) == ""
    desk.sell(desk.ask(OWN))
    assert instead(SHARED, OWN) == "redeemed", "it would be held for another sale, and used twice"
    assert instead(TICKET) == "offline_not_here", "it would be asked to pay once more"
    assert instead(SHARED) == ""
    desk.acknowledged = 1
    assert instead(TICKET, OWN) == ""


def test_without_a_stamp_there_is_no_price_unless_the_stay_is_known_here(desk: Desk) -> None:
    plain = TICKET.encode()
    assert desk.ask(raw=plain).priced.code == stamp.MISSING
    assert desk.ask(raw=plain, known_ms=desk.now_ms - HOUR_MS).priced.due == 100, "an answer before has said when"
    foreign = stamp.stamped(TICKET, desk.now_ms // 1000, DAY, b"x" * 16).encode()
    assert desk.ask(raw=foreign, known_ms=desk.now_ms).priced.code == stamp.WRONG
    assert desk.ask(raw=stamp.stamped(TICKET, desk.now_ms // 1000, DAY - 9, KEY).encode()).priced.code == stamp.OLD
    desk.sell(desk.ask())
    desk.now_ms += HOUR_MS
    assert desk.ask(raw=plain).priced.due == 100, "paid here before: it is known when it came"


def test_pay_and_display_goes_on_where_its_time_ends(desk: Desk) -> None:
    first = desk.ask(what=DISPLAY, subject="B-X 1", paid=100)
    assert first.priced.until - desk.now_ms == HOUR_MS
    desk.sell(first, DISPLAY, "B-X 1")
    desk.now_ms += HOUR_MS // 2
    more = desk.ask(what=DISPLAY, subject="B-X 1", paid=100)
    assert more.priced.until == first.priced.until + HOUR_MS
    assert desk.ask(what=DISPLAY, subject="B-X 2", paid=100).priced.until == desk.now_ms + HOUR_MS
    desk.now_ms += HOUR_MS
    assert desk.ask(what=DISPLAY, subject="B-X 1", paid=100).priced.until == desk.now_ms + HOUR_MS


def test_lost_tickets_and_products_have_the_prices_that_were_told(desk: Desk) -> None:
    assert desk.ask(what=LOST, subject="lost").priced.due == 2000
    assert desk.ask(what=POOL, subject="bad").priced.due == 450
    assert desk.ask(what=POOL, subject="gold").priced.code == "wrong_product"


def test_weekdays_are_those_of_the_place(desk: Desk) -> None:
    lot = {"inc": "i", "line": 1, "lot": 1, "kind": "minutes", "value": 60, "alone": "own", "from": 0, "until": 0}
    desk.desk.heard("lot", {**lot, "days": "wed", "count": 0, "cents": 0})
    assert desk.ask(OWN).priced.code == "wrong_day"
    desk.now_ms = NOON_MS + 10 * HOUR_MS + HOUR_MS // 4  # 22:15 by UTC, a quarter past midnight in Berlin
    assert desk.ask(OWN).priced.code == "ok"


def test_what_was_told_is_there_after_a_restart(desk: Desk) -> None:
    desk.sell(desk.ask(SHARED))
    desk.again()
    assert desk.desk.status()["stamp"] == DAY
    assert desk.ask(OWN).priced.code == "ok"
    assert desk.ask(SHARED).priced.code == "redeemed"
    assert desk.desk.rules.unheard() == (1, 100)
    assert desk.desk.rules.fits([]) is True
    other = codes.opaque(4)
    news = {
        "since": {"added": 5, "removed": 5},
        "to": {"added": 6, "removed": 5},
        "entries": codes.digest(other) + "02",
    }
    desk.desk.heard("list", {"inc": "i", **news})
    assert desk.ask(other, subject=SHARED).priced.code == "alone_limit"
    desk.acknowledged = 1
    assert desk.ask(other, subject=SHARED).priced.code == "ok", "the controller has heard of it"


def test_only_three_days_keys_are_kept_and_nonsense_is_not(desk: Desk) -> None:
    for day in range(DAY - 1, DAY + 3):
        desk.desk.heard("stamp", {"inc": "i", "day": day, "key": bytes([day % 256] * 16).hex()})
    desk.desk.heard("stamp", {"inc": "i", "day": DAY + 9, "key": "short"})
    desk.desk.heard("stamp", {"inc": "i", "day": DAY + 9, "key": "00" * 15})
    assert sorted(int(day) for day in desk.book.read("keys")) == [DAY, DAY + 1, DAY + 2]


def test_without_the_time_nothing_is_sold(desk: Desk) -> None:
    desk.now_ms = 0
    for what in (EXIT, DISPLAY, POOL, LOST):
        assert desk.ask(what=what, raw=TICKET.encode()).priced.code == "clock_untrusted"


def test_a_sale_that_is_damaged_on_the_disk_is_noticed(desk: Desk) -> None:
    desk.sell(desk.ask(OWN))
    desk.database.write("UPDATE sold SET line = ?", (b"00000000 {}\n",))
    with pytest.raises(JournalError, match="sale 1"):
        desk.again()


def test_a_list_outlives_no_journal(tmp_path: Path) -> None:
    """What another incarnation owned may have been used by it: it is not this one's."""
    paths = []
    for name in ("first.db", "second.db"):
        database = Database(tmp_path / name)
        journal = Journal(JournalStore(database), f"inc-{name}")
        paths.append(list_folder(tmp_path / "till.list", journal))
        (paths[-1] / "list").write_bytes(b"kept")
        assert list_folder(tmp_path / "till.list", journal) == paths[-1]
        database.close()
    assert [(path / "list").exists() for path in paths] == [False, True]


class Clocked:
    def __init__(self, desk: Desk, battery: bool = False, at_ms: int = 1_000) -> None:
        self.wall = WallClock()
        self.clock = TillClock(self.wall, desk.book, at_ms, battery)
        self.at_ms = at_ms

    @property
    def now_ms(self) -> int:
        return self.wall.unix_ms(self.at_ms)


def test_the_time_outlives_the_process_and_not_the_computer(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(till_clock, "BOOT_ID", boot)
    assert Clocked(desk).now_ms == 0
    Clocked(desk).clock.heard(NOON_MS, 1_000)
    assert Clocked(desk, at_ms=61_000).now_ms == NOON_MS + 60_000, "another process, a minute later"
    boot.write_text("second\n")
    assert Clocked(desk).now_ms == 0, "how long it was off nobody knows"
    assert abs(Clocked(desk, battery=True).now_ms - time.time() * 1000) < 60_000
    Clocked(desk).clock.heard(4_000_000_000_000, 1_000)
    boot.write_text("third\n")
    assert Clocked(desk, battery=True).now_ms == 0, "a clock that stands before the last word is wrong"
    monkeypatch.setattr(till_clock, "BOOT_ID", tmp_path / "none")
    unknown = Clocked(desk)
    unknown.clock.heard(NOON_MS, 1_000)
    assert Clocked(desk).now_ms == 0


def test_an_entry_stamps_with_the_newest_key_and_only_when_it_knows_the_time() -> None:
    stamps = TicketStamps()
    assert stamps.text(TICKET, NOON_MS) == TICKET
    stamps.take({"day": DAY, "key": KEY.hex()})
    stamps.take({"day": DAY - 1, "key": "00" * 16})
    stamps.take({"day": DAY + 1, "key": "nonsense"})
    assert stamps.newest == DAY
    assert stamps.text(TICKET, 0) == TICKET
    told = stamp.entered(stamps.text(TICKET, NOON_MS).encode(), {DAY: KEY}, NOON_MS // 1000)
    assert (told.entered_s, told.why) == (NOON_MS // 1000, "")
