"""What the engine knows of car parks between two batches: tariffs, tills, signs; the stays are in the database."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, select

from einlass_controller.domain.catalogue import Catalogue, read_catalogue
from einlass_controller.store.schema import LANE, SIGN, TARIFF, TILL, ZONE
from einlass_controller.tariffs import days_of
from einlass_tariff.book import Book
from einlass_tariff.read import read_tariff

ISSUED_NAME, ISSUED_NAME_EN = "Parkschein", "Parking ticket"
_CAR_PARKS = select(ZONE.c.id, ZONE.c.tariff, ZONE.c.lost_ticket_cents, ZONE.c.free_with, ZONE.c.free_minutes).where(
    ZONE.c.tariff != ""
)
_TILLS = select(TILL.c.id, TILL.c.node, TILL.c.zone, TILL.c.name, TILL.c.name_en, TILL.c.inc, TILL.c.account)
_SIGNS = select(SIGN.c.node, SIGN.c.zone)
_ISSUES = select(LANE.c.id, LANE.c.issues).where(LANE.c.issues != "")


@dataclass(frozen=True, slots=True)
class CarPark:
    """A zone with a tariff. lost_ticket_cents None: as the tariff says. free_with: a visit there pays free_minutes."""

    zone: str
    tariff: str
    lost_ticket_cents: int | None
    free_with: str
    free_minutes: int


@dataclass(slots=True)
class Machine:
    """A till. account: what its last record said, of which incarnation."""

    id: str
    node: str
    zone: str
    name: str
    name_en: str
    inc: str
    account: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TillText:
    """What tills of a car park price alone by, in pieces; none: there is no such text. made_of: to see if it is old."""

    made_of: tuple[Any, ...]
    digest: str
    pieces: tuple[str, ...]


@dataclass(slots=True)
class ParkingBook:
    """zones, books: by zone and by tariff. tills, signs: by node. issues: lane -> product of the tickets it gives out.

    shown: what each sign was told last. texts: by zone; told: node -> digest, first piece and when.
    """

    zones: dict[str, CarPark] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)
    tills: dict[str, Machine] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    issues: dict[str, str] = field(default_factory=dict)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    swept_ms: int = 0
    texts: dict[str, TillText] = field(default_factory=dict)
    told: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    @property
    def products(self) -> frozenset[str]:
        """Products of tickets that lanes give out."""
        return frozenset(self.issues.values())

    def book_of(self, zone: str) -> Book:
        """The tariff of a car park, all its versions."""
        return self.books[self.zones[zone].tariff]

    def no_pass(self, catalogue: Catalogue) -> str:
        """A product whose parking_pass no tariff has, in words; "": none."""
        known = {name for book in self.books.values() for name in book.versions[-1].passes}
        for product in catalogue.products.values():
            if product.parking_pass and product.parking_pass not in known:
                shown = ", ".join(sorted(known)) or "none"
                name = product.parking_pass
                return f"product {product.id!r}: no car park's tariff has [pass.{name}]; there is: {shown}"
        return ""

    def lost_cents(self, zone: str) -> int | None:
        """What a lost ticket costs; None: nobody has said so."""
        told = self.zones[zone].lost_ticket_cents
        return self.book_of(zone).versions[-1].lost_ticket_cents if told is None else told


def load_parking(connection: Connection) -> ParkingBook:
    """Read it."""
    zones = {row[0]: CarPark(*row) for row in connection.execute(_CAR_PARKS)}
    return ParkingBook(
        zones,
        {name: load_book(connection, name) for name in {park.tariff for park in zones.values()}},
        {row[1]: Machine(*row[:6], json.loads(row[6])) for row in connection.execute(_TILLS)},
        {row.node: row.zone for row in connection.execute(_SIGNS)},
        {row.id: row.issues for row in connection.execute(_ISSUES)},
    )


def load_book(connection: Connection, name: str) -> Book:
    """All versions of a tariff."""
    columns = (TARIFF.c.valid_from, TARIFF.c.body, TARIFF.c.is_json)
    rows = connection.execute(select(*columns).where(TARIFF.c.name == name).order_by(TARIFF.c.number))
    return book_of_texts([(row.valid_from, row.body, bool(row.is_json)) for row in rows])


def book_of_texts(texts: list[tuple[str, str, bool]]) -> Book:
    """(valid_from, text, is JSON) in the order in which they were brought: of one instant the last one counts.

    Raises TariffError or StayError when they do not go together.
    """
    newest = {valid_from: (body, is_json) for valid_from, body, is_json in texts}
    return Book([read_tariff(*item) for item in newest.values()], days_of, open_start=True)


def with_products(catalogue: Catalogue, names: frozenset[str]) -> Catalogue:
    """The house's rules with a plain ticket for each product that lanes give out and the rules do not name."""
    missing = sorted(names - catalogue.products.keys())
    if not missing:
        return catalogue
    plain = {"name": ISSUED_NAME, "name_en": ISSUED_NAME_EN, "entries": 1, "while_cut_off": "refuse"}
    made = read_catalogue({"product": [{"id": name, **plain} for name in missing]})
    return replace(catalogue, products={**catalogue.products, **made.products})
