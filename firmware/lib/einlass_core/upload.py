"""Which journal records to send now: at most IN_FLIGHT_MAX unacknowledged.

When nothing moves for RESEND_MS the first of them is sent again, alone: the others follow when somebody answers.
"""

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from einlass_core.journal import Journal

IN_FLIGHT_MAX = 16
RESEND_MS = 3000


class Upload:
    """Ask it after every append, acknowledgement and connect, and again by deadline_ms."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal
        self._sent = 0
        self._acknowledged = 0
        self._progress_ms = 0
        self._alone = False
        self.deadline_ms: "int | None" = None

    def reset(self) -> None:
        """The link is new: whatever was under way is sent again."""
        self._sent = 0
        self._alone = False

    def next(self, now_ms: int, count_max: int = IN_FLIGHT_MAX) -> "list[tuple[int, str]]":
        """(seq, text) to send, in order, at most count_max. Call sent() for each that the link has taken."""
        journal = self._journal
        if journal.acknowledged > self._acknowledged:
            self._acknowledged = journal.acknowledged
            self._progress_ms = now_ms
            self._alone = False
        if self._sent <= journal.acknowledged:
            self._progress_ms = now_ms
        elif now_ms - self._progress_ms >= RESEND_MS:
            self._sent = 0
            self._progress_ms = now_ms
            self._alone = True
        most = 1 if self._alone else IN_FLIGHT_MAX
        room = min(count_max, most - max(0, self._sent - journal.acknowledged))
        records = journal.unacknowledged(self._sent, room) if room > 0 else []
        self.deadline_ms = self._progress_ms + RESEND_MS if journal.waiting else None
        return records

    def sent(self, seq: int) -> None:
        """The link has taken this record."""
        self._sent = seq
