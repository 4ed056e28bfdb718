"""Puts a turnstile node together: profile, drivers, journal, lane, link. Nothing is decided here."""

import asyncio
import gc
import os

import machine

from einlass_core.codes import ALPHABET
from einlass_core.effects import Ask, Record, SetBolt, Show, Tell
from einlass_core.events import Started
from einlass_core.gate import Gate
from einlass_core.journal import Journal
from einlass_core.passage import Passage
from einlass_core.pump import Inbox, pump
from einlass_core.record import TYPE_CHECKING
from einlass_node.bolt import Bolts, Output
from einlass_node.clock import Clock
from einlass_node.files import FileStore
from einlass_node.inputs import Barriers, Contacts, Input
from einlass_node.link import Link
from einlass_node.scanner import Scanner
from einlass_node.signs import Signs
from einlass_node.supervisor import Supervisor

if TYPE_CHECKING:
    from typing import Any

    from einlass_core.board import Board, NodeConfig
    from einlass_core.gate import GateSettings

    from einlass_core.effects import Effect

JOURNAL_FOLDER = "/journal"
INCARNATION_LENGTH = 8
_REASONS = {1: "power", 2: "hard_reset", 3: "watchdog", 4: "deep_sleep", 5: "soft_reset"}


class Node:
    """Carries out what the lane wants, in order."""

    def __init__(self, config: "NodeConfig", board: "Board", settings: "GateSettings") -> None:
        lines = board.lines
        self.clock = Clock()
        now_ms = self.clock.now_ms
        # Bolts first: whatever fails below, the lane stands in its safe state.
        self._bolts = Bolts(Output(lines["bolt_entry"]), Output(lines["bolt_exit"], on=True), now_ms)
        self._signs = Signs(*[Output(lines[name]) for name in ("lamp_green", "lamp_red", "lamp_yellow", "buzzer")])
        sensed = lines.get("bolt_entry_sensed")
        self._journal = Journal(FileStore(JOURNAL_FOLDER), _incarnation())
        prefix = "%s.%d" % (self._journal.incarnation, self._journal.boot)
        self._gate = Gate(settings, self._journal.account, prefix, self._journal.emergency)
        self._inbox = Inbox()
        passage = Passage(board.debounce_ms)
        self._barriers = Barriers(Input(lines["barrier_a"]), Input(lines["barrier_b"]), passage, now_ms)
        self._contacts = Contacts(Input(lines["emergency"]), None if sensed is None else Input(sensed))
        self._scanners = [Scanner(line) for line in board.readers]
        self._reason = _REASONS.get(machine.reset_cause(), "unknown")
        self._link = Link(
            config,
            board.chip,
            self._reason,
            self._journal,
            self._gate,
            self._inbox,
            self.clock,
            _health,
            _tls(config),
            _random01,
        )

    async def run(self, watchdog: "Any") -> None:
        """Until the supervisor gives up on a task that has died."""
        supervisor = Supervisor(watchdog)
        first = Started(self._reason)
        supervisor.start("lane", pump(self._gate, self._inbox, self._perform, self.clock.now_ms, first))
        supervisor.start("barriers", self._barriers.run(self._inbox.put))
        supervisor.start("contacts", self._contacts.run(self._inbox.put))
        for scanner in self._scanners:
            supervisor.start("scanner", scanner.run(self._inbox.put))
            supervisor.start("scanner setting", scanner.keep_provisioned())
        supervisor.start("link", self._link.run())
        await supervisor.watch()

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
            self._journal.append(effect.kind, self.clock.now_ms(), self.clock.unix_ms(), effect.fields)
        except OSError as error:
            print("journal", error)
            return False
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
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    with open(config.ca_file, "rb") as file:
        context.load_verify_locations(cadata=file.read())
    return context


def run(board: "Board", config: "NodeConfig", settings: "GateSettings", watchdog: "Any") -> None:
    """Start the node; returns when one of its tasks has died."""
    if config.wifi_ssid:
        from einlass_node.wifi import join

        join(config)
    node = Node(config, board, settings)
    gc.collect()
    asyncio.run(node.run(watchdog))
