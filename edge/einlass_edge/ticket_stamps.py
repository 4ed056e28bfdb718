"""The day's key of an entry's tickets, and the QR that says when a car came: for tills that are cut off."""

from typing import Any

import structlog

from einlass_core import stamp

log = structlog.get_logger(__name__)


class TicketStamps:
    """newest: the day whose key is known, 0: none. In memory only: a node that starts has no time either."""

    def __init__(self) -> None:
        self.newest = 0
        self._key = b""

    def take(self, fields: dict[str, Any]) -> None:
        """A `stamp` message."""
        try:
            key = bytes.fromhex(fields["key"])
        except ValueError:
            key = b""
        if len(key) != stamp.KEY_BYTES:
            log.error("stamp_key_not_understood", day=fields["day"])
        elif fields["day"] >= self.newest:
            self.newest, self._key = fields["day"], key

    def text(self, code: str, unix_ms: int) -> str:
        """What stands in the QR. unix_ms 0: nobody knows the time; the code alone, then."""
        if not self._key or not unix_ms:
            return code
        return stamp.stamped(code, unix_ms // 1000, self.newest, self._key)
