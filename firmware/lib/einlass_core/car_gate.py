"""The lane of a car park's exit: as gate.py, but the exit is asked for, and opens for who may leave. Hosts only.

Exit side
    LOCKED    --Scanned, link up-->            ASKING    Ask, Show(checking)
    LOCKED    --Scanned, cut off, open-->      RELEASED  Record(exit, digest), SetBolt(exit, True), Show(ok_exit)
    LOCKED    --Scanned, cut off, secure-->    LOCKED    Record(refused), Show(staff)
    ASKING    --Answered(ok_exit)-->           RELEASED  Record(exit, digest), SetBolt(exit, True), Show(ok_exit)
    ASKING    --Answered(anything else)-->     LOCKED    Show(its code)
    ASKING    --ask_ms over, open-->           RELEASED  as when cut off
    ASKING    --ask_ms over, secure-->         LOCKED    Record(given_up), Show(staff)
    RELEASED  --BodyPassed-->                  LOCKED    SetBolt(exit, False), Record(passed)
    RELEASED  --exit_release_ms over-->        SETTLING  SetBolt(exit, False)
    SETTLING  --BodyPassed-->                  LOCKED    Record(passed)
    SETTLING  --at rest for settle_ms-->       LOCKED    Record(unused)
    SETTLING  --doubt_ms over, still busy-->   LOCKED    Record(unused, doubtful): in doubt the car is inside
    any       --emergency-->                   LOCKED    SetBolt(exit, True): free without end, as in gate.py

One car at a time: a code that comes while another's is decided or its car drives out is not read. An exit that cannot
be written down opens for nobody (given_up); the emergency does not depend on it.
"""

from einlass_core import codes
from einlass_core.effects import Ask, Record, SetBolt, Show
from einlass_core.events import EXIT, NotRecorded
from einlass_core.gate import ASKING, LOCKED, NOISE_RECORD_MS, OPEN, RELEASED, SECURE, SETTLING, Gate
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from einlass_core.effects import Effect
    from einlass_core.events import Answered, Event
    from einlass_core.gate import GateSettings
    from einlass_core.lease import Account

EXIT_POLICIES = (OPEN, SECURE)
LETS_OUT = "ok_exit"


