"""What the world knows of one lane from outside."""

from collections import Counter, deque

PASSAGES_MAX = 1_000


class LaneTruth:
    """Messages that arrived, records that were made durable, bodies."""

    def __init__(self) -> None:
        self.fresh()
        self.net = 0  # bodies in less bodies out, whatever the lane saw
        self.unseen_out = 0
        self.unseen_in = 0
        self.known_by_pending = 0  # of those without power: its start counts as many as it had let in and not seen
        self.doubtful = 0
        self.wiped = self.uncounted = 0
        self.lost_unknown = self.lost_uncounted = False
        self.has_an_image = False  # its journal is not all that it wrote under this name
        self.lost_places = 0  # taken since the old image was made that was put in
        self.old_net = 0  # of the journals that are gone
        self.just_wiped = False
        self.owed = 0  # places that a lost journal may have used and has not
        self.came: deque[int] = deque(maxlen=PASSAGES_MAX)  # when the last came in by this lane
        self.went: deque[int] = deque(maxlen=PASSAGES_MAX)  # and went out
        self.clockless = 0  # came in by this lane since the last count, while it had not been told the time
        self.left_out_ms: int | None = None  # when people were counted without it
        self.left_out_jumped_ms = 0  # how far the controller's clock had jumped by then
        self.believed = ("", 0, 0)  # what the books go by: incarnation, epoch, movements
        self.told: dict[str, int] = {}  # up to which record of a journal a database knew that another one has replaced

    def fresh(self) -> None:
        """A new journal."""
        self.released: dict[str, tuple[str, int]] = {}  # nonce: digest ("": online), persons
        self.back: Counter[str] = Counter()
        self.admitted: set[str] = set()  # nonces that a message admitted
        self.used: dict[str, int] = {}  # digests of those let in alone: the record that says so
        self.newest = (0, 0, 0)  # epoch, version, ceiling of the newest limit that arrived
        self.before_newest = (0, 0)  # when that was, and the ceiling before it
        self.lease_until = 0.0
        self.overdrawn = 0
        self.kinds: Counter[str] = Counter()
