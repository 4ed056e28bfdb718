"""Whether a nightly close has really come: a wall clock that was set ahead must not send anybody home who is inside.

What the steady clock says went by is believed at once. A jump ahead is believed after an hour: somebody may have put a
wrong clock right, or the other way round, and nobody can tell which. Until then a close that lies in it does not run by
itself: after a small correction it waits, after a large jump it is left out, and staff is asked to count.
"""

from einlass_controller.steps.batch import Batch, log

# From one batch to the next; a wall clock is slewed a little all the time.
SLEWED_MS = 500
SETTLED_MS = 3_600_000
# A close waits for so much at most: it is an hour when nobody is there, and staff who count have other things to do.
CORRECTION_MAX_MS = 900_000
# What the ledger calls a close that was left out.
SKIPPED = "nightly_close_skipped"


def look(batch: Batch) -> None:
    """Once a batch: whether the wall clock was set ahead, and whether that was long enough ago to believe it."""
    known, offset_ms = batch.live.night_clock, batch.now_ms - batch.steady_ms
    if known.offset_ms is None or offset_ms - known.offset_ms <= SLEWED_MS or _is_settled(batch):
        known.offset_ms, known.jumped_ms = offset_ms, None
    elif known.jumped_ms is None:
        known.jumped_ms = batch.steady_ms


def has_come(batch: Batch, due_ms: int) -> bool:
    """Whether this close, which is not after now, is to run: not yet, or never, if only a jump has brought it."""
    known = batch.live.night_clock
    if _skipped_ms(batch) == due_ms:
        return False
    ahead_ms = batch.now_ms - batch.steady_ms - (known.offset_ms or 0) if known.jumped_ms is not None else 0
    if batch.now_ms - ahead_ms >= due_ms:
        return True
    if ahead_ms > CORRECTION_MAX_MS:
        _skip(batch, due_ms, ahead_ms)
    return False


def _is_settled(batch: Batch) -> bool:
    jumped_ms = batch.live.night_clock.jumped_ms
    return jumped_ms is not None and batch.steady_ms - jumped_ms >= SETTLED_MS


def _skipped_ms(batch: Batch) -> int:
    """The last close that was left out; after a start from the ledger, for the clock may still be wrong."""
    known = batch.live.night_clock
    if known.skipped_ms is None:
        known.skipped_ms = batch.rows.last_skipped(SKIPPED, batch.now_ms)
    return known.skipped_ms


def _skip(batch: Batch, due_ms: int, ahead_ms: int) -> None:
    batch.live.night_clock.skipped_ms = due_ms
    reason = f"clock_jumped over the nightly close, ahead by {ahead_ms // 1000} s: set it right, or count the people"
    log.error("alarm", node="", reason=reason)
    batch.record(SKIPPED, due_ms=due_ms, ahead_ms=ahead_ms)
    batch.record("alarm", node="", reason=reason)