class CarGate(Gate):
    """See Gate. `exit` is the exit's state; exit_cut_off (one of EXIT_POLICIES): what it does while nobody answers.

    ValueError for settings whose exit is free without a scan: then nothing would be asked.
    """

    def __init__(
        self,
        settings: "GateSettings",
        account: "Account",
        nonce_prefix: str,
        emergency: bool = False,
        listed: "Callable[[str], int | str] | None" = None,
        exit_cut_off: str = OPEN,
    ) -> None:
        if settings.exit_free:
            raise ValueError("an exit that asks is not free: exit_free must be false")
        super().__init__(settings, account, nonce_prefix, emergency, listed)
        self.exit = LOCKED
        self._exit_cut_off = exit_cut_off
        self._exit_code = ""
        self._exit_settling_since = 0
        self._just_released = False

    def step(self, now_ms: int, event: "Event") -> "list[Effect]":
        """See Gate."""
        if not isinstance(event, NotRecorded):
            self._just_released = False  # What was not written down would have been told before any other event.
        return super().step(now_ms, event)

    # Scans and answers

    def _exit_scanned(self, now_ms: int, code: str, effects: "list[Effect]") -> None:
        if self.exit != LOCKED or self._repeated(now_ms, EXIT, code):
            return
        if self.emergency:
            self._noted_in_an_emergency(now_ms, code, effects)
        elif not code:
            self._exit_noise(now_ms, effects)
        else:
            self._remember(now_ms, EXIT, code)
            self._exit_nonce = self._next_nonce()
            self._exit_code = code
            if not self._linked:
                self._exit_alone(now_ms, "refused", effects)
                return
            self.exit = ASKING
            self._exit_deadline = now_ms + self._settings.ask_ms
            effects.append(Ask(self._exit_nonce, EXIT, code))
            effects.append(Show("checking"))
            self._show_until = None

    def _answered(self, now_ms: int, event: "Answered", effects: "list[Effect]") -> None:
        if self.exit != ASKING or event.nonce != self._exit_nonce:
            super()._answered(now_ms, event, effects)
            return
        if event.limit is not None:
            self._limited(event.limit, effects)
        if event.code == LETS_OUT:
            self._let_out(now_ms, {}, event.values, effects)
            return
        self._shut_exit()
        self._last_code_until = now_ms + self._settings.same_code_ms
        self._show(now_ms, event.code, effects, event.values)

    def _exit_alone(self, now_ms: int, refusal: str, effects: "list[Effect]") -> None:
        """Cut off, or no answer in time."""
        if self._exit_cut_off == OPEN:
            self._let_out(now_ms, {"reason": OPEN}, {}, effects)
            return
        fields = self._exit_fields()
        fields["digest"] = codes.digest(self._exit_code)
        fields["code"] = "staff"
        self._shut_exit()
        if refusal == "given_up":
            self._forget_code()
        effects.append(Record(refusal, fields))
        self._show(now_ms, "staff", effects)

    def _let_out(self, now_ms: int, more: "dict[str, Any]", values: "dict[str, Any]", effects: "list[Effect]") -> None:
        fields = self._exit_fields()
        fields["digest"] = codes.digest(self._exit_code)
        fields.update(more)
        until = now_ms + self._settings.exit_release_ms
        self.exit = RELEASED
        self.exit_open = True
        self._exit_deadline = until
        self._just_released = True
        effects.append(Record("exit", fields))
        effects.append(SetBolt(EXIT, True, until))
        effects.append(Show(LETS_OUT, values))
        self._show_until = None

    def _exit_noise(self, now_ms: int, effects: "list[Effect]") -> None:
        """As Gate._noise: written down at most once a second."""
        self._noise_skipped += 1
        if now_ms >= self._noise_until:
            fields = {"side": EXIT, "code": "invalid", "reason": "unreadable", "persons": self._noise_skipped}
            effects.append(Record("refused", fields))
            self._noise_until = now_ms + NOISE_RECORD_MS
            self._noise_skipped = 0
        self._show(now_ms, "invalid", effects)

    def _noted_in_an_emergency(self, now_ms: int, code: str, effects: "list[Effect]") -> None:
        """The exit is free; who shows a ticket all the same is named by it."""
        self._remember(now_ms, EXIT, code)
        self._exit_nonce = self._next_nonce()
        fields = self._exit_fields()
        if code:
            fields["digest"] = codes.digest(code)
        effects.append(Record("exit", fields))
        effects.append(Show("emergency"))

    # Passages, and releases that nobody used

    def _passed_out(self, now_ms: int, effects: "list[Effect]") -> None:
        if self.exit not in (RELEASED, SETTLING):
            super()._passed_out(now_ms, effects)
            return
        self.account.leave(1)
        passed = Record("passed", self._exit_fields())
        passed.fields["persons"] = 1
        self._lock_exit(effects)
        effects.append(passed)
        self._ready(effects)

    def _exit_due(self, now_ms: int, effects: "list[Effect]") -> None:
        settings = self._settings
        busy = self._busy_since is not None
        if self.exit == ASKING:
            self._exit_alone(now_ms, "given_up", effects)
        elif self.exit == RELEASED:
            # A car may just be driving off: it is waited for, and the boom's driver waits for it anyway.
            self.exit = SETTLING
            self.exit_open = False
            self._exit_settling_since = now_ms
            self._exit_deadline = now_ms + settings.settle_ms
            effects.append(SetBolt(EXIT, False))
        elif busy and now_ms - self._exit_settling_since < settings.doubt_ms:
            self._exit_deadline = now_ms + settings.settle_ms
        else:
            fields = self._exit_fields()
            fields["persons"] = 0
            if busy:
                fields["doubtful"] = True
            self._shut_exit()
            self._forget_code()
            effects.append(Record("unused", fields))
            self._ready(effects)

    def _due(self, now_ms: int, effects: "list[Effect]") -> None:
        if self._exit_deadline is not None and now_ms >= self._exit_deadline:
            self._exit_due(now_ms, effects)
        super()._due(now_ms, effects)

    # Emergency, the journal, faults

    def _open_exit(self, effects: "list[Effect]") -> None:
        if self.exit == ASKING:
            self._exit_nonce = ""  # Its answer comes too late for anything.
        self.exit = LOCKED  # What was released stays named by its nonce until the car is out.
        self._just_released = False
        super()._open_exit(effects)

    def _not_recorded(self, now_ms: int, event: "NotRecorded") -> "list[Effect]":
        asked = self._exit_fields() if self.exit == ASKING else None
        if event.kind == "exit" and self._just_released and event.fields["nonce"] == self._exit_nonce:
            event = NotRecorded("given_up", self._exit_fields())
            self._just_released = False
            self._shut_exit()
            self._forget_code()
        elif asked is not None:
            # The Ask may have stood behind the record.
            self._shut_exit()
            self._forget_code()
        effects = super()._not_recorded(now_ms, event)
        if asked is not None:
            self._owe("given_up", asked)
        if self._just_released:
            # Whether the exit's own record was kept is not known here: it stands before this one, or is told next.
            effects = [e for e in effects if not (isinstance(e, SetBolt) and e.side == EXIT)]
        return effects

    def _fault_deadline(self) -> "int | None":
        return None if self._driving_out() else super()._fault_deadline()

    def _fault_now(self, now_ms: int) -> str:
        return "" if self._driving_out() else super()._fault_now(now_ms)

    def _driving_out(self) -> bool:
        return self.exit in (RELEASED, SETTLING)

    # Small things

    def _exit_fields(self) -> "dict[str, Any]":
        return {"nonce": self._exit_nonce, "side": EXIT}

    def _lock_exit(self, effects: "list[Effect]") -> None:
        if self.exit_open:
            effects.append(SetBolt(EXIT, False))
        self._shut_exit()
        self._forget_code()

    def _shut_exit(self) -> None:
        self.exit = LOCKED
        self.exit_open = self.emergency
        self._exit_nonce = ""
        self._exit_deadline = None
