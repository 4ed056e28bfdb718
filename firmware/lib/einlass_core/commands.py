"""Commands from the controller: run at most once, never late, also across a reboot.

A command is obeyed only when it was issued after this node started (by the controller's own clock), has not expired and
its id was not seen since the start: so a copy delivered again after a reboot is refused without keeping a list on disk.
"""

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SEEN_MAX = 32
VALID_MS_MAX = 60_000

OK = "ok"
EXPIRED = "expired"
REPEATED = "repeated"
CLOCK_UNTRUSTED = "clock_untrusted"
UNKNOWN = "unknown"


class Commands:
    """Judges each command once."""

    def __init__(self) -> None:
        self._seen: "list[str]" = []

    def judge(self, command: "dict[str, Any]", unix_ms: int, started_unix_ms: int) -> str:
        """OK when it is to be carried out now. unix_ms 0: the node does not know the time yet."""
        if command["id"] in self._seen:
            return REPEATED
        if not unix_ms:
            return CLOCK_UNTRUSTED
        issued_ms, expires_ms = command["issued_ms"], command["expires_ms"]
        if issued_ms < started_unix_ms or unix_ms >= expires_ms or expires_ms - issued_ms > VALID_MS_MAX:
            return EXPIRED
        if len(self._seen) >= SEEN_MAX:
            self._seen.pop(0)
        self._seen.append(command["id"])
        return OK


def two_names(by: str) -> "tuple[str, str]":
    """The two people of a command that needs two; empty texts where they are missing."""
    parts = by.split(",")
    return (parts[0].strip(), parts[1].strip()) if len(parts) == 2 else (by.strip(), "")
