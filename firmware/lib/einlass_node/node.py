"""Puts a turnstile node together: profile, drivers, journal, lane, link. Nothing is decided here."""

import asyncio
import gc
import machine
import os

from einlass_core.allowlist import AllowList
from einlass_core.codes import ALPHABET
from einlass_core.effects import Ask, Record, SetBolt, Show, Tell
from einlass_core.events import Started, Ticked
from einlass_core.gate import LOCKED, Gate
from einlass_core.journal import Journal
from einlass_core.passage import Passage
from einlass_core.pump import run_step
from einlass_core.record import TYPE_CHECKING
from einlass_node.bolt import Bolts, Output
from einlass_node.clock import Clock
from einlass_node.files import FileStore
from einlass_node.inputs import Barriers, Contacts, Input
from einlass_node.link import Link
from einlass_node.list_files import ListFiles
from einlass_node.scanner import Scanner
from einlass_node.signs import Signs
from einlass_node.supervisor import supervise

if TYPE_CHECKING:
    from typing import Any

    from einlass_core.board import Board, NodeConfig
    from einlass_core.effects import Effect
    from einlass_core.events import Event
    from einlass_core.gate import GateSettings

JOURNAL_FOLDER = "/journal"
INCARNATION_LENGTH = 8
LOOK_MS = 10  # between two looks at the inputs; a code or a passage waits for the next one
MERGE_AGAIN_MS = 60_000  # after the flash had no room for it
REASONS = "unknown power hard_reset watchdog deep_sleep soft_reset"  # in the order of machine.reset_cause()


class Node:
    """Carries out what the lane wants, in order."""

    def __init__(self, config: "NodeConfig", board: "Board", settings: "GateSettings") -> None:
        lines = board.lines
        self._clock = Clock()
        now_ms = self._clock.now_ms
        # Bolts first: whatever fails below, the lane stands in its safe state.
        self._bolts = Bolts(Output(lines["bolt_entry"]), Output(lines["bolt_exit"], on=True), now_ms)
        self._signs = Signs(*[Output(lines[name]) for name in ("lamp_green", "lamp_red", "lamp_yellow", "buzzer")])
        sensed = lines.get("bolt_entry_sensed")
        self._journal = Journal(FileStore(JOURNAL_FOLDER), _incarnation())
        self._list = AllowList(ListFiles())
        self._merge_ms = 0
        self._gate = Gate(
            settings, self._journal.account, self._journal.prefix, self._journal.emergency, self._list.persons
        )
        self._deadline_ms: "int | None" = None
        self._failed: "Exception | None" = None
        passage = Passage(board.debounce_ms)
        barriers = Barriers(Input(lines["barrier_a"]), Input(lines["barrier_b"]), passage, now_ms)
        contacts = Contacts(Input(lines["emergency"]), None if sensed is None else Input(sensed))
        self._sensors = (contacts, barriers)
        self._scanners = [Scanner(line) for line in board.readers]
        self._reason = REASONS.split()[machine.reset_cause()]
        self._link = Link(
            config,
            board.chip,
            self._reason,
            self._journal,
            self._gate,
            self._list,
            contacts,
            self._happened,
            self._clock,
            _health,
            _tls(config),
            _random01,
        )

    async def run(self, watchdog: "Any") -> None:
        """Until one of its parts has ended."""
        await supervise(watchdog, {"lane": self._look(), "mqtt": self._link.client.run()})

    def _happened(self, event: "Event") -> None:
        """One step of the lane. A fault in it ends the node, whoever called: the link would go on as if nothing was."""
        try:
            run_step(self._gate, self._clock.now_ms(), event, self._perform)
            self._deadline_ms = self._gate.deadline_ms
        except Exception as error:
            self._failed = error

    async def _look(self) -> None:
        """One loop for all that is looked at: a task and a timer for each would cost more memory than there is."""
        self._happened(Started(self._reason))
        while self._failed is None:
            now_ms = self._clock.now_ms()
            for sensor in self._sensors:
                for event in sensor.look(now_ms):
                    self._happened(event)
            for scanner in self._scanners:
                for event in scanner.look(now_ms):
                    self._happened(event)
            if self._deadline_ms is not None and now_ms >= self._deadline_ms:
                self._happened(Ticked())
            self._link.look(now_ms)
            if now_ms >= self._merge_ms and self._gate.entry == LOCKED:
                self._merge(now_ms)
            await asyncio.sleep_ms(LOOK_MS)
        raise self._failed

    def _merge(self, now_ms: int) -> None:
        try:
            self._list.work()
        except OSError as error:
            print("list", error)
            self._merge_ms = now_ms + MERGE_AGAIN_MS

    def _perform(self, effect: "Effect") -> bool:
        if isinstance(effect, Record):
            return self._record(effect)
        if isinstance(effect, SetBolt):
            self._bolts.set(effect.side, effect.released, effect.until_ms)
        elif isinstance(effect, Show):
            self._signs.show(effect.code)
        elif isinstance(effect, Ask):
            self._link.ask(effect)
        elif isinstance(effect, Tell):
            self._link.tell()
        return True

    def _record(self, effect: Record) -> bool:
        try:
            self._list.recorded(effect.kind, effect.fields)
            self._journal.append(effect.kind, self._clock.now_ms(), self._clock.unix_ms(), effect.fields)
        except OSError as error:
            print("journal", error)
            return False
        self._list.kept()
        self._link.recorded()
        return True


def _incarnation() -> str:
    return "".join([ALPHABET[byte & 31] for byte in os.urandom(INCARNATION_LENGTH)])


def _random01() -> float:
    number = int.from_bytes(os.urandom(2), "big")
    return number / 65536


def _health() -> "dict[str, Any]":
    gc.collect()  # Else the figure is how long ago that was done last.
    return {"heap_free_bytes": gc.mem_free()}


def _tls(config: "NodeConfig") -> "Any":
    if not config.ca_file:
        return None
    from einlass_node.tls import context

    return context(config.ca_file)
