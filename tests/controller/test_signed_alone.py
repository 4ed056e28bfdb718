"""Signed tickets at a lane that is cut off: what it is told, what it judges, what is made of it afterwards.

The lane's side is the real one: its list, its keys in the journal's file, its judgement. Only the line is not there.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.controller.test_house import leave
from tests.controller.test_leases import alone

from einlass_controller import view
from einlass_controller.domain.life import BLOCK, UNBLOCK
from einlass_controller.issuing import Terms, sign_ticket
from einlass_controller.live import load
from einlass_controller.messages import Issue, Tick
from einlass_controller.orders import AddSigningKey, ChangeTicket, RevokeSigningKey
from einlass_controller.signing import Signer
from einlass_controller.steps.trusting import RESEND_MS
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare
from einlass_core import codes
from einlass_core.allowlist import AllowList
from einlass_core.signed import Claim, code_of, message_of
from einlass_core.signed_alone import SEEN, USED_HERE, WHY, entry_of
from einlass_edge.database import Database
from einlass_edge.list_files import ListFiles
from einlass_edge.signed_tickets import SignedTickets

HOUR_MS = 3_600_000


class Office:
    """Signs tickets without telling the database."""

    def __init__(self, bench: Any, directory: Path) -> None:
        self.bench, self.signer = bench, Signer(directory)
        self.rotate()

    def rotate(self, old_until_ms: int | None = None) -> None:
        (name,) = self.bench.attempt(AddSigningKey(self.signer.make(), old_until_ms, "test")).results
        self.key = self.bench.engine.live.ring[name]

    def sign(self, persons: int = 1, zone: str = "", product: str = "", **window: int) -> tuple[str, Any]:
        terms: Terms = {
            "persons": persons,
            "zone": zone,
            "valid_from_ms": window.get("first_ms"),
            "valid_until_ms": window.get("last_ms"),
        }
        return sign_ticket(self.signer, self.key, product, **terms)


class PiLane:
    """A Raspberry Pi's list and keys, and the messages between it and the controller."""

    def __init__(self, bench: Any, directory: Path, name: str = "gate-2") -> None:
        self.bench, self.directory, self.name = bench, directory / name, name
        self.directory.mkdir()
        self.gate = bench.gate(name)
        self.open()

    def open(self) -> None:
        """As after a power cut: nothing but the files is left."""
        self.database = Database(self.directory / "journal.db")
        self.list = AllowList(ListFiles(self.directory / "list"))
        self.signed = SignedTickets(self.database, self.list)

    def restart(self) -> None:
        self.database.close()
        self.open()

    def told(self) -> list[dict[str, Any]]:
        status = {"list": self.list.status(0), "trust": self.signed.status()}
        sent = self.gate.status(**status)
        return [item for item in sent if item["node"] == self.name and item["kind"] in ("list", "trust")]

    def in_touch(self) -> None:
        """Statuses until nothing more comes."""
        self.bench.now_ms += RESEND_MS
        self.bench.run(Tick())
        for _ in range(40):
            news = self.told()
            for item in news:
                (self.signed.take if item["kind"] == "trust" else self.list.take)(item)
            if not news:
                return
        raise AssertionError("the lane is told for ever")

    def shown(self, code: str, at_ms: int | None = None) -> int | str:
        """What the lane says alone: persons, or the code of a refusal."""
        digest = codes.digest(code)
        listed = self.list.persons(digest)
        if listed:
            return "revoked" if self.signed.revoked(code) else listed
        return self.signed.judge(code, digest, self.bench.now_ms if at_ms is None else at_ms)

    def lets_in(self, code: str, nonce: str) -> dict[str, Any]:
        """Released alone and gone through, kept for later; returns the record."""
        persons = self.shown(code)
        assert isinstance(persons, int), persons
        fields = {"nonce": nonce, "side": "entry", "persons": persons, "digest": codes.digest(code), "reason": "leased"}
        self.list.recorded("released", fields)
        return {"kind": "released", **self.signed.recorded("released", fields)}

    def tells(self, record: dict[str, Any]) -> None:
        """Back in touch: the record, and the passage after it."""
        gate, persons = self.gate, record["persons"]
        gate.account["balance"] += persons
        gate.account["pending"] += persons
        gate.event(**record)
        gate.account["pending"] -= persons
        gate.event("passed", nonce=record["nonce"], side="entry", persons=persons)


