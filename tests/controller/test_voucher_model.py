"""The engine's vouchers against a naive model: a dictionary from serial number to who has it."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.controller.conftest import Bench, site
from tests.controller.voucher_desk import Box, Shop, read

from einlass_controller.live import load
from einlass_controller.messages import Declined, Tick
from einlass_controller.orders_vouchers import Use
from einlass_controller.plan import plan_of
from einlass_controller.setup import set_up
from einlass_controller.steps.voucher_payments import HOLD_MS
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare

# A longer search: EINLASS_MODEL_EXAMPLES=500 .venv/bin/pytest tests/controller/test_voucher_model.py -n0
EXAMPLES = int(os.environ.get("EINLASS_MODEL_EXAMPLES", "10"))
STEPS = 18
SIZE = 4
tills, picks = st.integers(0, 2), st.integers(0, SIZE - 1)


class Vouchers(RuleBasedStateMachine):
    """what: serial -> activated, blocked, voided, redeemed, or (till, payment) that holds it."""

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="einlass-"))
        self.bench = Bench(set_up(plan_of(site()), self.place))
        shop = self.shop = Shop(self.bench)
        self.cards = shop.cards(shop.lot(SIZE), SIZE)
        # Two desks, which lose what they hold by the clock, and a machine, which does not.
        self.boxes = [Box(self.bench, f"api:{n}") for n in range(2)] + [Box(self.bench, "m", asks_first=False)]
        for box in self.boxes:
            box.open()
        self.what: dict[int, Any] = dict.fromkeys(self.cards, "activated")
        self.after: dict[int, str] = {}  # what a held one becomes when it is handed back
        self.since: dict[int, int] = {}  # when each till's open payment began to hold
        self.paid: dict[tuple[int, int], Any] = {}
        self.last: dict[int, Any] = {}
        self.served: dict[int, int] = dict.fromkeys(self.cards, 0)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            with one_moment(self.bench.database) as connection:
                found = compare(connection, ledger_entries(connection), load(connection))
            self.bench.database.dispose()
            shutil.rmtree(self.place)
            assert found["ok"], found["examples"]

    def expire(self, now_ms: int) -> None:
        for till in (0, 1):
            if till in self.since and now_ms > self.since[till] + HOLD_MS:
                self.over(till)

    def over(self, till: int, used: tuple[int, ...] = ()) -> None:
        for serial, who in list(self.what.items()):
            if who == till:
                self.what[serial] = "redeemed" if serial in used else self.after.pop(serial, "activated")
                self.after.pop(serial, None)
        self.since.pop(till, None)
        self.closed = till

    @rule(till=tills, pick=picks)
    def hold(self, till: int, pick: int) -> None:
        box, serial = self.boxes[till], list(self.cards)[pick]
        order = box.hold_order(self.cards[serial])
        self.last[till] = order
        found = self.bench.order(order)
        self.expire(self.bench.now_ms)
        said = read(found)["code"]
        who = self.what[serial]
        if said == "payment_over":  # the clock has ended it: a new customer
            assert till not in self.since
            box.open()
            return
        wanted = "ok" if who in ("activated", till) else "held_elsewhere" if isinstance(who, int) else who
        assert said == wanted
        if who == "activated":
            self.what[serial] = till
            self.since.setdefault(till, self.bench.now_ms)
        assert self.bench.order(order) == found

    @rule(till=tills, used=st.sets(picks))
    def pay(self, till: int, used: set[int]) -> None:
        box = self.boxes[till]
        mine = tuple(serial for serial in list(self.cards) if self.what[serial] == till)
        wanted = tuple(serial for number, serial in enumerate(self.cards) if number in used and serial in mine)
        order = box.pay_order(*[Use(serial) for serial in wanted], area="bath")
        found = self.bench.order(order)
        before = {serial for serial in self.cards if self.what[serial] == till}
        self.expire(self.bench.now_ms)
        if isinstance(found, Declined):
            assert till not in self.since
            assert till < 2
        else:
            assert set(read(found)["used"]) == set(wanted) <= before
            for serial in wanted:
                self.served[serial] += 1
            self.over(till, wanted)
            assert self.bench.order(order) == found, "told again, it is the same payment"
        box.open()

    @rule(till=tills)
    def abort(self, till: int) -> None:
        self.boxes[till].abort()
        self.expire(self.bench.now_ms)
        self.over(till)
        self.boxes[till].open()

    @rule(till=tills)
    def late(self, till: int) -> None:
        """A question that the wire delivers once more, or after its payment's end."""
        if till in self.last:
            assert not self.bench.order(self.last[till]).conflict
            self.expire(self.bench.now_ms)

    @rule(do=st.sampled_from(["block", "unblock", "void"]), pick=picks)
    def change(self, do: str, pick: int) -> None:
        serial = list(self.cards)[pick]
        self.shop.change(do, serial)
        who = self.what[serial]
        state = self.after.get(serial, "activated") if isinstance(who, int) else who
        if state in ("redeemed", "voided") or (do == "unblock" and state != "blocked"):
            return
        state = {"block": "blocked", "unblock": "activated", "void": "voided"}[do]
        if isinstance(who, int):
            self.after[serial] = state
        else:
            self.what[serial] = state

    @rule(seconds=st.sampled_from([1, 30, 70]))
    def wait(self, seconds: int) -> None:
        self.bench.pass_by(seconds=seconds)
        self.bench.order(Tick())
        self.expire(self.bench.now_ms)

    @rule()
    def crash(self) -> None:
        self.bench.restart()

    @invariant()
    def it_is_so(self) -> None:
        if not hasattr(self, "cards"):
            return
        rows = dict(tuple(row) for row in self.bench.rows("SELECT serial, state FROM voucher"))
        said = {serial: "held" if isinstance(who, int) else who for serial, who in self.what.items()}
        assert rows == said
        assert all(count <= 1 for count in self.served.values())
        assert {serial for serial, count in self.served.items() if count} == {
            serial for serial, state in rows.items() if state == "redeemed"
        }


@pytest.mark.timeout(120 + 3 * EXAMPLES)
def test_vouchers_are_what_a_dictionary_says() -> None:
    options = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize="EINLASS_MODEL_EXAMPLES" not in os.environ,
    )
    run_state_machine_as_test(Vouchers, settings=options)
