"""A car park's exit with everything a shell does around it; see lane.py."""

from einlass_core.car_gate import CarGate
from einlass_core.effects import Record, SetBolt
from einlass_core.events import Answered
from einlass_core.gate import GateSettings
from einlass_core.record import TYPE_CHECKING
from lane import CODE, Lane

if TYPE_CHECKING:
    from typing import Any

EXIT = "exit"


class CarLane(Lane):
    """Never raises the boom outside an emergency but for an exit that is on the disk: looked at with every effect."""

    gate: CarGate

    def _make_gate(self, prefix: str, settings: "dict[str, Any]") -> CarGate:
        journal = self.journal
        settings = dict(settings)
        policy = settings.pop("exit_cut_off", "open")
        self.raised = 0
        return CarGate(
            GateSettings(exit_free=False, **settings),
            journal.account,
            prefix,
            journal.emergency,
            lambda digest: 0,
            policy,
        )

    def _perform(self, now_ms: int, effect: object) -> bool:
        done = super()._perform(now_ms, effect)
        if isinstance(effect, SetBolt) and effect.side == EXIT and effect.released and not self.gate.emergency:
            last = [fields for kind, fields in self.recorded if kind == "exit"][-1]
            assert last["nonce"] == self.gate._exit_nonce, "raised for an exit that is not written down"
            self.raised += 1
        if isinstance(effect, Record) and done and effect.kind == "passed" and effect.fields["side"] == EXIT:
            # A car whose record could not be kept at once ("ms") is told while the boom is up, for the next one too.
            let_out = [fields["nonce"] for kind, fields in self.recorded if kind == "exit"]
            its_own = effect.fields.get("nonce") in let_out[-1:] and "ms" not in effect.fields
            assert self.gate.emergency or not self.bolt[EXIT] or not its_own, "closed behind it"
        return done

    def leave(self, now_ms: int, raw: bytes = CODE) -> None:
        self.scan(now_ms, EXIT, raw)

    def decide(self, now_ms: int, code: str = "ok_exit", nonce: "str | None" = None) -> None:
        """As the controller answers an exit: it brings no ceiling."""
        self.step(now_ms, Answered(nonce or self.asked[-1].nonce, code, 0, {}, None))

    def facts(self, kind: str) -> "list[dict[str, Any]]":
        return [fields for recorded, fields in self.recorded if recorded == kind]
