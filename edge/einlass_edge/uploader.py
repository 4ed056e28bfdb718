"""Brings the journal to the controller: in order, without gaps, again and again until it is acknowledged."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from einlass_core.journal import Journal, event_fields
from einlass_core.wire import WireError, encode
from einlass_edge.drivers.driver import Now

IN_FLIGHT_MAX = 16
RESEND_MS = 3000

log = structlog.get_logger(__name__)


class Uploader:
    """wake() after every new record, acknowledged() for every ack, connected() when the link is up.

    publish() takes a kind and its fields and says False when it cannot send now; then the next wake() or connected()
    goes on from there.
    """

    def __init__(self, journal: Journal, publish: Callable[[str, dict[str, Any]], bool], now_ms: Now) -> None:
        self._journal = journal
        self._publish = publish
        self._now_ms = now_ms
        self._sent = journal.acknowledged
        self._progress_ms = 0
        self._scheduled = False

    def wake(self) -> None:
        """Send soon: after what the lane is doing right now, so that no bolt waits for the network."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def connected(self) -> None:
        """A new connection: everything not acknowledged once more."""
        self._sent = self._journal.acknowledged
        self._progress_ms = self._now_ms()
        self.wake()

    def acknowledged(self, seq: int) -> None:
        """The controller has all records up to seq."""
        if seq > self._journal.seq:
            log.error(
                "acknowledged_unknown_record", seq=seq, last=self._journal.seq, hint="an older journal was put in?"
            )
            return
        if seq > self._journal.acknowledged:
            try:
                self._journal.acknowledge(seq)
            except OSError as error:
                log.warning("journal_not_tidied", error=str(error))
            self._progress_ms = self._now_ms()
        self._sent = max(self._sent, self._journal.acknowledged)
        self.wake()

    async def run(self) -> None:
        """Until cancelled: sends again what was not acknowledged in RESEND_MS."""
        while True:
            await asyncio.sleep(RESEND_MS / 1000 / 4)
            if self._sent > self._journal.acknowledged and self._now_ms() - self._progress_ms >= RESEND_MS:
                self._sent = self._journal.acknowledged
                self.wake()

    def _send(self) -> None:
        self._scheduled = False
        room = IN_FLIGHT_MAX - (self._sent - self._journal.acknowledged)
        if room <= 0 or self._sent >= self._journal.seq:
            return
        try:
            records = self._journal.unacknowledged(self._sent, room)
        except OSError as error:
            log.error("journal_unreadable", error=str(error))
            return
        if self._sent == self._journal.acknowledged:
            self._progress_ms = self._now_ms()
        for seq, text in records:
            if not self._publish("event", sendable(text)):
                return
            self._sent = seq


def sendable(text: str) -> dict[str, Any]:
    """A record as an event. One that breaks the contract goes out as `lost`, for a gap would stop all that follow."""
    fields = event_fields(text)
    try:
        encode("event", fields)
    except WireError as error:
        log.error("record_not_sendable", seq=fields["seq"], kind=fields["kind"], error=str(error))
        kept = {name: fields[name] for name in ("inc", "boot", "seq", "account", "ms", "unix_ms")}
        return {**kept, "kind": "lost", "reason": "not_sendable"}
    return fields
