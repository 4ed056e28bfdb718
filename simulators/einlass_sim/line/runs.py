"""A real line under drawn faults while people come and go; at the end the counts must agree with where the bodies are.

The seed decides the faults and what people do, not when the machine gets round to it: the same seed is the same kind of
history, not the same one.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from einlass_core.events import ENTRY, EXIT
from einlass_sim.audit import double_admissions, journals
from einlass_sim.brokers import BrokerKind, best_broker
from einlass_sim.line.faults import KINDS, Faults, impossible
from einlass_sim.line.whole import NODES, Line, brisk_people
from einlass_sim.plant import BodyWentIn, BodyWentOut

CAP = 12
TICKETS = 40
TICKETS_A_FAULT = 4
DECIDED_S_MAX = 8.0
LOOK_S = 0.1
# A body is through before its node has written that down; until then nobody may kill it.
SEEN_S = 0.7
PAUSE_S = (0.05, 0.6)
SHARES = {"enter": 0.6, "leave": 0.3, "garbage": 0.1}
FAULT_S_MAX = 90.0
START_S_MAX = 120.0
SETTLE_S_MAX = 150.0


class LeasedLine(Line):
    """Lanes go on while cut off."""

    cut_off = "leased"

    async def settled(self) -> None:
        """As Line.settled(), but places may be lent."""
        await self.until("the controller's count is the truth", self.counts_agree)


class People:
    """One after the other at each lane."""

    def __init__(self, line: Line, faults: Faults, rng: random.Random, codes: list[str]) -> None:
        self.line = line
        self.faults = faults
        self.rng = rng
        self.codes = codes
        self.scans = 0
        self.went_in = 0
        self.leaving = 0
        self.over = False

    def code(self) -> str:
        """A ticket that nobody has shown yet; when there is none left, one that is no good."""
        return self.codes.pop() if self.codes else "no-ticket"

    async def at(self, name: str) -> None:
        """Until it is over."""
        while not self.over:
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))
            what = self.rng.choices(list(SHARES), list(SHARES.values()))[0]
            async with self.faults.walking[name]:
                if what == "leave":
                    await self._leaves(name)
                else:
                    await self._comes(name, self.code() if what == "enter" else "GARBAGE")

    async def _comes(self, name: str, code: str) -> None:
        lane = self.line.lanes[name]
        if lane.plant.bolt_free(ENTRY):
            return
        self.scans += 1
        scan = await lane.hold(ENTRY, code)
        if await scan.released(DECIDED_S_MAX):
            self.went_in += isinstance(await lane.person_goes(ENTRY), BodyWentIn)
            await asyncio.sleep(SEEN_S)

    async def _leaves(self, name: str) -> None:
        if self.line.truth.inside - self.leaving <= 0:
            return
        self.leaving += 1
        try:
            await self.line.leaves(name)
            await asyncio.sleep(SEEN_S)
        finally:
            self.leaving -= 1


def kinds_of(text: str) -> list[str]:
    """The kinds of faults that are named; ValueError for one that there is not."""
    kinds = [kind for kind in KINDS if kind not in impossible()] if text == "all" else text.split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"no fault is called {kind!r}; there are: {', '.join(KINDS)}")
        if kind in impossible():
            raise ValueError(f"{kind} cannot be played here: {impossible()[kind]}")
    return kinds


def run(seed: int, faults: int, kinds: list[str] | None = None, broker: BrokerKind | None = None) -> dict[str, Any]:
    """Play one history; {"seed", "faults", "scans", "went_in", "violations", ...}. It takes some 6 s a fault.

    BuildError, BrokerMissingError, ProcessError when the line cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="einlass-line-") as directory, brisk_people():
        line = LeasedLine(Path(directory), broker or best_broker(), CAP)
        line.open()
        try:
            return line.run(_play(line, seed, faults, kinds or kinds_of("all")), START_S_MAX + faults * FAULT_S_MAX)
        finally:
            line.close()


async def _play(line: Line, seed: int, count: int, kinds: list[str]) -> dict[str, Any]:
    began_s = time.monotonic()
    codes = [(await line.ticket())["code"] for _ in range(TICKETS + count * TICKETS_A_FAULT)]
    rng = random.Random(seed)
    faults = Faults(line, random.Random(rng.random()), lambda: people.code())
    people = People(line, faults, random.Random(rng.random()), codes)
    bodies: Counter[str] = Counter()
    for name, lane in line.lanes.items():
        lane.on_output.append(partial(_count, bodies, name))
    violations: list[str] = []
    tasks = [asyncio.create_task(people.at(name)) for name in NODES]
    try:
        await faults.play(count, kinds)
    finally:
        people.over = True
        line.tap.fair()
        mended_s = time.monotonic()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    violations += [f"people: {result!r}" for result in results if isinstance(result, BaseException)]
    await line.mend()
    violations += await _agreement(line, bodies)
    recovered_s = time.monotonic() - mended_s
    violations += await _at_the_end(line, faults)
    ledger = await line.ledger()
    return {
        "seed": seed,
        "faults": dict(sorted(faults.done.items())),
        "not_played": impossible(),
        "scans": people.scans,
        "went_in": people.went_in,
        "answers": dict(sorted(_answers(ledger).items())),
        "alone": sum(bool(entry["body"].get("offline")) for entry in ledger),
        "uncertain": _uncertain(ledger),
        "late_releases": faults.late,
        "violations": violations,
        "recovered_s": round(recovered_s, 1),
        "seconds": round(time.monotonic() - began_s),
    }


def _answers(ledger: list[dict[str, Any]]) -> Counter[str]:
    """What scans at the entry got, from controller or lane."""
    bodies = [entry["body"] for entry in ledger if entry["kind"] in ("decision", "refused", "given_up")]
    return Counter(body.get("code") or "given_up" for body in bodies if body.get("side") == ENTRY)


def _uncertain(ledger: list[dict[str, Any]]) -> int:
    return sum(entry["body"].get("persons", 1) for entry in ledger if entry["kind"] == "uncertain")


def _count(bodies: Counter[str], name: str, output: object) -> None:
    if isinstance(output, BodyWentIn | BodyWentOut):
        bodies[f"{name} {ENTRY if isinstance(output, BodyWentIn) else EXIT}"] += 1


def _counted(ledger: list[dict[str, Any]]) -> Counter[str]:
    """Bodies as the ledger has them, by lane and side."""
    found: Counter[str] = Counter()
    for entry in ledger:
        if entry["kind"] in ("passed", "forced"):
            body = entry["body"]
            found[f"{body['node']} {body['side']}"] += body.get("persons", 1)
    return found


async def _agreement(line: Line, bodies: Counter[str]) -> list[str]:
    """Wait until the counts of lanes, controller and truth agree; what is wrong if they do not."""

    async def agree() -> bool:
        line.excess = _uncertain(await line.ledger())
        return await line.counts_agree()

    try:
        await line.until("the counts agree", agree, SETTLE_S_MAX)
    except AssertionError as error:
        return [f"{error}; bodies {dict(bodies)}, counted {dict(_counted(await line.ledger()))}"]
    return []


async def _at_the_end(line: Line, faults: Faults) -> list[str]:
    """What is wrong once everything is mended and nobody moves."""
    ledger = await line.ledger()
    wrong = double_admissions(ledger)
    wrong += journals(ledger, line.sent("event"))
    wrong += line.answered_twice()
    if line.truth.inside_max > line.cap:
        wrong.append(f"{line.truth.inside_max} were inside, {line.cap} may be")
    if faults.late:
        wrong.append(f"{faults.late} bolts were freed after their time")
    return wrong