@pytest.fixture
def office(bench: Any, tmp_path: Path) -> Office:
    return Office(bench, tmp_path)


@pytest.fixture
def make_lane(bench: Any, tmp_path: Path) -> Iterator[Callable[..., PiLane]]:
    made: list[PiLane] = []

    def make(name: str = "gate-2") -> PiLane:
        made.append(PiLane(bench, tmp_path, name))
        made[-1].in_touch()
        return made[-1]

    yield make
    for lane in made:
        lane.database.close()


@pytest.fixture
def lane(office: Office, make_lane: Callable[..., PiLane]) -> PiLane:
    return make_lane()


def test_a_ticket_that_nobody_has_seen_is_let_in_on_its_signature_once(office: Office, lane: PiLane) -> None:
    code, _ = office.sign(persons=3)
    assert lane.shown(code) == 3
    record = lane.lets_in(code, "i.1.1")
    assert record["signed"]["persons"] == 3
    assert code not in str(record), "a code that opens something is kept nowhere"
    assert lane.shown(code) == "already_inside"
    lane.restart()
    assert lane.shown(code) == "already_inside", "also after a power cut"


def test_who_turns_back_may_come_again(office: Office, lane: PiLane) -> None:
    code, _ = office.sign()
    lane.lets_in(code, "i.1.1")
    lane.signed.recorded("unused", {"nonce": "i.1.1", "side": "entry", "persons": 1})
    assert lane.shown(code) == 1


def test_the_lane_says_why_not(bench: Any, office: Office, lane: PiLane) -> None:
    now_ms = bench.now_ms
    code, _ = office.sign()
    forged = code[:40] + ("0" if code[40] != "0" else "1") + code[41:]
    assert lane.shown(forged) == "invalid"
    assert lane.shown("E2:" + "Z" * 150) == "invalid"
    assert lane.shown(office.sign(zone="sauna")[0]) == "wrong_zone"
    assert lane.shown(office.sign(product="opera")[0]) == "wrong_product"
    assert lane.shown(office.sign(zone="bath")[0]) == 1
    window = office.sign(first_ms=now_ms - HOUR_MS, last_ms=now_ms + HOUR_MS)[0]
    assert lane.shown(window) == 1
    assert lane.shown(window, now_ms + 2 * HOUR_MS) == "expired"
    assert lane.shown(window, now_ms - 2 * HOUR_MS) == "too_early"
    assert lane.shown(window, 0) == "offline_not_here", "a window needs a clock that somebody has set"
    assert lane.shown(code, 0) == 1, "and what has none does not"


def test_another_sites_ticket_is_invalid(bench: Any, office: Office, lane: PiLane, tmp_path: Path) -> None:
    """Their key has the same number as ours, and signs other bytes."""
    theirs = Signer(tmp_path / "theirs")
    (tmp_path / "theirs").mkdir()
    message = message_of(Claim(1, "0" * 11 + "A", "single", "", 1, None, None))
    assert lane.shown(code_of(message, theirs.sign(theirs.make(), message))) == "invalid"
    message = message_of(Claim(9, "0" * 11 + "B", "single", "", 1, None, None))
    assert lane.shown(code_of(message, theirs.sign(theirs.make(), message))) == "invalid", "no such key here"


def test_products_by_their_policy(bench: Any, office: Office, lane: PiLane) -> None:
    code, _ = office.sign(product="staff")
    assert lane.shown(code) == "wrong_product"
    bench.rules(product=[{"id": "staff", "name": "Dienst", "while_cut_off": "refuse"}])
    lane.in_touch()
    assert lane.shown(code) == "offline_not_here"
    bench.rules(product=[{"id": "staff", "name": "Dienst"}])
    lane.in_touch()
    assert lane.shown(code) == 1


def test_keys_rotate_and_are_revoked_for_good(bench: Any, office: Office, lane: PiLane) -> None:
    old, _ = office.sign()
    office.rotate(old_until_ms=bench.now_ms + HOUR_MS)
    new, _ = office.sign()
    assert lane.shown(new) == "invalid", "not told yet"
    lane.in_touch()
    assert (lane.shown(old), lane.shown(new)) == (1, 1)
    assert lane.shown(old, bench.now_ms + 2 * HOUR_MS) == "invalid", "the old key's time is over"
    before = lane.signed.status()
    sent = bench.run(RevokeSigningKey(2, "stolen", "test"))
    news = [item for item in sent if item["kind"] == "trust"]
    assert news, "told at once, not at the next status"
    for item in news:
        lane.signed.take(item)
    assert lane.shown(new) == "revoked"
    assert lane.signed.status()["number"] > before["number"]
    lane.restart()
    assert lane.shown(new) == "revoked", "also after a power cut"


