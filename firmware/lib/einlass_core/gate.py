"""The lane's state machine: no I/O, no clock, no randomness. Same events, same effects.

Rule: everything that can change a lane's state is in this file.

Entry side
    LOCKED    --Scanned, link up-->          ASKING     Ask, Show(checking)
    LOCKED    --Scanned, cut off, room-->    RELEASED   Record(released, digest), SetBolt(entry, True), Show(ok)
    LOCKED    --Scanned, cut off, none-->    LOCKED     Record(refused), Show(offline_not_here or lease_exhausted)
    ASKING    --Answered(admits, fits)-->    RELEASED   Record(released), SetBolt(entry, True), Show(ok)
    ASKING    --Answered(refuses)-->         LOCKED     Show(its code)
    ASKING    --ask_ms over, room-->         RELEASED   as when cut off
    ASKING    --ask_ms over, none-->         LOCKED     Record(given_up), Show(offline_not_here or lease_exhausted)
    RELEASED  --BodyPassed, more to come-->  RELEASED   Record(passed)
    RELEASED  --BodyPassed, the last-->      LOCKED     SetBolt(entry, False), Record(passed)
    RELEASED  --release_ms over-->           SETTLING   SetBolt(entry, False)
    SETTLING  --BodyPassed-->                SETTLING   Record(passed)
    SETTLING  --at rest for settle_ms-->     LOCKED     Record(unused): the places come back
    SETTLING  --doubt_ms over, still busy--> LOCKED     Record(passed, doubtful): in doubt somebody is inside
    any       --fault-->                     OUT        SetBolt(entry, False), Record(fault), Show(error)
    OUT       --fault over-->                LOCKED     Record(fault_over)
    any other --BodyPassed-->                same       Record(forced): bodies count, released or not

Room while cut off, by GateSettings.cut_off: `secure` none; `leased` what the ceiling leaves, for tickets on the list,
while the lease covers the whole passage; `open` for every ticket on the list; `free-flow` for whoever shows any code.

Exit side: always free (exit_free), or free for exit_release_ms after any scan. It is never refused, never asked for,
and opens before anything is written down.

Emergency: the entry shuts, the exit opens without end; it stays so, also across a restart, until the input is healthy
again and two people re-arm.
"""

from einlass_core import codes
from einlass_core.effects import Ask, Record, SetBolt, Show, Tell
from einlass_core.events import (
    ENTRY,
    EXIT,
    Answered,
    BodyPassed,
    BoltSensed,
    EmergencyInput,
    Limited,
    Linked,
    NotRecorded,
    PassageBusy,
    Rearmed,
    Scanned,
    Started,
)
from einlass_core.record import TYPE_CHECKING
from einlass_core.signals import ADMITTING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from einlass_core.effects import Effect
    from einlass_core.events import Event
    from einlass_core.lease import Account, Limit

LOCKED = "locked"
ASKING = "asking"
RELEASED = "released"
SETTLING = "settling"
OUT = "out_of_service"

SECURE = "secure"
LEASED = "leased"
OPEN = "open"
FREE_FLOW = "free-flow"
POLICIES = (SECURE, LEASED, OPEN, FREE_FLOW)

OWED_MAX = 64
OWED_RETRY_MS = 1000
NOISE_RECORD_MS = 1000


class GateSettings:
    """The lane's times in milliseconds, its equipment, and what it does alone (one of POLICIES)."""

    def __init__(
        self,
        ask_ms: int = 2000,
        release_ms: int = 6000,
        settle_ms: int = 400,
        busy_ms: int = 5000,
        doubt_ms: int = 20_000,
        same_code_ms: int = 1500,
        show_ms: int = 3000,
        exit_free: bool = True,
        exit_release_ms: int = 6000,
        bolt_sensed: bool = False,
        bolt_move_ms: int = 1500,
        cut_off: str = LEASED,
    ) -> None:
        self.ask_ms = ask_ms
        self.release_ms = release_ms
        self.settle_ms = settle_ms
        self.busy_ms = busy_ms
        self.doubt_ms = doubt_ms
        self.same_code_ms = same_code_ms
        self.show_ms = show_ms
        self.exit_free = exit_free
        self.exit_release_ms = exit_release_ms
        self.bolt_sensed = bolt_sensed
        self.bolt_move_ms = bolt_move_ms
        self.cut_off = cut_off


