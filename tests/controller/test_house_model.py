"""The whole engine on a real database file against a naive model of people who really are somewhere.

A person is a body with a place. Gates may be cut off: what happens there is told later, in order. After every step
the cap's arithmetic must hold; once everything has been told, the count of every zone must be the bodies in it.
"""

import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.controller.conftest import Bench, Gate, copy_site
from tests.controller.test_house import SPA

from einlass_controller.domain.hours import last_close
from einlass_controller.domain.ledger import verify
from einlass_controller.messages import Correct, SetMode, Shut, Tick
from einlass_controller.plan import plan_of
from einlass_controller.setup import Prepared, set_up
from einlass_controller.store.reading import inside, ledger_entries
from einlass_controller.store.replaying import compare
from einlass_core import codes

NIGHT_MS = 3 * 3_600_000
STEP_MS = 5_000  # more than clocks of gates are wrong by
CHAINS = {"bath": ("bath",), "sauna": ("sauna", "bath"), "rink": ("rink",), "": ()}
LANES = {"gate-1": ("", "bath"), "gate-2": ("bath", "sauna"), "gate-3": ("", "sauna"),
         "gate-4": ("bath", "rink"), "gate-5": ("", "rink")}  # fmt: skip
DESKS = {"desk-bath": ("", "bath"), "desk-sauna": ("bath", "sauna"), "desk-rink": ("", "rink")}
PRODUCTS = [
    {"id": "day", "name": "Tag", "entries": 1, "reentry": {"policy": "always"}},
    {"id": "three", "name": "Drei", "entries": 3},
    {"id": "card", "name": "Karte", "entries": 6, "group": True},
]
PARTIES_MAX = 6
# A longer search: EINLASS_MODEL_EXAMPLES=2000 .venv/bin/pytest tests/controller/test_house_model.py -n0
EXAMPLES, STEPS = int(os.environ.get("EINLASS_MODEL_EXAMPLES", "30")), 20
SECONDS_MAX = 240 + 3 * EXAMPLES  # what was found is made smaller first
# Small, so that they are full soon.
CAPS = {"bath": 3, "sauna": 2, "rink": 2}
gates = st.sampled_from(sorted(LANES))
products = st.sampled_from(["single", "day", "three", "card"])
picks = st.integers(0, 1_000)
MOVES = ("ask", "through", "through", "walk", "walk", "walk", "leave", "leave", "slip_out", "desk", "desk_out", "tick")


@dataclass
class Party:
    """A ticket and the bodies that came with it, each at a place. tidy: nobody of them ever left unscanned."""

    id: str
    code: str
    product: str
    bodies: list[str]
    entries: int
    used: int = 0
    tidy: bool = True


@dataclass
class Walk:
    """So many of a party may still go through; entries: what it took from the ticket."""

    party: Party
    answer: dict[str, Any]
    persons: int
    entries: int
    passed: bool = False


