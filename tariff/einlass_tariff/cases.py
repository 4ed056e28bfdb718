"""Golden cases that stand beside a tariff: stays with the fee that the council means, and why."""

import tomllib
from dataclasses import dataclass, replace
from typing import Any

from einlass_tariff import fields as f
from einlass_tariff.fields import Key, read_table
from einlass_tariff.places import line_of
from einlass_tariff.problems import Problem, TariffError
from einlass_tariff.read import unparsed

CASE = (
    Key("id", f.TEXT, "a name for the case", need=True),
    Key("from", f.TEXT, "the entry, local time like 2026-05-12T10:00", need=True),
    Key("to", f.TEXT, "the exit", need=True),
    Key("fee_cents", f.INT, "what it costs, in cents", high=1_000_000, need=True),
    Key("why", f.TEXT, "how that is worked out by hand", need=True),
    Key("vouchers", f.INT, "how many of the tariff's cards", high=50),
    Key("vouchers_used", f.INT, "how many of them are used", high=50),
    Key("pass", f.NAME, "the pass that is held"),
    Key("ticket", f.NAME, "the ticket that was bought"),
    Key("lost_ticket", f.BOOL, "true: the ticket is lost"),
    Key("public_code", f.BOOL, "true: a public code makes the stay free"),
    Key("paid_cents", f.INT, "what was paid before", high=1_000_000),
    Key("paid_at", f.TEXT, "when it was paid"),
)
BUYS = (
    Key("id", f.TEXT, "a name for the case", need=True),
    Key("from", f.TEXT, "when the money is paid in", need=True),
    Key("cents", f.INT, "how much, in cents", high=1_000_000, need=True),
    Key("until", f.TEXT, "until when it lasts", need=True),
    Key("why", f.TEXT, "how that is worked out by hand", need=True),
    Key("pass", f.NAME, "the pass that is held"),
)
FILE = (
    Key("case", f.LIST, "stays, [[case]]", of=f.TABLE, keys=CASE),
    Key("buy", f.LIST, "what money buys, [[buy]]", of=f.TABLE, keys=BUYS),
)


@dataclass(frozen=True, slots=True)
class Golden:
    """The cases of one file, as read."""

    cases: tuple[dict[str, Any], ...]
    buys: tuple[dict[str, Any], ...]


def read_cases(text: str) -> Golden:
    """The cases in a TOML text. TariffError with all that is wrong."""
    try:
        data = tomllib.loads(text)
    except ValueError as error:
        raise TariffError([unparsed(str(error), "TOML")]) from error
    found: list[Problem] = []
    values = read_table(FILE, data, "", found)
    if found:
        raise TariffError([replace(one, line=line_of(text, one.path)) for one in found])
    return Golden(tuple(values.get("case", ())), tuple(values.get("buy", ())))
