"""Which node stands at which lane, after a set-up: an account belongs to a node's journal and goes where that goes."""

from einlass_controller.domain import recount
from einlass_controller.domain.occupancy import Account
from einlass_controller.live import Lane, Live
from einlass_controller.orders import PutTogether
from einlass_controller.steps.batch import Batch, log
from einlass_controller.steps.house import move_marks
from einlass_controller.steps.sessions import begin_account, end_under_way


def put_together(batch: Batch, _: PutTogether) -> tuple[str, ...]:
    """At every start: no lane keeps the account of a node that it does not have, for nothing it says would be taken."""
    live = batch.live
    for node in live.nodes.keys() - live.lane_of_node.keys():
        end_under_way(batch, node)
    changed = sorted({*_follow(batch), *_begin(batch)})
    if changed:
        batch.record("put_together", lanes={lane: live.lanes[lane].node for lane in changed})
    return tuple(changed)


def _follow(batch: Batch) -> set[str]:
    """Accounts whose node stands at another lane."""
    live, moves = batch.live, _moves(batch.live)
    if not live.recount and any(_leads_elsewhere(live, lane, account) for lane, account in moves.items()):
        # The set-up has asked for a count before it changed the plan; one of before it could did not.
        batch.need_recount(f"nodes of lanes into different zones were exchanged: {', '.join(sorted(moves))}", 0)
        moves = _moves(live)
    changed = {*moves, *(account.lane for account in moves.values())}
    if changed:
        live.books = recount.moved(live.books, moves)
        move_marks(batch, {lane: live.books.accounts[lane].inc for lane in changed})
        for lane in changed:
            batch.touch(live.lanes[lane])
    return changed


def _moves(live: Live) -> dict[str, Account]:
    of_journal = {account.inc: account for account in live.books.accounts.values() if account.inc}
    found = {lane.id: of_journal.get(_journal(live, lane)) for lane in live.lanes.values()}
    return {lane: account for lane, account in found.items() if account is not None and account.lane != lane}


def _leads_elsewhere(live: Live, lane: str, account: Account) -> bool:
    now = live.books.accounts[lane]
    return recount.is_used(account) and (account.zones, account.leaves) != (now.zones, now.leaves)


def _begin(batch: Batch) -> set[str]:
    """Lanes with a node that spoke before and had no lane, and those that have none any more.

    What the node before may have used stays owed. A node that never spoke is taken up when it does.
    """
    live, changed = batch.live, set()
    for lane in live.lanes.values():
        inc = _journal(live, lane)
        if live.books.accounts[lane.id].inc != inc and (inc or not lane.node):
            ghosts = begin_account(batch, lane, inc)
            changed.add(lane.id)
            if ghosts:
                reason = f"lane {lane.id} had another node: {ghosts} places stay taken until a recount"
                log.error("alarm", node=lane.node, reason=reason)
                batch.record("alarm", node=lane.node, reason=reason)
    return changed


def _journal(live: Live, lane: Lane) -> str:
    return live.nodes[lane.node].inc if lane.node else ""