def test_a_late_message_brings_no_revoked_key_back(bench: Any, office: Office, make_lane: Any) -> None:
    lane = make_lane()
    code, _ = office.sign()
    fresh = PiLane(bench, lane.directory, "gate-1")
    late = [item for item in fresh.told() if item["kind"] == "trust"]
    bench.run(RevokeSigningKey(1, "stolen", "test"))
    lane.in_touch()
    for item in late:
        assert not lane.signed.take({**item, "number": item["number"]})
    assert lane.shown(code) == "revoked"
    restored = {**late[0], "number": lane.signed.status()["number"] + 1}
    assert lane.signed.take(restored), "as from a database that was put back"
    assert lane.shown(code) == "revoked"
    fresh.database.close()


def test_it_is_told_until_it_has_it_and_the_page_says_so(bench: Any, office: Office, lane: PiLane) -> None:
    def shown() -> dict[str, Any]:
        nodes = view.look(bench.engine.live, bench.now_ms)["nodes"]
        return dict(next(node for node in nodes if node["id"] == "gate-2"))

    assert (shown()["signed_current"], shown()["signed_by"]) == (True, list(lane.signed.status().values()))
    office.rotate()
    assert not [item for item in lane.told() if item["kind"] == "trust"], "just sent"
    assert shown()["signed_current"] is False
    bench.now_ms += RESEND_MS
    again = [item for item in lane.told() if item["kind"] == "trust"]
    assert again
    assert all(len(item["bytes"]) <= 1024 for item in again)
    bench.restart()
    lane.in_touch()
    assert shown()["signed_current"] is True
    assert bench.gate("gate-1").status() is not None
    nodes = {node["id"]: node for node in view.look(bench.engine.live, bench.now_ms)["nodes"]}
    assert nodes["gate-1"]["signed_by"] is None, "an ESP32 says nothing of keys"


def test_many_products_come_in_pieces_in_any_order(bench: Any, office: Office, make_lane: Any) -> None:
    products = [{"id": f"product-{number:03}-of-a-long-list", "name": "x"} for number in range(150)]
    bench.rules(product=products)
    lane = PiLane(bench, make_lane().directory, "gate-1")
    pieces = [item for item in lane.told() if item["kind"] == "trust"]
    assert len(pieces) > 5
    torn = [*pieces[:-1], {**pieces[-1], "text": pieces[-1]["text"].replace("product-1", "product-9")}]
    assert not any(lane.signed.take(item) for item in torn), "one that does not belong to the others"
    taken = [lane.signed.take(item) for item in [*reversed(pieces[1:]), pieces[1], pieces[0]]]
    assert taken == [False] * len(pieces) + [True], "twice, backwards, and whole with the last"
    lane.in_touch()
    assert lane.shown(office.sign(product="product-149-of-a-long-list")[0]) == 1
    lane.database.close()


def test_used_and_blocked_tickets_are_refused_though_their_signature_is_good(
    bench: Any, office: Office, lane: PiLane
) -> None:
    east = bench.gate("gate-1")
    used, blocked, held, sold = (office.sign() for _ in range(4))
    answer = east.enter(used[0])
    assert answer["code"] == "ok"
    bench.attempt(Issue((blocked[1], sold[1]), "test"))
    bench.order(ChangeTicket(blocked[1].id, BLOCK, "lost", "test"))
    assert bench.order(ChangeTicket(held[1].id, BLOCK, "lost before anybody showed it", "test")).what == "held_back"
    lane.in_touch()
    assert lane.shown(used[0]) == "already_inside"
    assert lane.shown(blocked[0]) == "blocked"
    assert lane.shown(held[0]) == "blocked"
    assert lane.shown(sold[0]) == 1, "by the list, as any other ticket"
    bench.order(ChangeTicket(held[1].id, UNBLOCK, "found", "test"))
    bench.order(ChangeTicket(blocked[1].id, UNBLOCK, "found", "test"))
    lane.in_touch()
    assert (lane.shown(held[0]), lane.shown(blocked[0])) == (1, 1)
    bench.order(ChangeTicket(held[1].id, BLOCK, "lost again", "test"))
    shutil.rmtree(lane.directory / "list")
    lane.restart()
    lane.in_touch()
    assert (lane.shown(held[0]), lane.shown(used[0])) == ("blocked", "already_inside"), "in a whole list, too"


