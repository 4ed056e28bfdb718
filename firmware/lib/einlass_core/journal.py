"""What happened at a node and is not yet acknowledged: numbered without gaps, durable before it matters.

The store below it does four things: `bounds()` gives (first seq, last seq), (0, 0) when empty, having cut off a torn
end; `append(seq, text)` is durable when it returns (OSError when it cannot be); `read(seq, count_max)` gives
[(seq, text), ...]; `drop(through_seq)` may forget records up to a number. The last record is never dropped: it carries
the account from which a restarted node goes on.
"""

import binascii
import json

from einlass_core.lease import Account, account_from
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

RECORD_BYTES_MAX = 700
DROP_EVERY = 64
SALT_LENGTH = 4


class JournalError(OSError):
    """The journal cannot be read or written; the text says what to do."""


class Journal:
    """Opening it reads what is left; `incarnation` is new whenever nothing was.

    `prefix` begins the names of this boot's questions. `account` is the lane's, as it stands; `durable` is what the
    last record says of it, and all that may be told.
    bytes_max: of one record.
    """

    bytes_max = RECORD_BYTES_MAX

    def __init__(self, store: "Any", new_incarnation: "str") -> None:
        self._store = store
        self.incarnation = new_incarnation
        self.boot = 1
        self.seq = 0
        self.acknowledged = 0
        self.account = Account()
        self.durable: "dict[str, Any]" = self.account.as_dict()
        self.emergency = False
        self._dropped = 0
        first, last = store.bounds()
        if last:
            self._resume(first, last)
        # A boot's own name: the number alone comes again when an older copy of the journal was put back.
        self.prefix = "%s.%d-%s" % (self.incarnation, self.boot, new_incarnation[-SALT_LENGTH:])

    def _resume(self, first: int, last: int) -> None:
        record = json.loads(self._store.read(last, 1)[0][1])
        self.seq = last
        self.incarnation = record["inc"]
        self.boot = record["boot"] + 1
        self.acknowledged = self._dropped = first - 1
        self.durable = record["account"]
        self.account = account_from(self.durable)
        self.emergency = record["emergency"]

    def append(self, kind: str, ms: int, unix_ms: int, fields: "dict[str, Any]") -> int:
        """Write one record with the account as it stands; its number. OSError (or JournalError) when not durable.

        A fact that could not be written when it happened has its own `ms` among its fields.
        """
        if unix_ms:
            unix_ms -= ms - fields.get("ms", ms)
        if kind == "emergency":
            emergency = True
        elif kind == "rearmed":
            emergency = False
        else:
            emergency = self.emergency
        record: "dict[str, Any]" = {
            "inc": self.incarnation,
            "boot": self.boot,
            "seq": self.seq + 1,
            "kind": kind,
            "ms": ms,
            "unix_ms": unix_ms,
            "account": self.account.as_dict(),
            "emergency": emergency,
        }
        record.update(fields)
        text = json.dumps(record)
        if len(text) > self.bytes_max:
            raise JournalError("record of %d bytes, at most %d: a field is too long" % (len(text), self.bytes_max))
        self._store.append(self.seq + 1, text)
        self.seq += 1
        self.durable = record["account"]
        self.emergency = emergency
        return self.seq

    @property
    def waiting(self) -> int:
        """Records the controller has not acknowledged."""
        return self.seq - self.acknowledged

    def acknowledge(self, seq: int) -> None:
        """The controller has all up to seq; old and absurd numbers are ignored."""
        if not self.acknowledged < seq <= self.seq:
            return
        self.acknowledged = seq
        droppable = min(seq, self.seq - 1)
        if droppable - self._dropped >= DROP_EVERY:
            self._store.drop(droppable)
            self._dropped = droppable

    def unacknowledged(self, after_seq: int, count_max: int) -> "list[tuple[int, str]]":
        """Up to count_max records to send, from the first after both after_seq and what is acknowledged."""
        after = max(after_seq, self.acknowledged)
        if after >= self.seq:
            return []
        return self._store.read(after + 1, count_max)  # type: ignore[no-any-return]


def event_fields(text: str) -> "dict[str, Any]":
    """A journal record as the fields of a wire `event`."""
    fields: "dict[str, Any]" = json.loads(text)
    fields.pop("emergency", None)
    return fields


def frame(text: str) -> bytes:
    """A record as a line that shows whether it was written whole: CRC-32, space, text, newline."""
    data = text.encode()
    return b"%08x %s\n" % (binascii.crc32(data) & 0xFFFFFFFF, data)


def unframe(line: bytes) -> "str | None":
    """The record in a line; None when it is torn or damaged."""
    if len(line) < 11 or line[8:9] != b" " or line[-1:] != b"\n":
        return None
    data = line[9:-1]
    try:
        if int(line[:8], 16) != binascii.crc32(data) & 0xFFFFFFFF:
            return None
        return data.decode()
    except ValueError:
        return None
