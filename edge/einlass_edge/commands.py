"""Commands from the controller: each at most once, never late, always answered."""

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from einlass_edge.command_store import CommandStore

CLOCK_AHEAD_MS_MAX = 60_000

log = structlog.get_logger(__name__)
Reply = Callable[[str, str, str], None]


class Does(Protocol):
    """What a node can be told to do."""

    def rearm(self, command_id: str, first: str, second: str) -> None:
        """End an emergency; the node replies itself once the lane has decided."""

    def identify(self) -> None:
        """Blink and beep, so that somebody finds the node."""


class Commands:
    """take() every command message; reply(id, code, detail) goes out for each."""

    def __init__(self, store: CommandStore, unix_ms: Callable[[], int], does: Does, reply: Reply) -> None:
        self._store = store
        self._unix_ms = unix_ms
        self._does = does
        self._reply = reply

    def take(self, fields: dict[str, Any]) -> None:
        """Carry it out or refuse it."""
        code, detail = self._judge(fields)
        log.info("command", id=fields["id"], do=fields["do"], by=fields["by"], code=code or "taken", detail=detail)
        if code:
            self._reply(fields["id"], code, detail)
        elif fields["do"] == "rearm":
            first, _, second = fields["by"].partition(",")
            self._does.rearm(fields["id"], first.strip(), second.strip())
        else:
            self._does.identify()
            self._reply(fields["id"], "ok", "")

    def _judge(self, fields: dict[str, Any]) -> tuple[str, str]:
        """The code of a refusal and its reason; two empty texts: go ahead."""
        now = self._unix_ms()
        if not now:
            return "refused", "the node does not know the time yet; send it again in some seconds"
        if now >= fields["expires_ms"]:
            return "expired", ""
        if fields["issued_ms"] > now + CLOCK_AHEAD_MS_MAX:
            return "refused", "issued in the future: the clocks differ"
        if fields["do"] not in ("rearm", "identify"):
            return "refused", "known are: rearm, identify"
        try:
            if self._store.knows(fields["id"]):
                return "repeated", ""
            if not self._store.keep(fields["id"], fields["expires_ms"], now):
                return "refused", "too many commands at once"
        except OSError as error:
            log.error("command_not_noted", error=str(error))
            return "refused", "the node cannot note it: its disk is full or broken"
        return "", ""
