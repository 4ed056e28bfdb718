"""The controller of the town: the world's, on a plan with a car park, tills and shops' cards."""

import hashlib
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einlass_controller import stamps
from einlass_controller.domain.shares import Leasing
from einlass_controller.domain.vouchers import CARD, MINUTES, Lot, Partner
from einlass_controller.engine import Engine
from einlass_controller.messages import SetRules
from einlass_controller.orders_vouchers import ChangeVouchers, HandOver, MakeLot, MakeVouchers, SetPartner
from einlass_controller.plan import plan_of
from einlass_controller.setup import seed_site
from einlass_core import codes, stamp, wire, wire_till
from einlass_sim.tills.drawn import LOTS
from einlass_sim.world import office as world_office
from einlass_sim.world.office import START_MS, Office

if TYPE_CHECKING:
    from einlass_sim.tills.town import Town

ENTRY = "entry"
ZONE = "park"
TARIFF = """\
tariff = "parkplatz"
valid_from = 2020-01-01
grace_minutes = 15

[rate.hour]
steps = [{ minutes = 60, cents = 100 }]
"""
CARD_MINUTES = 60
LOST_CENTS = 2_000
SECRET = b"of the town"
LOT_SIZE = 400


@cache
def _template(tills: int) -> bytes:
    """A database with the site, a shop and its three lots, made once."""
    raw = world_office.memory()
    raw.deserialize(world_office.tables())
    database = world_office.database_on(raw)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "parkplatz.toml"
        text.write_text(TARIFF)
        zone = {"id": ZONE, "name": "Parkplatz", "cap": 10_000, "tariff": str(text), "lost_ticket_cents": LOST_CENTS}
        names = [f"till-{number}" for number in range(tills)]
        plan = plan_of(
            {
                "site": {"id": "pool", "name": "Stadt", "time_zone": world_office.TIME_ZONE},
                "zone": [zone],
                "node": [{"id": ENTRY}, *({"id": name} for name in names)],
                "lane": [{"id": ENTRY, "zone": ZONE, "node": ENTRY, "name": "Einfahrt", "issues": "parkschein"}],
                "till": [{"id": name, "node": name, "zone": ZONE, "name": name} for name in names],
            }
        )
        with database.begin() as connection:
            seed_site(connection, plan)
    engine = Engine(database)
    orders: list[Any] = [SetRules({"product": []}, 0, "town", ""), SetPartner(Partner("shop", "Laden"), True, "Ann")]
    for policy in LOTS:
        lot = Lot(0, "shop", MINUTES, CARD_MINUTES, CARD, 0, 0, 0, while_cut_off=policy)
        orders.append(MakeLot(lot, LOT_SIZE, "Ann"))
    for order in orders:
        engine.run([order], START_MS)
    return raw.serialize()


class TownOffice(Office):
    """Prints cards, hands them over; its entry gives out tickets whatever the line to the tills does."""

    world: "Town"  # type: ignore[assignment]

    def __init__(self, town: "Town") -> None:
        wire_till.join()
        super().__init__(town, Leasing(), 1.0)  # type: ignore[arg-type]
        self.cars = 0
        self._entry_seq = 0

    def _begins_with(self) -> bytes:
        return _template(len(self.world.drawn.kinds))

    def _engine(self) -> Engine:
        engine = super()._engine()
        engine.live.stamp_secret = SECRET
        return engine

    def stamped(self, code: str) -> bytes:
        """A ticket as its entry prints it, with the time."""
        now_ms = self.now_ms()
        day = stamps.day_of(now_ms)
        key = bytes.fromhex(stamps.key_of(SECRET, ZONE, day))
        return stamp.stamped(code, now_ms // 1000, day, key).encode()

    def print_cards(self, lot: int, count: int, numbers: range) -> list[str]:
        """Codes of new cards of a lot, sold to the shop: their serial numbers follow each other."""
        made = [codes.opaque(number) for number in numbers][:count]
        proofs = tuple((codes.digest(code), hashlib.sha256(code.encode()).hexdigest()) for code in made)
        serials = self.engine.run([MakeVouchers(lot, proofs, False, "", "Ann")], self.now_ms()).results[0]
        first, last = serials[0], serials[-1]
        sold = ChangeVouchers("activate", first, last, "", "Ann", partner="shop")
        self.engine.run([sold], self.now_ms())
        for serial, code in zip(serials, made, strict=True):
            self.world.serials[codes.digest(code)] = serial
        return made

    def hand_over(self, first: int, last: int, till: str) -> Any:
        """To a till as its own; "" asks for them back. None: nobody answers."""
        return self.order(HandOver(first, last, till, False, "the line is bad", "Ann"))

    def block(self, serial: int) -> Any:
        """A card was stolen."""
        return self.order(ChangeVouchers("block", serial, serial, "stolen", "Ann"))

    def drive_in(self, code: str) -> None:
        """A car took this ticket and went in, as its lane tells it: a lane that let it in and told so at once."""
        self.cars += 1
        nonce = f"entry.1.{self.cars}"
        digest = codes.digest(code)
        self._entry_says("released", nonce=nonce, side="entry", persons=1, digest=digest, reason="free-flow")
        self._entry_says("passed", nonce=nonce, side="entry", persons=1)

    def _entry_says(self, kind: str, **fields: Any) -> None:
        self._entry_seq += 1
        account = {"epoch": 0, "version": 0, "ceiling": 0, "balance": self.cars, "pending": 0}
        said = {"inc": "entry", "boot": 1, "seq": self._entry_seq, "account": account, "kind": kind}
        said |= {"ms": self.world.now_ms, "unix_ms": self.now_ms(), **fields}
        payload = wire.encode("event", said)
        # Its own journal would repeat it until it is heard; here it is said when somebody listens.
        self.run([self.intake.read(wire.topic_up("pool", ENTRY, "event"), payload)])
