"""Commands from the controller, carried out on this node and always answered."""

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from einlass_core.commands import OK, UNKNOWN, two_names
from einlass_core.commands import Commands as Judge

log = structlog.get_logger(__name__)
Reply = Callable[[str, str, str], None]


class Does(Protocol):
    """What a node can be told to do."""

    def rearm(self, command_id: str, first: str, second: str) -> None:
        """End an emergency; the node replies itself once the lane has decided."""

    def identify(self) -> None:
        """Blink and beep, so that somebody finds the node."""


class Commands:
    """take() every command message; reply(id, code, detail) goes out for each.

    unix_ms: the time now, started_unix_ms: when this node started, both by the controller's clock, 0 when unknown.
    """

    def __init__(
        self, unix_ms: Callable[[], int], started_unix_ms: Callable[[], int], does: Does, reply: Reply
    ) -> None:
        self._judge = Judge()
        self._unix_ms = unix_ms
        self._started_unix_ms = started_unix_ms
        self._does = does
        self._reply = reply

    def take(self, fields: dict[str, Any]) -> None:
        """Carry it out or say why not."""
        code = self._judge.judge(fields, self._unix_ms(), self._started_unix_ms())
        if code == OK and fields["do"] not in ("rearm", "identify"):
            code = UNKNOWN
        log.info("command", id=fields["id"], do=fields["do"], by=fields["by"], code=code)
        if code == OK and fields["do"] == "rearm":
            self._does.rearm(fields["id"], *two_names(fields["by"]))
            return
        if code == OK:
            self._does.identify()
        self._reply(fields["id"], code, "")