@dataclass
class Door(Gate):
    """A gate that may be cut off, and knows the time."""

    bench: Bench
    name: str
    untold: list[Any] = field(default_factory=list)
    away: bool = False
    under_way: "Walk | None" = None

    def __post_init__(self) -> None:
        super().__init__(self.bench, self.name)
        self.wiped = 0

    def event_message(self, kind: str, **fields: Any) -> Any:
        self.seq += 1
        return self.message("event", kind=kind, ms=1, unix_ms=self.bench.now_ms, **fields)

    def event(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        message = self.event_message(kind, **fields)
        if self.away:
            self.untold.append(message)
            return []
        return self.hear(self.bench.run(message))

    def hear(self, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for item in sent:
            if item["node"] == self.name:
                self.obey(item)
        return sent


class House(RuleBasedStateMachine):
    """Rules are what can happen in a house; `parties` and `strangers` are who really is where."""

    template: Prepared
    folder: Path
    made = 0
    ready = False

    @initialize(sold=st.lists(st.tuples(products, st.integers(1, 3)), min_size=3, max_size=PARTIES_MAX))
    def open(self, sold: list[tuple[str, int]]) -> None:
        House.made += 1
        self.bench = Bench(copy_site(self.template, self.folder / f"house{House.made}"))
        self.bench.rules(product=PRODUCTS, nightly_close="03:00")
        self.doors = {name: Door(self.bench, name) for name in LANES}
        for door in self.doors.values():
            door.hello()
        self.parties: list[Party] = []
        self.strangers: list[str] = []
        self.forced: Counter[str] = Counter()  # bodies that came in unasked and untold
        self.doubt: Counter[str] = Counter()  # of a controller before it was restarted
        self.shut: set[str] = set()
        self.mode = ""
        self.ready = True
        for product, persons in sold:
            self.sell(product, persons)

    def teardown(self) -> None:
        if self.ready:
            with self.bench.database.connect() as connection:
                assert verify(ledger_entries(connection))[2] is None
                replayed = compare(connection, ledger_entries(connection), self.bench.engine.live)
                assert replayed["ok"], replayed
            self.bench.database.dispose()
            shutil.rmtree(self.bench.prepared.directory)

    # what really is

    def real(self, zone: str) -> int:
        places = [place for party in self.parties for place in party.bodies] + self.strangers
        return sum(zone in CHAINS[place] for place in places)

    def told(self) -> bool:
        return not any(door.untold or door.away for door in self.doors.values())

    def later(self) -> None:
        self.bench.now_ms += STEP_MS

    # what happens

    def sell(self, product: str, persons: int) -> None:
        if len(self.parties) < PARTIES_MAX:
            entries = {"single": 1, "day": 1, "three": 3, "card": 6}[product]
            code = self.bench.ticket(product=product, persons=persons, entries_max=entries)
            self.parties.append(Party(self.bench.last.id, code, product, [""] * persons, entries))

    @rule(moves=st.lists(st.tuples(st.sampled_from(MOVES), picks), min_size=4, max_size=12))
    def people_move(self, moves: list[tuple[str, int]]) -> None:
        """Most of what happens; the books are looked at after every move."""
        gate_names, desks = sorted(LANES), sorted(DESKS)
        for move, pick in moves:
            match move:
                case "ask":
                    self.ask(pick)
                case "through":
                    walking = [gate for gate in gate_names if self.doors[gate].under_way]
                    if walking:
                        self.go_through(walking[pick % len(walking)], pick % 3 > 0)
                case "walk":
                    self.walk(pick)
                case "leave" | "slip_out":
                    self.leave(pick, move == "leave")
                case "desk":
                    self.at_the_desk(desks[pick % len(desks)], pick // len(desks), pick % 4)
                case "desk_out":
                    self.out_at_the_desk(desks[pick % len(desks)], pick // len(desks))
                case _:
                    self.tick()
            self.look()

    def ask(self, pick: int) -> None:
        can = [
            (party, gate)
            for party in self.parties
            for gate, (outer, _) in LANES.items()
            if outer in party.bodies and not self.doors[gate].away and not self.doors[gate].under_way
        ]
        if not can:
            return
        self.later()
        party, gate = can[pick % len(can)]
        door, (outer, zone) = self.doors[gate], LANES[gate]
        answer = door.ask(party.code)
        left = answer["values"].get("entries_left")
        took = self.check_answer(party, zone, outer, answer["code"], answer["persons"], left)
        if answer["code"] in ("ok", "ok_reentry"):
            door.release(answer)
            door.under_way = Walk(party, answer, answer["persons"], took)

    def check_answer(self, party: Party, zone: str, outer: str, code: str, persons: int, left: int | None) -> int:
        """left: entries that the ticket has by the answer. Returns how many were taken."""
        before = party.used
        led_into = [name for name in CHAINS[zone] if name not in CHAINS[outer]]
        if self.mode or self.shut & set(led_into):
            assert code not in ("ok", "ok_reentry"), f"{code} while {self.mode or self.shut}"
        if code in ("ok", "ok_reentry"):
            for name in led_into:
                cap = self.bench.engine.live.books.zones[name].cap
                walking = sum(
                    door.under_way.persons
                    for other, door in self.doors.items()
                    if door.under_way and name in CHAINS[LANES[other][1]] and name not in CHAINS[LANES[other][0]]
                )
                bodies = self.real(name) - self.forced[name]
                assert bodies + walking + persons <= cap, f"{bodies} + {walking} + {persons} in {name}, cap {cap}"
        known_out = party.tidy and self.told()  # an exit that a cut-off gate has not told yet did not happen
        if known_out and party.bodies == [""] * len(party.bodies) and not self.is_walking(party):
            fresh = persons if party.product == "card" else 1
            if code == "ok":
                party.used += fresh
                assert party.used <= party.entries
            if code == "used_up":
                needed = len(party.bodies) if party.product == "card" else 1
                assert party.used + needed > party.entries, "an entry is lost"
            assert code != "already_inside"
        elif code in ("ok", "ok_reentry") and left is not None:
            party.used = party.entries - left
        return party.used - before

    def is_walking(self, party: Party) -> bool:
        return any(door.under_way and door.under_way.party is party for door in self.doors.values())

    def walk(self, pick: int) -> None:
        """The usual case: asked, let in, all of them through."""
        walking = [gate for gate, door in self.doors.items() if door.under_way]
        if not walking:
            self.ask(pick)
        for gate, door in self.doors.items():
            while door.under_way:
                self.go_through(gate, True)

    def go_through(self, gate: str, goes: bool) -> None:
        door = self.doors[gate]
        if door.under_way is None:
            return
        self.later()
        walk, (outer, zone) = door.under_way, LANES[gate]
        party = walk.party
        if goes and outer in party.bodies:
            party.bodies[party.bodies.index(outer)] = zone
            door.walk_in(walk.answer)
            walk.passed = True
        else:
            door.turn_back(walk.answer)
        walk.persons -= 1
        if walk.persons == 0:
            door.under_way = None
            if not walk.passed:
                party.used -= walk.entries

    def leave(self, pick: int, scans: bool) -> None:
        there = [
            (party, gate)
            for party in self.parties
            for gate, (_, zone) in LANES.items()
            if zone in party.bodies and not self.is_walking(party)
        ]
        if not there:
            return
        self.later()
        party, gate = there[pick % len(there)]
        door, (outer, zone) = self.doors[gate], LANES[gate]
        fields = {}
        if scans:
            fields = {"nonce": f"{door.inc}.x.{door.seq}"}
            door.event("exit", side="exit", digest=codes.digest(party.code), **fields)
        else:
            party.tidy = False
        if door.away and outer and len(party.bodies) > 1:
            party.tidy = False  # told late, nobody can say which of them it was that went from one zone to the next
        party.bodies[party.bodies.index(zone)] = outer
        door.walk_out(**fields)
        if door.away:
            self.unasked(outer, zone)

    @rule(gate=gates, side=st.sampled_from(["entry", "exit"]))
    def force(self, gate: str, side: str) -> None:
        door, (outer, zone) = self.doors[gate], LANES[gate]
        start, end = (outer, zone) if side == "entry" else (zone, outer)
        if start and start not in self.strangers:
            return
        if not start and len(self.strangers) > 3:
            return
        self.later()
        if start:
            self.strangers.remove(start)
        if end:
            self.strangers.append(end)
        door.account["balance"] += 1 if side == "entry" else -1
        door.event("forced", side=side, persons=1)
        if door.away:
            self.unasked(end, start)

    def unasked(self, entered: str, left: str) -> None:
        """Nobody knows yet who came into a zone by himself at a gate that is cut off; nor, at a bridge, who left."""
        for zone in set(CHAINS[entered]) - set(CHAINS[left]):
            self.forced[zone] += 1

    def at_the_desk(self, desk: str, pick: int, persons: int) -> None:
        outer, zone = DESKS[desk]
        there = [party for party in self.parties if outer in party.bodies and not self.is_walking(party)]
        if not there:
            return
        self.later()
        party = there[pick % len(there)]
        persons = min(persons or party.bodies.count(outer), party.bodies.count(outer))
        if len(set(party.bodies)) > 1 and outer == "":
            return  # a family that is half inside: staff sends it to those who are
        answer = self.bench.redeem(party.code, lane=desk, persons=persons)
        self.check_answer(party, zone, outer, answer["code"], answer["persons"], answer["entries_left"])
        if answer["code"] in ("ok", "ok_reentry"):
            for _ in range(answer["persons"]):
                party.bodies[party.bodies.index(outer)] = zone

    def out_at_the_desk(self, desk: str, pick: int) -> None:
        outer, zone = DESKS[desk]
        there = [
            party for party in self.parties if party.tidy and set(party.bodies) == {zone} and not self.is_walking(party)
        ]
        if there and self.told():
            self.later()
            party = there[pick % len(there)]
            assert self.bench.redeem(party.code, "exit", lane=desk)["code"] == "ok_exit"
            party.bodies = [outer] * len(party.bodies)

    @rule(gate=gates)
    def cut_off(self, gate: str) -> None:
        self.doors[gate].away = True

    @rule(gate=gates)
    def connect(self, gate: str) -> None:
        door = self.doors[gate]
        if door.away:
            door.away = False
            door.hear(door.hello())
            for message in door.untold:
                door.hear(self.bench.run(message))
            door.untold.clear()
            if not any(other.untold for other in self.doors.values()):
                self.forced.clear()

    @rule()
    def connect_all(self) -> None:
        for gate in LANES:
            self.connect(gate)
        self.tick()

    def tick(self) -> None:
        self.later()
        sent = self.bench.run(Tick())
        for door in self.doors.values():
            if not door.away:
                door.hear(sent)
                door.hear(door.status())

    @rule(zone=st.sampled_from(["bath", "sauna", "rink"]))
    def staff_counts(self, zone: str) -> None:
        self.later()
        self.bench.order(Correct(zone, self.real(zone), None, "Ann", "counted"))
        self.doubt[zone] = 0
        self.later()

    @precondition(lambda self: not any(door.under_way for door in self.doors.values()))
    @rule()
    def night(self) -> None:
        """Everybody goes home, through doors that count nothing."""
        clocks = self.bench.engine.live.clocks
        self.bench.now_ms = last_close(self.bench.now_ms, NIGHT_MS, clocks) + 25 * 3_600_000
        self.strangers = []
        self.doubt.clear()
        for party in self.parties:
            party.bodies = [""] * len(party.bodies)
        self.bench.now_ms = last_close(self.bench.now_ms, NIGHT_MS, clocks) + 500
        self.tick()
        if self.told():
            for party in self.parties:
                party.tidy = True

    @rule(zone=st.sampled_from(["bath", "sauna", "rink"]), picked=st.lists(picks, min_size=1, max_size=4))
    def close_and_open(self, zone: str, picked: list[int]) -> None:
        self.shut.add(zone)
        self.bench.order(Shut(zone, self.bench.now_ms, None, "Ann", "storm"))
        for pick in picked:
            self.walk(pick)
        self.shut.remove(zone)
        self.bench.order(Shut(zone, 0, 0, "Ann", "over"))

    @rule(mode=st.sampled_from(["lockdown", "evacuation"]), pick=picks)
    def drill(self, mode: str, pick: int) -> None:
        self.mode = mode
        self.bench.order(SetMode(mode, "k", ("Ann",), "drill"))
        self.ask(pick)
        self.leave(pick, True)
        self.mode = ""
        self.bench.order(SetMode("", "k", ("Ann", "Bob"), "over"))

    @rule()
    def crash(self) -> None:
        for name, zone in self.bench.engine.live.books.zones.items():
            self.doubt[name] += zone.doubt + zone.floored
        self.bench.restart()

    @precondition(lambda self: self.told())
    @rule(gate=gates)
    def wipe(self, gate: str) -> None:
        """A journal is lost while nobody is under way: what the lane might have used is owed."""
        old = self.doors[gate]
        if old.under_way is None and old.wiped < 2:
            self.tick()
            fresh = Door(self.bench, gate)
            fresh.wiped = old.wiped + 1
            fresh.inc = f"{gate}n{fresh.wiped}"
            fresh.hello()
            self.doors[gate] = fresh

    # what must be so

    @invariant()
    def look(self) -> None:
        if self.ready:
            self.the_four_figures_add_up()
            if self.told():
                self.what_was_told_is_what_is()

    def the_four_figures_add_up(self) -> None:
        books = self.bench.engine.live.books
        books.audit()
        for zone in books.zones.values():
            present, reserved, leased, free = zone.figures()
            assert present + reserved + leased + free == zone.cap
            assert min(present, reserved, leased) >= 0

    def what_was_told_is_what_is(self) -> None:
        books = self.bench.engine.live.books
        for name, zone in books.zones.items():
            doubt = zone.doubt + zone.floored + self.doubt[name]
            told = f"{name}: {zone.counted} counted, {self.real(name)} are there, {doubt} in doubt"
            assert self.real(name) <= zone.counted <= self.real(name) + doubt, told
        tidy = [party for party in self.parties if party.tidy]
        with self.bench.database.connect() as connection:
            known = Counter[tuple[str, str]]()
            for item in inside(connection):
                known[item.ticket, item.zone] += item.persons
        for party in tidy:
            for name in books.zones:
                bodies = sum(name in CHAINS[place] for place in party.bodies)
                assert known[party.id, name] == bodies, f"{party.id} in {name}: {known[party.id, name]}, {bodies}"


@pytest.mark.timeout(SECONDS_MAX)
def test_the_house_counts_who_is_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    House.folder = tmp_path_factory.mktemp("houses")
    zones = [zone | {"cap": CAPS[str(zone["id"])]} for zone in SPA["zone"]]
    House.template = set_up(plan_of({**SPA, "zone": zones}), House.folder / "template")
    quick = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
                     suppress_health_check=list(HealthCheck))  # fmt: skip
    run_state_machine_as_test(House, settings=quick)
