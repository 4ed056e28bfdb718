"""What the panel may see and do: the demonstration as one object, so that page and processes do not know each other."""

from typing import Any, Protocol


class Stage(Protocol):
    """Implemented by Demo; the panel needs nothing else."""

    def view(self) -> dict[str, Any]:
        """All a page draws. Keys:

        pool: {"name", "cap", "inside" (truth, bodies), "inside_max"}
        controller: {"url", "up", "zones": [{"zone","name","cap","present","reserved","leased","free"}]} as last heard
        lanes: [{"name", "node", "kind": "esp32"|"pi", "node_up", "camera": bool, "shown": str,
                 "latency_ms": {"p50","p99"} | None, **SimulatedLane.view()}]
        crowd: {"came", "went_home", "waiting", "running": bool, "arrivals_a_minute"}
        park: None, or {"name", "cap", "running", "inside" (truth), "parked": [name], "came", "left", "lost",
               "entry", "exit": {"boom" (per mille), "cars": [{"name", "rear", "front"} in mm], "lamp", "lines", "up"},
               "sign", "till": {"lines", "up"}, "money": {"coins", "card" (truth), "booked": {"coins", "card"} | None},
               "shops": [{"name", "handed_out", "used"}]}
        parts: [{"name", "up", "starts"}]   broker, controller, nodes
        admitted, refused: {code: n}, log: [{"at", "text_de", "text_en"}] newest last, at most 50
        """

    async def new_ticket(self, persons: int) -> dict[str, str]:
        """A ticket from the controller: {"id", "code", "typed" (groups of four), "svg"}. StageError: none to be had."""

    async def hold(self, lane: str, side: str, code: bytes) -> dict[str, Any]:
        """Hold a code before a simulated reader: {"lamp", "latency_ms"} of the answer. StageError: no such lane."""

    async def go(self, lane: str, side: str, behaviour: str) -> dict[str, str]:
        """One body goes to the arm (walk, step_back, tailgate, hesitate, force): {"fate"}."""

    def push_frame(self, lane: str, jpeg: bytes) -> None:
        """A frame of a real webcam, shown to the camera of this lane's node. StageError when it has none."""

    def press_emergency(self, lane: str, pressed: bool) -> None:
        """The emergency button beside the lane."""

    async def rearm(self, lane: str, first: str, second: str) -> None:
        """Two people end an emergency, through the controller."""

    async def pull_the_plug(self, part: str) -> None:
        """kill -9 one part; it is started again a moment later."""

    def set_crowd(self, running: bool, arrivals_a_minute: float) -> None:
        """How many people come."""


class StageError(ValueError):
    """It cannot be done; the text says what can."""
