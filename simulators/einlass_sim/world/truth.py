"""What really happened, which neither lanes nor controller can see, and whether what they do agrees with it."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from einlass_core import codes
from einlass_core.effects import Ask, SetBolt
from einlass_core.events import ENTRY, EXIT, BodyPassed, Event
from einlass_core.journal import Journal
from einlass_sim.world import last_look
from einlass_sim.world.lane_truth import LaneTruth
from einlass_sim.world.office import START_MS, closing_ms
from einlass_sim.world.seeded import MINUTE_MS
from einlass_sim.world.table import keys_revoked

if TYPE_CHECKING:
    from einlass_controller.domain.occupancy import Account
    from einlass_controller.domain.tickets import Ticket
    from einlass_core.lease import Account as LaneAccount
    from einlass_sim.world.lane import Lane
    from einlass_sim.world.world import World

RATE_ERROR = 0.01
PASSAGE_MS = 26_000
NEAR_A_COUNT = 2  # at each lane, within the margin of clocks
# At a lane out of reach: half a minute that its clock may be off, and what the controller allows for (a part in a
# hundred of some hours).
NEAR_A_COUNT_AWAY_MS = 240_000
GHOST_SLACK = 2  # what was on its way to the books when a journal was lost


class Violation(Exception):
    """A promise was broken; the world stops there."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Truth:
    """violations: at most one, since the run ends with it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.inside = 0
        self.inside_max = 0
        self.cap = self.bound = world.drawn.cap  # bound: more may be inside while lanes hold what a higher cap allowed
        self.restored = 0
        self.counts = 0
        self.timeless = 0  # who passed where the time is not known, or near to a count: they may count as inside
        self.believed = 0  # places lost by old images that could not be told from their nodes, since the last count
        self.excused = 0  # persons over the cap that no rule could keep out: forced entries, and policies that say so
        self.lanes = [LaneTruth() for _ in range(world.drawn.lanes)]
        self.alone: dict[str, Counter[int]] = defaultdict(Counter)  # digest: how often at which lane, alone
        self.online: Counter[str] = Counter()  # digest
        self.asked: dict[str, str] = {}  # node/nonce: digest
        self.admissions = 0

    def violation(self, what: str) -> None:
        """Stop here."""
        raise Violation(what)

    # -- bodies

    def body_in(self, lane: "Lane", code: str) -> None:
        """Somebody is inside now. code "": without one."""
        own = self.lanes[lane.number]
        own.net += 1
        self.inside += 1
        self.inside_max = max(self.inside_max, self.inside)
        expected = code and lane.powered and lane.gate.entry in ("released", "settling") and lane.gate._left
        if not expected and not (code and not lane.powered):
            self.excused += 1
            own.overdrawn += 1
        if self.inside == self.cap:
            self.world.sometimes["cap_reached"] += 1
        if self.inside > self.bound + self.excused:
            self.violation(f"over_cap: {self.inside} inside, cap {self.bound}, {self.excused} of them forced")

    def body_out(self, lane: "Lane") -> None:
        """Somebody is outside again."""
        self.inside -= 1
        self.lanes[lane.number].net -= 1
        if lane.powered and not lane.linked:
            self.world.sometimes["exit_at_a_cut_off_lane"] += 1
        if not lane.bolt[EXIT]:
            self.violation(f"exit_refused: at {lane.name}")

    def missed(self, lane: "Lane", event: Event) -> None:
        """A lane without power, or with a blocked barrier, saw nothing of this."""
        own = self.lanes[lane.number]
        if isinstance(event, BodyPassed):
            if event.side == EXIT:
                own.unseen_out += 1
            elif lane.blind:  # if the barrier is free again before the lane gives up, it takes them not to have passed
                own.unseen_in += 1
                own.overdrawn += 1
                self.excused += 1
            elif own.known_by_pending < lane.journal.durable["pending"]:
                own.known_by_pending += 1
            else:
                own.unseen_in += 1

    def power_lost(self, lane: "Lane") -> None:
        """What the lane saw and could not write down any more."""
        own, now, kept = self.lanes[lane.number], lane.gate.account, lane.journal.durable
        through = (now.balance - now.pending) - (kept["balance"] - kept["pending"])
        own.known_by_pending = 0
        if through < 0:
            own.unseen_out -= through
        else:
            own.known_by_pending = min(through, max(0, kept["pending"] - now.pending))
            own.unseen_in += through - own.known_by_pending

    # -- what lanes do

    def bolt_set(self, lane: "Lane", effect: SetBolt) -> None:
        """Every release is explained by a record that is durable."""
        own = self.lanes[lane.number]
        if effect.side == EXIT:
            if not effect.released:
                self.violation(f"exit_refused: {lane.name} locks it")
            return
        if effect.released and lane.gate._nonce not in own.released:
            self.violation(f"release_before_record: {lane.name} opens for {lane.gate._nonce}, nothing is written down")

    def asks(self, lane: "Lane", ask: Ask) -> None:
        """A lane asks the controller about a code."""
        self.asked[f"{lane.name}/{ask.nonce}"] = codes.digest(ask.code)

    def recorded(self, lane: "Lane", kind: str, fields: dict[str, Any]) -> None:
        """A record is durable at a lane."""
        own = self.lanes[lane.number]
        own.kinds[kind] += 1
        self._near_a_count(lane, own, kind, fields)
        self._swallowed(lane, own, kind, fields)
        nonce = str(fields.get("nonce", ""))
        if kind == "released":
            self._released(lane, own, nonce, fields)
        elif kind == "unused" and fields.get("side") == ENTRY:
            self.world.sometimes["refund"] += 1
            self._came_back(lane, own, nonce, int(fields["persons"]))
        elif kind == "uncertain":
            self.world.sometimes["uncertain_passage"] += 1
            own.doubtful += int(fields["persons"])
        elif kind == "passed" and fields.get("side") == EXIT and not lane.unix_ms():
            self.timeless += 1
        elif kind == "passed" and fields.get("doubtful"):
            own.doubtful += int(fields["persons"])
        elif kind == "refused" and fields.get("code") == "lease_exhausted":
            self.world.sometimes["lease_exhausted"] += 1
            account = lane.gate.account
            if account.until_ms and lane.now_ms() > account.until_ms and account.balance < account.ceiling:
                self.world.sometimes["lease_ended_with_rights_left"] += 1

    def _swallowed(self, lane: "Lane", own: LaneTruth, kind: str, fields: dict[str, Any]) -> None:
        """An old image's first new records have numbers that were told before: what they say is in its account only.

        If people are counted before that is told, nobody knows that the count has it already.
        """
        told = self.world.office.engine.live.nodes[lane.name].applied
        if not own.lost_unknown or lane.journal.seq > told or kind not in ("passed", "forced", "uncertain"):
            return
        if fields.get("side") == EXIT:
            own.lost_places += int(fields["persons"])
        else:
            own.doubtful += int(fields["persons"])

    def _near_a_count(self, lane: "Lane", own: LaneTruth, kind: str, fields: dict[str, Any]) -> None:
        """Who leaves by a lane soon after people were counted without it still counts as inside."""
        if kind not in ("passed", "forced", "uncertain"):
            return
        now_ms = self.world.now_ms
        if fields.get("side") != EXIT:
            own.came.extend([now_ms] * int(fields["persons"]))
            own.clockless += 0 if lane.unix_ms() else int(fields["persons"])
            return
        own.went.extend([now_ms] * int(fields["persons"]))
        if own.left_out_ms is not None and now_ms - own.left_out_ms < NEAR_A_COUNT_AWAY_MS:
            self.timeless += int(fields["persons"])

    def _released(self, lane: "Lane", own: LaneTruth, nonce: str, fields: dict[str, Any]) -> None:
        persons = int(fields["persons"])
        digest = str(fields.get("digest", ""))
        self.admissions += persons
        if nonce in own.released:
            self.violation(f"released_twice: {lane.name} {nonce}")
        own.released[nonce] = (digest, persons)
        account = lane.gate.account
        self.world.note(lane, f"lets in {persons}{' alone' if digest else ''}, {account.balance} of {account.ceiling}")
        if not digest:
            if nonce not in own.admitted:
                self.violation(f"release_without_answer: {lane.name} {nonce}")
            self.online[self.asked.get(f"{lane.name}/{nonce}", "?")] += persons
            return
        if own.lost_unknown and lane.journal.seq <= self.world.office.engine.live.nodes[lane.name].applied:
            lane.struck_in_vain.add(digest)  # an old image: this record's number was told before, of something else
        self.world.sometimes["admitted_alone"] += 1
        if lane.policy in ("open", "free-flow"):
            self.excused += persons
            own.overdrawn += persons
        elif lane.policy != "leased":
            self.violation(f"policy: a {lane.policy} lane lets in alone")
        else:
            self._check_lease(lane, own, persons)
        ticket = self.world.tickets_by_digest.get(digest)
        if lane.policy == "free-flow":
            return
        if ticket is None or ticket.product == "strict":
            self.violation(f"not_listed: {lane.name} lets in {digest} alone")
        assert ticket is not None
        if "signed" in fields:
            self._check_signed(lane, ticket)
        self.alone[digest][lane.number] += 1
        own.used[digest] = lane.journal.seq
        if ticket.product in last_look.CONSUMED and self.alone[digest][lane.number] > 1:
            self.violation(f"used_twice_at_one_lane: {lane.name}, {ticket.id} ({ticket.product})")

    def _check_signed(self, lane: "Lane", ticket: "Ticket") -> None:
        """By a key that the lane's own disk calls revoked nobody is let in, nor long after a ticket's time is over."""
        self.world.sometimes["signed_let_in_alone"] += 1
        office = self.world.office
        if ticket.key_id in keys_revoked(lane.disk.table):
            self.violation(f"revoked_key: {lane.name} lets in {ticket.id}, signed by key {ticket.key_id}")
        until_ms = ticket.valid_until_ms
        if until_ms is not None and not office.jumped_ms and office.now_ms() - until_ms > NEAR_A_COUNT_AWAY_MS:
            self.violation(f"expired: {lane.name} lets in {ticket.id}")

    def _check_lease(self, lane: "Lane", own: LaneTruth, persons: int) -> None:
        now_ms = self.world.now_ms
        self._check_hours(lane)
        # Decided now; if the process stands still before the bolt, the driver does not open it any more.
        if now_ms + PASSAGE_MS * (1 - RATE_ERROR) > own.lease_until:
            self.violation(f"lease_over: {lane.name} lets in at {now_ms}, its lease ends at {own.lease_until:.0f}")
        ceiling = own.newest[2]
        if own.before_newest[0] == now_ms:
            ceiling = max(ceiling, own.before_newest[1])  # what was due when the limit came is done before it is taken
        if lane.gate.account.balance > ceiling:
            self.violation(
                f"over_ceiling: {lane.name} is at {lane.gate.account.balance}, the newest limit says {own.newest[2]}"
            )

    def _check_hours(self, lane: "Lane") -> None:
        """A lane that is cut off shuts with the house. A clock that jumped ahead closes earlier, and opens earlier."""
        office, closing = self.world.office, self.world.drawn.closing
        if not closing[0] or office.jumped_ms:
            return
        now_ms = office.now_ms()
        late_ms = RATE_ERROR * (closing_ms(closing[0]) - START_MS)
        if closing_ms(closing[0]) + late_ms < now_ms < closing_ms(closing[1]):
            self.violation(f"after_closing: {lane.name} lets in alone")
        if now_ms > closing_ms(closing[0]) - PASSAGE_MS:
            self.world.sometimes["alone_near_closing"] += 1

    def _came_back(self, lane: "Lane", own: LaneTruth, nonce: str, persons: int) -> None:
        digest, granted = own.released.get(nonce, ("", 0))
        own.back[nonce] += persons
        if not digest:
            # The rest of a group may come later, also through another lane.
            self.online[self.asked.get(f"{lane.name}/{nonce}", "?")] -= persons
        elif own.back[nonce] >= granted:
            self.alone[digest][lane.number] -= 1
            own.used.pop(digest, None)
        else:  # those of a group who did not go through may be let in later, by an answer
            self.online[digest] -= persons

    def arrived(self, lane: "Lane", kind: str, fields: dict[str, Any]) -> None:
        """A message reached a lane."""
        own = self.lanes[lane.number]
        if fields.get("inc") != lane.journal.incarnation:
            return
        limit = fields.get("limit")
        if limit:
            told = (limit["epoch"], limit["version"], limit["ceiling"])
            if told[:2] > own.newest[:2]:
                own.before_newest = (self.world.now_ms, own.newest[2])
                own.newest = told
            if fields.get("boot") == lane.journal.boot and fields.get("lease_ms"):
                asked = lane.started_ms + fields["from_ms"] / lane.rate
                own.lease_until = max(own.lease_until, asked + fields["lease_ms"] * (1 + RATE_ERROR))
        if kind == "answer" and fields["code"] in ("ok", "ok_reentry"):
            own.admitted.add(fields["nonce"])

    def booted(self, lane: "Lane") -> None:
        """A restart ends every lease. What a lost journal may have used is owed as the books stand now."""
        own = self.lanes[lane.number]
        own.lease_until = 0
        if own.just_wiped:
            own.just_wiped = False
            account = self.world.office.engine.live.books.accounts[f"lane-{lane.number}"]
            own.owed += max(0, account.exposure - (own.net - own.old_net))
            own.old_net = own.net

    def wiped(self, lane: "Lane") -> None:
        """Its journal is gone: what nobody was told is known to nobody."""
        own = self.lanes[lane.number]
        node = self.world.office.engine.live.nodes[lane.name]
        self._forgets(lane, node.applied if node.inc == lane.journal.incarnation else 0)
        own.lost_places = 0
        own.wiped += 1
        own.uncounted += 1
        own.just_wiped = True
        own.has_an_image = False
        own.fresh()

    def image_put_back(self, lane: "Lane") -> None:
        """Its disk is an older one: what it had recorded since is lost."""
        own = self.lanes[lane.number]
        own.lost_unknown = own.lost_uncounted = own.has_an_image = True
        own.wiped += 1
        own.uncounted += 1
        known = self.world.office.engine.live.books.accounts[f"lane-{lane.number}"].balance
        was = max(known, lane.journal.durable["balance"])  # a count may stand on the one or have the other in it
        image = Journal(lane.disk, lane.journal.incarnation)
        own.lost_places += was - image.durable["balance"]
        self._forgets(lane, image.seq)

    def called_an_image(self, lane: "Lane") -> None:
        """The controller takes nothing from it any more: never from a node that has its own journal."""
        own, account = self.lanes[lane.number], self.world.office.engine.live.books.accounts[lane.id]
        if account.inc == lane.journal.incarnation and not own.has_an_image:
            self.violation(f"no_old_image: {lane.name} has all it ever wrote")

    def _forgets(self, lane: "Lane", after_seq: int) -> None:
        """Whom a lane let in alone by a record that is gone: the ticket is good there once more."""
        own = self.lanes[lane.number]
        for digest in [digest for digest, seq in own.used.items() if seq > after_seq]:
            del own.used[digest]
            self.alone[digest][lane.number] = max(0, self.alone[digest][lane.number] - 1)

    def _not_told_from_the_node(self, lane: "Lane", node_boot: int) -> None:
        """An old image with as many records as the controller knows is believed, and with it what it lost."""
        own = self.lanes[lane.number]
        if own.lost_places and node_boot == lane.journal.boot:
            self.excused += max(0, own.lost_places)
            self.believed += max(0, own.lost_places)
            own.lost_places = 0

    # -- what people do

    def cap_changes(self, cap: int) -> None:
        """Lanes may go on with what they hold."""
        self.cap, self.bound = cap, max(cap, self.bound)

    def counted(self) -> None:
        """Staff counted: what nobody could know before is in the count."""
        books = self.world.office.engine.live.books
        under_way = sum(lane.gate.account.pending for lane in self.world.lanes if lane.powered)
        over = max(0, self.inside + under_way - self.cap)
        in_the_dark = sum(lane.journal.durable["pending"] for lane in self.world.lanes if not lane.powered)
        self.excused = max(over, self._unasked_under_way() + in_the_dark) + min(self.excused, self._untold_exits())
        self.bound = max(self.bound, books.zones["bath"].committed)  # lanes may go on with what they hold
        self.believed = 0
        self.counts += 1
        for lane in self.world.lanes:
            own = self.lanes[lane.number]
            own.unseen_in = own.unseen_out = own.doubtful = 0
            # What a journal that is gone may have used is owed from its lane's next start on, so after this count.
            if books.accounts[f"lane-{lane.number}"].inc == lane.journal.incarnation and not own.just_wiped:
                own.owed = own.uncounted = 0
                own.lost_uncounted = False

    def _unasked_under_way(self) -> int:
        """Persons in the arm of a lane that asks nobody, beyond all that the books think it may be at."""
        return sum(
            min(at_lane.pending, max(0, at_lane.balance - known.exposure)) for known, at_lane in self._same_journals()
        )

    def _same_journals(self) -> "list[tuple[Account, LaneAccount]]":
        """Of each lane that is in the count of the books: what they know of it, and what it is at."""
        found = []
        for lane in self.world.lanes:
            known, at_lane = self.world.office.engine.live.books.accounts[lane.id], lane.journal.account
            if (known.inc, known.epoch) == (lane.journal.incarnation, at_lane.epoch):
                found.append((known, at_lane))
        return found

    def _untold_exits(self) -> int:
        """Persons who went out by lanes that have not told it: as many others may come in there instead.

        A count finds them gone, and keeps their places. But whom no rule could keep out it finds in their stead: those
        places nobody knows of.
        """
        return sum(max(0, known.balance - at_lane.balance) for known, at_lane in self._same_journals())

    def put_back(self) -> None:
        """What tickets were used for since the copy is known to nobody."""
        self.restored += 1
        for lane in self.world.lanes:
            own, node = self.lanes[lane.number], self.world.office.engine.live.nodes[lane.name]
            own.believed = ("", 0, 0)
            own.told[node.inc] = max(node.applied, own.told.get(node.inc, 0))
        self.alone.clear()
        self.online.clear()

    def recounted(self, without: tuple[str, ...]) -> None:
        """After a restore. Who came by a lane that was left out shortly before it may count twice."""
        self.counted()
        for lane in self.world.lanes:
            self.lanes[lane.number].lost_places = 0  # no account goes on
        self.counted_without([lane for lane in self.world.lanes if f"lane-{lane.number}" in without])

    def counted_without(self, lanes: "list[Lane]") -> None:
        """They have yet to tell of the time before, by a clock that may be off: who passed there near to the count
        may count too many.

        So may everybody whose way in has no time at all: it may have been after the count.
        """
        for lane in lanes:
            own = self.lanes[lane.number]
            own.left_out_ms, own.left_out_jumped_ms = self.world.now_ms, self.world.office.jumped_ms
            near = sum(1 for came in own.came if came > self.world.now_ms - NEAR_A_COUNT_AWAY_MS)
            self.timeless += near + own.clockless
        for own in self.lanes:
            own.clockless = 0

    # -- what the controller's books say

    def after_batch(self) -> None:
        """Books never below reality, and no lane beyond what they think it may be at."""
        books = self.world.office.engine.live.books
        zone = books.zones["bath"]
        if self.world.office.engine.live.recount:
            return  # these books are known to be wrong, and nobody is let in by them
        committed = zone.committed
        self.bound = max(self.cap, min(self.bound, committed))
        known = []  # lanes that speak for the journal of which the books are
        for lane in self.world.lanes:
            account = books.accounts[lane.id]
            if account.seq != self.lanes[lane.number].believed[2]:
                self._never_older(lane, (account.inc, account.epoch, account.seq))
            if lane.powered and account.inc == lane.journal.incarnation and not account.frozen:
                known.append((lane, account))
                if self.lanes[lane.number].lost_places:
                    self._not_told_from_the_node(lane, self.world.office.engine.live.nodes[lane.name].boot)
        if committed + self.excused < self.inside:
            self.violation(f"books_below_reality: {committed} committed, {self.inside} inside")
        for lane, account in known:
            at_lane = lane.journal.account
            if at_lane.epoch != account.epoch:
                continue  # it has yet to take the new count
            own = self.lanes[lane.number]
            if at_lane.balance > account.exposure + own.overdrawn and not own.lost_unknown:
                self.violation(f"beyond_exposure: {lane.name} is at {at_lane.balance}, books {account.exposure}")

    def _never_older(self, lane: "Lane", believed: tuple[str, int, int]) -> None:
        """Old words do harm only where somebody came in beyond the ceiling since: so each is looked at."""
        own = self.lanes[lane.number]
        if believed[:2] == own.believed[:2] and believed[2] < own.believed[2]:
            self.violation(f"older_report: {lane.name} is believed at {believed[2]} after {own.believed[2]}")
        own.believed = believed

    # -- when all is healed

    def healed(self, lists_agree: bool = False) -> None:
        """Everything is back and idle: the counts must agree, and every record must have arrived.

        lists_agree: those of the lanes were compared just now.
        """
        live = self.world.office.engine.live
        unseen = doubtful = wiped = unknown = 0
        for lane in self.world.lanes:
            own, account = self.lanes[lane.number], live.books.accounts[f"lane-{lane.number}"]
            unseen, doubtful, wiped = unseen + own.unseen_out, doubtful + own.doubtful, wiped + own.uncounted
            unknown += own.unseen_in
            node = live.nodes[lane.name]
            if not lane.powered or not lane.linked:
                self.violation(f"not_back: {lane.name} powered {lane.powered}, linked {lane.linked}")
            if (node.inc, node.applied) != (lane.journal.incarnation, lane.journal.seq):
                self.violation(f"records_missing: {lane.name} has {lane.journal.seq}, {node.applied} arrived")
            if account.balance != lane.journal.account.balance or account.pending:
                at_lane = lane.journal.account
                self.violation(
                    f"accounts_differ: {lane.name} {at_lane.balance} ({at_lane.pending} under way), "
                    f"books {account.balance} ({account.pending})"
                )
            now_ms = self.world.office.now_ms()  # who has opened just now lends something with the next status
            closed = not all(live.takes_in("bath", at_ms) for at_ms in (now_ms - 2 * MINUTE_MS, now_ms))
            if lane.policy == "leased" and lane.gate.account.until_ms <= lane.now_ms() and not closed:
                self.violation(f"no_lease: {lane.name}")
        counted = live.books.zones["bath"].counted
        # Who came in where nobody could tell the books yet, and left elsewhere: the count was raised then, to be safe.
        raised = max(0, live.books.zones["bath"].base)  # below 0: since a count it only balances the lanes
        low, high = self.inside - unknown - self.believed, self.inside + unseen + doubtful + raised
        if self.counts:  # who passed just before it may count twice, if in doubt as one more
            high += self.timeless + self._in_a_jump() + NEAR_A_COUNT * self.counts * len(self.lanes)
        if wiped:  # what was forced or left by a journal that is gone is known to nobody
            owed = sum(own.owed for own in self.lanes)
            lost = any(own.lost_uncounted for own in self.lanes)
            low, high = self.inside - unknown - self.excused, 10**9 if lost else high + owed + GHOST_SLACK
        if not low <= counted <= high:
            self.violation(f"counts_differ: {counted} counted, {self.inside} inside, {unseen} unseen, {doubtful} ?")
        if self.restored:
            last_look.check_missing(self)
        differs = "" if lists_agree else last_look.lists_differ(self.world)
        if differs:
            self.violation(differs)
        last_look.check_keys(self)
        if live.recount or live.site.mode:
            self.violation(f"not_as_usual: {live.recount or live.site.mode}")
        if not self.restored:  # else the ledger is that of the copy
            last_look.check_ledger(self)

    def _in_a_jump(self) -> int:
        """Passages near a count by so much as the controller's clock has jumped since: what it allows for then."""
        found = 0
        for own in self.lanes:
            jumped_ms = self.world.office.jumped_ms - own.left_out_jumped_ms
            if own.left_out_ms is None or not jumped_ms:
                continue
            near_ms, far_ms = NEAR_A_COUNT_AWAY_MS, NEAR_A_COUNT_AWAY_MS + jumped_ms
            found += sum(1 for came_ms in own.came if near_ms <= own.left_out_ms - came_ms < far_ms)
            found += sum(1 for went_ms in own.went if near_ms <= went_ms - own.left_out_ms < far_ms)
        return found