class Gate:
    """Feed step() every event; carry out what it returns, in order; call again by deadline_ms.

    listed: how many persons may be let in alone by this digest of `code`; 0, or the decision code of why: nobody.
    """

    def __init__(
        self,
        settings: GateSettings,
        account: "Account",
        nonce_prefix: str,
        emergency: bool = False,
        listed: "Callable[[str], int | str] | None" = None,
    ) -> None:
        self.account = account
        self.cut_off = settings.cut_off
        self._listed = listed
        self.entry = LOCKED
        self.exit_open = settings.exit_free
        self.emergency = emergency
        self._settings = settings
        self._nonce_prefix = nonce_prefix
        self._scans = 0
        self._linked = False
        self._pressed = False
        self._busy_since: "int | None" = None
        self._deadline: "int | None" = None
        self._settling_since = 0
        self._nonce = ""
        self._left = 0
        self.code = ""
        self._last_code = ""
        self._last_code_until = 0
        self._exit_nonce = ""
        self._exit_deadline: "int | None" = None
        self._show_until: "int | None" = None
        self._bolt_wanted = False
        self._bolt_is = False
        self._bolt_since = 0
        self._fault = ""
        self._owed: "list[tuple[str, dict[str, Any]]]" = []
        self.owed_deadline: "int | None" = None  # None: all that happened is known to be written down.
        self._noise_until = 0
        self._noise_skipped = 0

    @property
    def deadline_ms(self) -> "int | None":
        """When step() wants to be called at the latest; None: only on an event."""
        every = (self._deadline, self._exit_deadline, self._show_until, self.owed_deadline, self._fault_deadline())
        due = [at for at in every if at is not None]
        return min(due) if due else None

    def step(self, now_ms: int, event: "Event") -> "list[Effect]":
        """Apply one event. now_ms never runs backwards and never wraps."""
        if isinstance(event, NotRecorded):
            return self._not_recorded(now_ms, event)
        effects: "list[Effect]" = []
        self._due(now_ms, effects)  # First, so that a late answer meets a locked lane.
        if isinstance(event, Scanned):
            self._scanned(now_ms, event, effects)
        elif isinstance(event, Answered):
            self._answered(now_ms, event, effects)
        elif isinstance(event, BodyPassed):
            self._passed(now_ms, event.side, effects)
        elif isinstance(event, PassageBusy):
            self._busy_since = now_ms if event.busy else None
        elif isinstance(event, BoltSensed):
            self._bolt_seen(now_ms, event)
        elif isinstance(event, Limited):
            self._limited(event.limit, effects)
            if event.limit.epoch == self.account.epoch:
                self.account.renew(now_ms, event.from_ms, event.lease_ms)
            elif event.limit.epoch > self.account.epoch and self.account.until_ms > now_ms:
                self.account.until_ms = now_ms  # Somebody is under way; what was lent belongs to a count that is over.
        elif isinstance(event, Linked):
            self._linked = event.up
        elif isinstance(event, EmergencyInput):
            self._emergency_input(now_ms, event.pressed, effects)
        elif isinstance(event, Rearmed):
            self._rearmed(now_ms, event, effects)
        elif isinstance(event, Started):
            self._started(now_ms, event, effects)
        self._watch(now_ms, effects)
        if self._owed:
            self._pay_owed(now_ms, effects)
        return effects

    # Scans and answers

    def _scanned(self, now_ms: int, event: Scanned, effects: "list[Effect]") -> None:
        code = reason = ""
        try:
            code = codes.read(event.raw)
        except codes.CodeError as error:
            reason = error.reason
        if event.side == EXIT:
            self._exit_scanned(now_ms, code, effects)
        elif self.entry != LOCKED or self._repeated(now_ms, ENTRY, code):
            pass  # One visitor at a time, and a reader repeats a code that is held to it.
        elif self.emergency:
            self._show(now_ms, "emergency", effects)
        elif not code:
            self._noise(now_ms, reason, effects)
        elif self.owed_deadline is not None:
            self._show(now_ms, "error", effects)  # The journal is full or broken: nobody in, everybody out.
        else:
            self._remember(now_ms, ENTRY, code)
            self._nonce = self._next_nonce()
            self.code = code
            if not self._linked:
                self._alone(now_ms, "refused", effects)
                return
            self._enter(ASKING, now_ms + self._settings.ask_ms)
            effects.append(Ask(self._nonce, ENTRY, code))
            effects.append(Show("checking"))

    def _answered(self, now_ms: int, event: Answered, effects: "list[Effect]") -> None:
        if self.entry != ASKING or event.nonce != self._nonce:
            # Late or twice, as QoS 1 allows. The place it brings is taken over (and given back), nobody is let in.
            if event.limit is not None:
                self._limited(event.limit, effects)
            return
        if event.code not in ADMITTING:
            self._enter(LOCKED, None)
            self._last_code_until = now_ms + self._settings.same_code_ms
            self._show(now_ms, event.code, effects, event.values)
            return
        if event.limit is not None:
            self.account.take(event.limit)
        if event.persons < 1 or not self.account.fits(event.persons):
            self._give_up(now_ms, "error", effects)
            return
        self._release(now_ms, {"nonce": self._nonce, "side": ENTRY, "persons": event.persons}, effects)
        effects.append(Show(event.code, event.values))

    def _release(self, now_ms: int, fields: "dict[str, Any]", effects: "list[Effect]") -> None:
        self._left = fields["persons"]
        self.account.enter(self._left)
        until = now_ms + self._settings.release_ms
        self._enter(RELEASED, until)
        effects.append(Record("released", fields))
        self._bolt(now_ms, True, until, effects)
        self._show_until = None

    def _give_up(self, now_ms: int, show: str, effects: "list[Effect]") -> None:
        self._enter(LOCKED, None)
        self._forget_code()
        effects.append(Record("given_up", {"nonce": self._nonce, "side": ENTRY}))
        self._show(now_ms, show, effects)

    def _alone(self, now_ms: int, refusal: str, effects: "list[Effect]") -> None:
        """Cut off, or no answer in time: the list says who it is, the lane's own ceiling whether there is room."""
        settings = self._settings
        digest = codes.digest(self.code)
        show = "offline_not_here"
        persons: "Any" = 1 if self.cut_off == FREE_FLOW else 0
        if self.cut_off in (LEASED, OPEN) and self._listed is not None:
            persons = self._listed(digest)
        if isinstance(persons, str):
            show, persons = persons, 0
        if persons and self.cut_off == LEASED:
            longest = persons * settings.release_ms + settings.doubt_ms
            if not self.account.fits(persons) or now_ms + longest > self.account.until_ms:
                show = "lease_exhausted"
                persons = 0
        fields: "dict[str, Any]" = {"nonce": self._nonce, "side": ENTRY, "digest": digest}
        if persons:
            fields.update(persons=persons, reason=self.cut_off)
            self._release(now_ms, fields, effects)
            effects.append(Show("ok"))
            return
        fields["code"] = show
        self._enter(LOCKED, None)
        if refusal == "given_up":
            self._forget_code()
        effects.append(Record(refusal, fields))
        self._show(now_ms, show, effects)

    def _noise(self, now_ms: int, reason: str, effects: "list[Effect]") -> None:
        """Something that is no code. Recorded at most once a second: a flickering reader must not fill the journal."""
        self._noise_skipped += 1
        if now_ms >= self._noise_until:
            fields = {"side": ENTRY, "code": "invalid", "reason": reason, "persons": self._noise_skipped}
            effects.append(Record("refused", fields))
            self._noise_until = now_ms + NOISE_RECORD_MS
            self._noise_skipped = 0
        self._show(now_ms, "invalid", effects)

    # Passages

    def _passed(self, now_ms: int, side: str, effects: "list[Effect]") -> None:
        self._busy_since = now_ms if self._busy_since is not None else None
        if side == EXIT:
            self._passed_out(now_ms, effects)
        elif self.entry in (RELEASED, SETTLING) and self._left:
            self._passed_in(now_ms, effects)
        else:
            self.account.force(1)
            effects.append(Record("forced", {"side": ENTRY, "persons": 1}))
            self._show(now_ms, "forced", effects)

    def _passed_in(self, now_ms: int, effects: "list[Effect]") -> None:
        self._left -= 1
        self.account.confirm(1)
        passed = Record("passed", {"nonce": self._nonce, "side": ENTRY, "persons": 1})
        if self.entry == SETTLING:
            effects.append(passed)
            if not self._left:
                self._lock(now_ms, effects)
                self._ready(effects)
        elif self._left:
            until = now_ms + self._settings.release_ms
            self._deadline = until
            effects.append(passed)
            self._bolt(now_ms, True, until, effects)
        else:
            self._lock(now_ms, effects)
            effects.append(passed)
            self._ready(effects)

    def _lock(self, now_ms: int, effects: "list[Effect]") -> None:
        self._bolt(now_ms, False, None, effects)
        self._enter(LOCKED, None)
        self._forget_code()

    def _settle(self, now_ms: int, effects: "list[Effect]") -> None:
        """The release is over, but somebody may be in the arm while the bolt moves."""
        self._bolt(now_ms, False, None, effects)
        self._settling_since = now_ms
        self._enter(SETTLING, now_ms + self._settings.settle_ms)

    def _settled(self, now_ms: int, effects: "list[Effect]") -> None:
        left = self._left
        if self._busy_since is not None and now_ms - self._settling_since < self._settings.doubt_ms:
            self._deadline = now_ms + self._settings.settle_ms
            return
        self._left = 0
        self._enter(LOCKED, None)
        self._forget_code()
        if self._busy_since is not None:
            self.account.confirm(left)
            effects.append(Record("passed", {"nonce": self._nonce, "side": ENTRY, "persons": left, "doubtful": True}))
        else:
            self.account.refund(left)
            effects.append(Record("unused", {"nonce": self._nonce, "side": ENTRY, "persons": left}))
        self._ready(effects)

    # The exit side

    def _exit_scanned(self, now_ms: int, code: str, effects: "list[Effect]") -> None:
        if self._repeated(now_ms, EXIT, code):
            return
        self._remember(now_ms, EXIT, code)
        self._exit_nonce = self._next_nonce()
        self._exit_deadline = now_ms + self._settings.exit_release_ms
        if not self.exit_open:
            self.exit_open = True
            effects.append(SetBolt(EXIT, True, None))
        fields = {"nonce": self._exit_nonce, "side": EXIT}
        if code:
            fields["digest"] = codes.digest(code)
        effects.append(Record("exit", fields))
        self._show(now_ms, "ok_exit", effects)

    def _passed_out(self, now_ms: int, effects: "list[Effect]") -> None:
        self.account.leave(1)
        if not self.exit_open:
            effects.append(Record("forced", {"side": EXIT, "persons": 1}))
            return
        fields = {"side": EXIT, "persons": 1}
        if self._exit_nonce:
            fields["nonce"] = self._exit_nonce
        self._exit_over(effects)
        effects.append(Record("passed", fields))

    def _exit_over(self, effects: "list[Effect]") -> None:
        self._exit_nonce = ""
        self._exit_deadline = None
        if self.exit_open and not self._settings.exit_free and not self.emergency:
            self.exit_open = False
            effects.append(SetBolt(EXIT, False))

    # Emergency

    def _emergency_input(self, now_ms: int, pressed: bool, effects: "list[Effect]") -> None:
        if pressed == self._pressed:
            return
        self._pressed = pressed
        if pressed:
            self._open_exit(effects)
            if self.entry == RELEASED:
                self._settle(now_ms, effects)
            elif self.entry == ASKING:
                self._give_up(now_ms, "emergency", effects)
            else:
                self._bolt(now_ms, False, None, effects)
            self.emergency = True
        effects.append(Record("emergency", {"reason": "pressed" if pressed else "input_healthy"}))
        effects.append(Show("emergency"))
        self._show_until = None

    def _open_exit(self, effects: "list[Effect]") -> None:
        self.exit_open = True
        self._exit_deadline = None
        effects.append(SetBolt(EXIT, True))

    def _rearmed(self, now_ms: int, event: Rearmed, effects: "list[Effect]") -> None:
        first, second = event.first.strip(), event.second.strip()
        if not self.emergency or self._pressed or not first or not second or first == second:
            effects.append(Tell())
            return
        self.emergency = False
        effects.append(Record("rearmed", {"by": ("%s, %s" % (first, second))[:80]}))
        self._exit_over(effects)
        self._ready(effects)

    # Ceilings, restarts, the journal

    def _limited(self, limit: "Limit", effects: "list[Effect]") -> None:
        if self.account.take(limit):
            effects.append(Record("limit", {}))
        else:
            effects.append(Tell())

    def _started(self, now_ms: int, event: Started, effects: "list[Effect]") -> None:
        self._bolt_since = now_ms
        effects.append(SetBolt(ENTRY, False))
        if self.emergency:
            self.exit_open = True
        effects.append(SetBolt(EXIT, self.exit_open))
        effects.append(Record("boot", {"reason": event.reason}))
        if self.account.pending:
            # The power went between a release and its passage: nobody knows, so they count as inside.
            persons = self.account.pending
            self.account.confirm(persons)
            effects.append(Record("uncertain", {"persons": persons}))
        self._ready(effects)

    def _not_recorded(self, now_ms: int, event: NotRecorded) -> "list[Effect]":
        effects: "list[Effect]" = []
        self.owed_deadline = now_ms + OWED_RETRY_MS
        if event.kind == "released":
            self.account.refund(self._left)
            self._left = 0
            self._enter(LOCKED, None)
            self._forget_code()
            self._owe("given_up", {"nonce": self._nonce, "side": ENTRY})
        else:
            event.fields.setdefault("ms", now_ms)  # A count of the people may come before it can be written.
            self._owe(event.kind, event.fields)
            if self.entry == ASKING:
                # The Ask may have stood behind the record; an answer would meet a journal that takes no release.
                self._enter(LOCKED, None)
                self._forget_code()
                self._owe("given_up", {"nonce": self._nonce, "side": ENTRY})
        # What stood behind the record was dropped: say once more how the bolts must be.
        effects.append(SetBolt(EXIT, self.exit_open))
        if self.entry != RELEASED:
            self._bolt_wanted = False
            effects.append(SetBolt(ENTRY, False))
        elif self._bolt_since != now_ms:  # Else its own record may stand behind this one.
            effects.append(SetBolt(ENTRY, True, self._deadline))
        self._show(now_ms, "error", effects)
        return effects

    def _owe(self, kind: str, fields: "dict[str, Any]") -> None:
        for at, (owed_kind, owed) in enumerate(self._owed):
            if owed_kind == kind and "persons" in owed and owed.get("nonce") == fields.get("nonce"):
                if owed.get("side") == fields.get("side"):
                    owed["persons"] += fields.get("persons", 0)
                    if fields.get("side") == ENTRY and "ms" in fields:
                        # Whoever counts in between has too many rather than too few: the first out, the last in.
                        owed["ms"] = fields["ms"]
                        self._owed.append(self._owed.pop(at))
                    return
        if len(self._owed) >= OWED_MAX:
            # The account, which is absolute, still carries the count; only the single facts are merged into one.
            self._owed[-1] = ("lost", {"reason": "journal_full", "persons": 0})
        else:
            self._owed.append((kind, fields))

    def _pay_owed(self, now_ms: int, effects: "list[Effect]") -> None:
        """In the order in which it happened: once something was after a count, the controller takes the rest to be."""
        records = [isinstance(effect, Record) for effect in effects]
        at = records.index(True) if True in records else len(records)
        if at < len(effects) or self.owed_deadline is None or now_ms >= self.owed_deadline:
            effects[at:at] = [Record(kind, fields) for kind, fields in self._owed]
            self._owed.clear()
            self.owed_deadline = now_ms

    # Faults

    def _bolt_seen(self, now_ms: int, event: BoltSensed) -> None:
        if event.side == ENTRY:
            self._bolt_is = event.released
            self._bolt_since = now_ms

    def _fault_deadline(self) -> "int | None":
        if self._fault or self.entry == SETTLING:
            return None
        due = None
        if self._settings.bolt_sensed and self._bolt_wanted != self._bolt_is:
            due = self._bolt_since + self._settings.bolt_move_ms
        if self._busy_since is not None and self.entry == LOCKED:
            busy = self._busy_since + self._settings.busy_ms
            due = busy if due is None else min(due, busy)
        return due

    def _fault_now(self, now_ms: int) -> str:
        if self._settings.bolt_sensed and self._bolt_wanted != self._bolt_is:
            if self._fault or now_ms >= self._bolt_since + self._settings.bolt_move_ms:
                return "bolt_stuck_open" if self._bolt_is else "bolt_stuck_locked"
        if self._busy_since is not None and self.entry in (LOCKED, OUT):
            if self._fault or now_ms >= self._busy_since + self._settings.busy_ms:
                return "passage_blocked"
        return ""

    def _watch(self, now_ms: int, effects: "list[Effect]") -> None:
        fault = self._fault_now(now_ms)
        if fault and not self._fault and self.entry != SETTLING:
            self._fault = fault
            if self.entry == ASKING:
                self._give_up(now_ms, "error", effects)
            if self.entry == RELEASED:
                self._settle(now_ms, effects)
            else:
                self._bolt(now_ms, False, None, effects)
                self._enter(OUT, None)
            effects.append(Record("fault", {"reason": fault}))
            effects.append(Show("error"))
            self._show_until = None
        elif self._fault and not fault:
            effects.append(Record("fault_over", {"reason": self._fault}))
            self._fault = ""
            if self.entry == OUT:
                self._enter(LOCKED, None)
            self._ready(effects)
        elif self._fault and self.entry == LOCKED:
            self._enter(OUT, None)

    # Small things

    def _due(self, now_ms: int, effects: "list[Effect]") -> None:
        if self._deadline is not None and now_ms >= self._deadline:
            if self.entry == ASKING:
                self._alone(now_ms, "given_up", effects)
            elif self.entry == RELEASED:
                self._settle(now_ms, effects)
            else:
                self._settled(now_ms, effects)
        if self._exit_deadline is not None and now_ms >= self._exit_deadline:
            nonce = self._exit_nonce
            self._exit_over(effects)
            effects.append(Record("unused", {"nonce": nonce, "side": EXIT, "persons": 0}))
        if self._show_until is not None and now_ms >= self._show_until:
            self._ready(effects)
        if self.owed_deadline is not None and now_ms >= self.owed_deadline and not self._owed:
            self.owed_deadline = None  # Only now is it known that the last one was kept.

    def _bolt(self, now_ms: int, released: bool, until_ms: "int | None", effects: "list[Effect]") -> None:
        if released != self._bolt_wanted:
            self._bolt_wanted = released
            self._bolt_since = now_ms
        effects.append(SetBolt(ENTRY, released, until_ms))

    def _show(self, now_ms: int, code: str, effects: "list[Effect]", values: "dict[str, Any] | None" = None) -> None:
        effects.append(Show(code, values))
        self._show_until = now_ms + self._settings.show_ms

    def _ready(self, effects: "list[Effect]") -> None:
        self._show_until = None
        word = "error" if self._fault or self._owed else "ready"
        effects.append(Show("emergency" if self.emergency else word))

    def _enter(self, state: str, deadline_ms: "int | None") -> None:
        self.entry = state
        self._deadline = deadline_ms

    def _next_nonce(self) -> str:
        self._scans += 1
        return "%s.%d" % (self._nonce_prefix, self._scans)

    def _repeated(self, now_ms: int, side: str, code: str) -> bool:
        return code != "" and side + code == self._last_code and now_ms < self._last_code_until

    def _remember(self, now_ms: int, side: str, code: str) -> None:
        self._last_code = side + code
        self._last_code_until = now_ms + self._settings.same_code_ms

    def _forget_code(self) -> None:
        self._last_code = ""
