"""A gate with everything a shell does around it, for tests on both Pythons: bolts, journal, display, all by name."""

from einlass_core.effects import Ask, Record, SetBolt, Show, Tell
from einlass_core.events import Answered, Linked, Scanned, Started
from einlass_core.gate import Gate, GateSettings
from einlass_core.journal import Journal
from einlass_core.lease import Account, Limit
from einlass_core.pump import run_step
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

CODE = b"E1:QS4YXZ6AKQQBRRRAV"
OTHER = b"some other code"


class MemoryStore:
    """A journal store in memory that can be full."""

    def __init__(self) -> None:
        self.records: "list[tuple[int, str]]" = []
        self.full = False

    def bounds(self) -> "tuple[int, int]":
        return (self.records[0][0], self.records[-1][0]) if self.records else (0, 0)

    def append(self, seq: int, text: str) -> None:
        if self.full:
            raise OSError(28)
        self.records.append((seq, text))

    def read(self, seq: int, count_max: int) -> "list[tuple[int, str]]":
        return [record for record in self.records if record[0] >= seq][:count_max]

    def drop(self, through_seq: int) -> None:
        self.records = [record for record in self.records if record[0] > through_seq]


class Lane:
    """step() it with events; look at bolt, shown, recorded, asked."""

    def __init__(self, store: "MemoryStore | None" = None, linked: bool = True, **settings: "Any") -> None:
        self.store = store or MemoryStore()
        self.journal = Journal(self.store, "INCARNAT")
        self.listed: "dict[str, int]" = {}
        self.gate = self._make_gate(self.journal.prefix, settings)
        self.bolt = {"entry": False, "exit": True}
        self.shown = ""
        self.recorded: "list[tuple[str, dict[str, object]]]" = []
        self.asked: "list[Ask]" = []
        self.told = 0
        self.step(0, Started("power"))
        if linked:
            self.step(0, Linked(True))

    def _make_gate(self, prefix: str, settings: "dict[str, Any]") -> Gate:
        journal = self.journal
        return Gate(
            GateSettings(**settings),
            journal.account,
            prefix,
            journal.emergency,
            lambda digest: self.listed.get(digest, 0),
        )

    @property
    def account(self) -> Account:
        return self.gate.account

    def kinds(self) -> "list[str]":
        return [kind for kind, _ in self.recorded]

    def step(self, now_ms: int, event: object) -> None:
        run_step(self.gate, now_ms, event, lambda effect: self._perform(now_ms, effect))  # type: ignore[arg-type]

    def _perform(self, now_ms: int, effect: object) -> bool:
        if isinstance(effect, Record):
            try:
                self.journal.append(effect.kind, now_ms, 0, effect.fields)
            except OSError:
                return False
            self.recorded.append((effect.kind, effect.fields))
        elif isinstance(effect, SetBolt):
            self.bolt[effect.side] = effect.released
        elif isinstance(effect, Show):
            self.shown = effect.code
        elif isinstance(effect, Ask):
            self.asked.append(effect)
        elif isinstance(effect, Tell):
            self.told += 1
        return True

    def scan(self, now_ms: int, side: str = "entry", raw: bytes = CODE) -> None:
        self.step(now_ms, Scanned(side, raw))

    def answer(self, now_ms: int, code: str = "ok", persons: int = 1, nonce: "str | None" = None) -> None:
        """As the controller would: an admission brings the ceiling that makes room for it."""
        limit = None
        if code == "ok":
            account = self.account
            limit = Limit(account.epoch, account.version + 1, account.balance + persons)
        self.step(now_ms, Answered(nonce or self.asked[-1].nonce, code, persons, {}, limit))

    def release(self, now_ms: int = 0, persons: int = 1) -> None:
        self.scan(now_ms)
        self.answer(now_ms, persons=persons)
        assert self.bolt["entry"]