def test_a_ticket_signed_anew_does_not_enter_by_its_other_code(bench: Any, office: Office, lane: PiLane) -> None:
    _, ticket = office.sign()
    bench.attempt(Issue((ticket,), "test"))
    lane.in_touch()
    message = message_of(Claim(office.key.id, ticket.id, "single", "bath", 1, None, None))
    other = code_of(message, office.signer.sign(office.key.public, message))
    assert lane.shown(other) == "offline_not_here"


def test_many_signed_tickets_in_a_whole_list(bench: Any, office: Office, make_lane: Any) -> None:
    east = bench.gate("gate-1")
    tickets = [office.sign() for _ in range(90)]
    bench.attempt(Issue(tuple(ticket for _, ticket in tickets), "test"))
    plain = [bench.ticket() for _ in range(30)]
    for code, _ in tickets[:3]:
        east.enter(code)
    lane = make_lane()
    assert [lane.shown(code) for code, _ in tickets] == ["already_inside"] * 3 + [1] * 87
    assert all(lane.list.persons(codes.digest(code)) for code in plain)
    assert all(lane.list.persons(entry_of(ticket.id)) >= SEEN for _, ticket in tickets)


def test_a_lane_that_does_not_judge_signatures_is_told_nothing_of_numbers(bench: Any, office: Office) -> None:
    east = bench.gate("gate-1")
    code, _ = office.sign()
    east.enter(code)
    bench.run(Tick())
    sent = east.status(list={"added": 0, "removed": 0, "age_ms": 0})
    assert [item["entries"] for item in sent if item["kind"] == "list"] == [""]


def test_told_later_it_is_an_entry_like_any_other(bench: Any, office: Office, lane: PiLane) -> None:
    code, ticket = office.sign()
    record = lane.lets_in(code, "i.1.1")
    lane.tells(record)
    assert bench.rows("SELECT id, key_id, entries_used, code_sha256 FROM ticket") == [(ticket.id, 1, 1, "")]
    assert bench.ledger("conflict") == []
    assert bench.figures()[0] == 1
    east = bench.gate("gate-1")
    assert east.ask(code)["code"] == "already_inside"
    lane.in_touch()
    assert lane.list.persons(entry_of(ticket.id)) >= SEEN
    lane.signed.tidy()
    assert list(lane.database.rows("SELECT * FROM used")) == [], "the list says it now"
    assert lane.shown(code) == "already_inside"


def test_a_second_use_elsewhere_is_reported_with_both(bench: Any, office: Office, lane: PiLane, make_lane: Any) -> None:
    other = make_lane("gate-1")
    code, ticket = office.sign()
    records = [(lane, lane.lets_in(code, "w.1.1")), (other, other.lets_in(code, "e.1.1"))]
    for where, record in records:
        where.tells(record)
    (conflict,) = bench.ledger("conflict")
    assert (conflict["ticket"], conflict["node"]) == (ticket.id, "gate-1")
    assert conflict["would_have_been"] == "already_inside"
    assert conflict["other"][0]["lane"] == "west"
    assert bench.figures()[0] == 2, "both bodies are inside"
    with one_moment(bench.database) as connection:
        replayed = compare(connection, ledger_entries(connection), load(connection))
    assert replayed["ok"], replayed["examples"]


@pytest.mark.parametrize("what", ["blocked", "revoked", "expired"])
def test_what_would_have_been_refused_is_reported(bench: Any, office: Office, lane: PiLane, what: str) -> None:
    code, ticket = office.sign(**({"last_ms": bench.now_ms + 60_000} if what == "expired" else {}))
    record = lane.lets_in(code, "i.1.1")
    if what == "blocked":
        bench.order(ChangeTicket(ticket.id, BLOCK, "lost", "test"))
    elif what == "revoked":
        bench.order(RevokeSigningKey(1, "stolen", "test"))
    else:
        bench.now_ms += 120_000
    lane.tells(record)
    (conflict,) = bench.ledger("conflict")
    assert (conflict["ticket"], conflict["would_have_been"]) == (ticket.id, what)
    assert bench.figures()[0] == 1


