"""The nightly close when somebody sets the controller's clock: nobody who is inside is sent home by that."""

from typing import Any

import pytest
from tests.controller.test_house import by_ticket

from einlass_controller.domain.hours import last_close
from einlass_controller.engine import Engine
from einlass_controller.messages import Tick

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
THREE_MS = 3 * HOUR_MS


class Pool:
    """A bench whose steady clock goes on by itself, with twelve people inside at noon."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.steady_ms = bench, bench.now_ms
        self.start()
        bench.rules(nightly_close="03:00")
        gate = bench.gate()
        for _ in range(12):
            gate.enter(bench.ticket())

    def start(self) -> None:
        self.bench.engine = Engine(self.bench.database, steady=lambda: self.steady_ms)

    @property
    def next_close_ms(self) -> int:
        return last_close(self.bench.now_ms, THREE_MS, self.bench.engine.live.clocks) + DAY_MS

    def lasts(self, ms: int) -> int:
        """So much time goes by, by both clocks; returns how many are inside then."""
        self.steady_ms += ms
        self.bench.now_ms += ms
        return self.tick()

    def set_clock(self, wall_ms: int) -> int:
        self.steady_ms += 1_000
        self.bench.now_ms = wall_ms
        return self.tick()

    def tick(self) -> int:
        self.bench.attempt(Tick())
        return int(self.bench.figures()[0])

    def alarms(self) -> int:
        return sum("nightly close" in alarm["reason"] for alarm in self.bench.ledger("alarm"))


@pytest.fixture
def pool(make_bench: Any) -> Pool:
    return Pool(make_bench(20))


def test_a_clock_set_ahead_by_a_day_sends_nobody_home(pool: Pool) -> None:
    assert pool.set_clock(pool.bench.now_ms + DAY_MS) == 12
    assert (pool.lasts(60_000), pool.alarms()) == (12, 1)
    pool.start()
    assert (pool.lasts(60_000), pool.alarms()) == (12, 1), "after a start the clock is still wrong"
    assert pool.lasts(pool.next_close_ms - pool.bench.now_ms - 1_000) == 12
    assert pool.lasts(1_000) == 0, "the next night is one"


def test_a_clock_set_to_shortly_before_the_close_sends_nobody_home(pool: Pool) -> None:
    assert pool.set_clock(pool.next_close_ms - 60_000) == 12
    assert (pool.lasts(60_000), pool.alarms()) == (12, 1)


def test_a_clock_that_was_set_long_before_the_close_is_believed(pool: Pool) -> None:
    pool.set_clock(pool.next_close_ms - 2 * HOUR_MS)
    pool.lasts(HOUR_MS)
    assert (pool.lasts(HOUR_MS - 5_000), pool.lasts(5_000), pool.alarms()) == (12, 0, 0)


def test_a_small_correction_over_the_close_only_puts_it_off(pool: Pool) -> None:
    close_ms = pool.next_close_ms
    pool.lasts(close_ms - 120_000 - pool.bench.now_ms)
    assert pool.set_clock(close_ms + 1_000) == 12
    assert (pool.lasts(100_000), pool.lasts(20_000), pool.alarms()) == (12, 0, 0)


def test_a_controller_that_was_off_over_the_night_closes_it(pool: Pool) -> None:
    pool.bench.now_ms = pool.next_close_ms + HOUR_MS
    pool.steady_ms = 5_000
    pool.start()
    assert (pool.tick(), pool.alarms()) == (0, 0)


def test_a_clock_put_right_again_closes_the_night_that_was_left_out(pool: Pool) -> None:
    right_ms, close_ms = pool.bench.now_ms, pool.next_close_ms
    pool.set_clock(right_ms + DAY_MS)
    pool.bench.now_ms = right_ms + HOUR_MS
    pool.steady_ms += HOUR_MS
    pool.start()
    assert pool.tick() == 12
    assert pool.lasts(close_ms - pool.bench.now_ms) == 0


def test_a_close_of_a_night_that_was_not_keeps_no_later_one_from_coming(pool: Pool) -> None:
    pool.bench.now_ms += DAY_MS
    pool.start()
    pool.tick()  # by the clock as it is the night was missed
    pool.bench.now_ms -= DAY_MS
    pool.start()
    pool.tick()
    gate = pool.bench.gate("gate-2")
    gate.enter(pool.bench.ticket())
    assert by_ticket(pool.bench) == {"bath": 1}, "who came in just now is inside"
    assert pool.lasts(pool.next_close_ms - pool.bench.now_ms + 1_000) == 0
