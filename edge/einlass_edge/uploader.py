"""Brings the journal to the controller: in order, without gaps, again and again until it is acknowledged."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from einlass_core.journal import Journal, event_fields
from einlass_core.upload import RESEND_MS, Upload
from einlass_core.wire import WireError, encode
from einlass_edge.drivers.driver import Now

LOOK_MS = RESEND_MS // 6

log = structlog.get_logger(__name__)


class Uploader:
    """wake() after every new record, acknowledged() for every ack, connected() when the link is up.

    publish() takes a kind and its fields and says False when it cannot send now; then the next wake() or connected()
    goes on from there.
    """

    def __init__(self, journal: Journal, publish: Callable[[str, dict[str, Any]], bool], now_ms: Now) -> None:
        self._journal = journal
        self._upload = Upload(journal)
        self._publish = publish
        self._now_ms = now_ms
        self._scheduled = False

    def wake(self) -> None:
        """Send soon: after what the lane is doing right now, so that no bolt waits for the network."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def connected(self) -> None:
        """A new connection: everything not acknowledged once more."""
        self._upload.reset()
        self.wake()

    def acknowledged(self, seq: int) -> None:
        """The controller has all records up to seq."""
        if seq > self._journal.seq:
            log.error("unknown_record_acknowledged", seq=seq, last=self._journal.seq, hint="is this an older journal?")
        try:
            self._journal.acknowledge(seq)
        except OSError as error:
            log.warning("journal_not_tidied", error=str(error))
        self.wake()

    async def run(self) -> None:
        """Until cancelled: looks whether something must be sent again."""
        while True:
            await asyncio.sleep(LOOK_MS / 1000)
            deadline_ms = self._upload.deadline_ms
            if deadline_ms is not None and self._now_ms() >= deadline_ms:
                self.wake()

    def _send(self) -> None:
        self._scheduled = False
        try:
            records = self._upload.next(self._now_ms())
        except OSError as error:
            log.error("journal_unreadable", error=str(error))
            return
        for seq, text in records:
            if not self._publish("event", sendable(text)):
                return
            self._upload.sent(seq)


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