def test_a_lane_that_lies_makes_no_ticket_that_opens(bench: Any, office: Office, lane: PiLane) -> None:
    """A row made from a lane's word opens for nobody who has not the signature."""
    claim = {"key": 1, "ticket": "0123456789AB", "product": "single", "zone": "", "persons": 1, "from": 0, "until": 0}
    bait = "A-TEXT-OF-THEIR-OWN"
    fields = {"nonce": "i.1.9", "side": "entry", "persons": 1, "digest": codes.digest(bait), "reason": "leased"}
    lane.tells({"kind": "released", **fields, "signed": claim})
    lane.gate.walk_out()
    assert [name for (name,) in bench.rows("SELECT id FROM ticket")] == ["0123456789AB"]
    assert bench.gate("gate-1").ask(bait)["code"] == "invalid"
    wrong: tuple[dict[str, Any], ...] = ({"ticket": "no"}, {"key": 77}, {"product": "opera"})
    for number, changes in enumerate(wrong):
        told = {"nonce": f"i.2.{number}", "digest": codes.digest(f"bait {number}")}
        lane.tells({"kind": "released", **fields, **told, "signed": {**claim, "ticket": "0" * 12, **changes}})
    assert len(bench.rows("SELECT id FROM ticket")) == 1
    assert [entry["would_have_been"] for entry in bench.ledger("conflict")] == ["invalid"] * 3


def test_a_revoked_key_takes_its_tickets_off_every_list(bench: Any, office: Office, lane: PiLane) -> None:
    code, ticket = office.sign()
    bench.attempt(Issue((ticket,), "test"))
    lane.in_touch()
    assert lane.list.persons(codes.digest(code)) == 1
    bench.order(RevokeSigningKey(1, "stolen", "test"))
    assert lane.shown(code) == 1, "cut off before it was told"
    lane.in_touch()
    assert lane.list.persons(codes.digest(code)) == 0
    assert lane.shown(code) == "revoked"
    assert SEEN + USED_HERE <= 255


def test_a_ticket_of_a_revoked_key_let_in_alone_is_a_conflict_also_if_it_is_known_here(
    bench: Any, office: Office
) -> None:
    bench.rules(product=[{"id": "season", "name": "Saison"}])
    gate, (code, ticket) = bench.gate(), office.sign(product="season")
    gate.enter(code)
    leave(gate, code, "x1")
    bench.order(RevokeSigningKey(1, "stolen", "test"))
    alone(gate, code, "w.1-s.1")
    assert [item["would_have_been"] for item in bench.ledger("conflict")] == ["revoked"]
    assert bench.rows("SELECT status FROM ticket") == [(ticket.status,)], "the key is revoked, not the ticket"


def test_a_controller_that_starts_before_it_has_looked_at_a_revoked_keys_tickets_counts_on(
    bench: Any, office: Office, lane: PiLane
) -> None:
    (code, ticket), (other, _) = office.sign(), office.sign()
    east = bench.gate("gate-1")
    for shown in (other, code):
        east.enter(shown)
    lane.in_touch()
    assert lane.shown(code) == "already_inside"
    told = bench.engine.live.list_number
    bench.order(RevokeSigningKey(1, "stolen", "test"))
    bench.restart()
    assert bench.engine.live.list_number == told
    bench.run(Tick())
    assert bench.engine.live.list_number > told
    lane.in_touch()
    assert WHY[lane.list.persons(entry_of(ticket.id)) - SEEN] == "revoked"


def test_without_a_list_or_keys_no_signature_counts(bench: Any, office: Office, tmp_path: Path) -> None:
    fresh = PiLane(bench, tmp_path, "gate-1")
    code, _ = office.sign()
    assert fresh.shown(code) == "offline_not_here"
    for item in [item for item in fresh.told() if item["kind"] == "trust"]:
        fresh.signed.take(item)
    assert fresh.shown(code) == "offline_not_here", "what was blocked comes with the list"
    fresh.database.close()


def test_damaged_keys_are_told_again(bench: Any, office: Office, lane: PiLane) -> None:
    lane.database.write("UPDATE trust SET line = ?", (b"00000000 torn",))
    lane.restart()
    code, _ = office.sign()
    assert (lane.signed.status()["number"], lane.shown(code)) == (0, "offline_not_here")
    lane.in_touch()
    assert lane.shown(code) == 1
