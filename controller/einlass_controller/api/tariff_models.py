"""What is asked about tariffs, and what is answered."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from einlass_controller.api.models import Model
from einlass_controller.tariff_invented import SEED_MAX
from einlass_tariff.buy import CENTS_MAX
from einlass_tariff.read import TEXT_MAX
from einlass_tariff.result import CARDS_MAX

MOMENT_LENGTH_MAX = 40
NAME_LENGTH_MAX = 64
VERSIONS_MAX = 20
STAYS_CHARACTERS_MAX = 12_000_000
# A question of that length is a comparison: three texts and a file, in JSON.
BODY_BYTES_MAX = 16 * 1024 * 1024
TRY_BODY_BYTES_MAX = 2 * 1024 * 1024

Moment = Annotated[str, Field(min_length=1, max_length=MOMENT_LENGTH_MAX, examples=["2026-05-12T10:00"])]
ShortName = Annotated[str, Field(max_length=NAME_LENGTH_MAX)]
Cents = Annotated[int, Field(ge=0, le=CENTS_MAX)]


class TariffTextIn(Model):
    """One version of a tariff. format: as the text is written."""

    text: str = Field(description=f"up to {TEXT_MAX} characters; a longer one is refused as a slip")
    format: Literal["toml", "json"] = "toml"


Versions = Annotated[list[TariffTextIn], Field(min_length=1, max_length=VERSIONS_MAX)]


class CheckOrder(Model):
    """Is this a tariff, and what does it say?"""

    versions: Versions


class TryOrder(Model):
    """What does a stay cost? from, to: local, or with an offset. vouchers: of the tariff's own cards."""

    versions: Versions
    from_: Moment = Field(alias="from")
    to: Moment
    vouchers: int = Field(default=0, ge=0, le=CARDS_MAX)
    paid_cents: Cents | None = None
    paid_at: str = Field(default="", max_length=MOMENT_LENGTH_MAX)
    pass_: ShortName = Field(default="", alias="pass")
    ticket: ShortName = ""
    lost_ticket: bool = False
    public_code: bool = False


class BuyOrder(Model):
    """How long does money last?"""

    versions: Versions
    from_: Moment = Field(alias="from")
    cents: Cents
    pass_: ShortName = Field(default="", alias="pass")
    ticket: ShortName = ""


def _only(name: str, kind: str) -> dict[str, JsonValue]:
    other = {"stays": "invented_seed", "invented_seed": "stays"}[name]
    return {"required": [name], "properties": {name: {"type": kind}, other: {"type": "null"}}}


class CompareOrder(Model):
    """What would the new version have brought? stays: CSV with a heading, see docs/tariffs.md.

    invented_seed: instead of stays, four weeks of invented ones; the answer has `invented`, too.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [_only("stays", "string"), _only("invented_seed", "integer")]}
    )
    old: Versions
    new: Versions
    stays: str | None = None
    invented_seed: Annotated[int, Field(ge=0, le=SEED_MAX)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.stays is None) == (self.invented_seed is None):
            raise ValueError("give stays or invented_seed, one of them")
        return self


class Answer(Model):
    """As `einlass tariff ... --json` prints it."""

    answer: dict[str, Any]


class SiteTariffOut(Model):
    """A tariff of this site, its newest version. zones: the car parks it is for."""

    tariff: str
    title: str
    valid_from: str
    digest: str
    time_zone: str
    passes: list[str]
    tickets: list[str]
    voucher_minutes: int
    lost_ticket: bool
    zones: list[str]
    words: dict[str, list[str]]
