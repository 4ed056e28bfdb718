"""A tariff as values. Money is integer cents, durations are seconds, times of day are minutes since local midnight."""

from dataclasses import dataclass, field
from datetime import date, datetime

HOLIDAY = 7  # the kind of day after Monday = 0 to Sunday = 6
ALL_KINDS = frozenset(range(8))

STARTED = "started"
EXACT = "exact"
LINEAR = "linear"
CHARGES = (STARTED, EXACT, LINEAR)

STAY = "stay"
CALENDAR_DAY = "calendar_day"
BUSINESS_DAY = "business_day"
ROLLING_DAY = "24h"
ROLLING_WEEK = "7d"
PERIODS = (STAY, CALENDAR_DAY, BUSINESS_DAY, ROLLING_DAY, ROLLING_WEEK)
ROLLING = {ROLLING_DAY: 86_400, ROLLING_WEEK: 7 * 86_400}

CARRY = "carry"
RESTART = "restart"
NEXT_STEP = "next_step"
EDGES = (CARRY, RESTART, NEXT_STEP)

UP = "up"
DOWN = "down"
NEAREST = "nearest"
ROUNDINGS = (UP, DOWN, NEAREST)

START = "start"
END = "end"

FROM_ENTRY = "stay"
WHILE_CHARGED = "charged"
COUNTS = (FROM_ENTRY, WHILE_CHARGED)

STILL_FREE = "still_free"
ALL_CHARGED = "all_charged"
LONGER = (STILL_FREE, ALL_CHARGED)

WEEK, MONTH, YEAR = CALENDAR = ("week", "month", "year")

AT_ENTRY = "entry"
SPLIT = "split"

EXIT_MODEL = "exit"
DISPLAY_MODEL = "display"


@dataclass(frozen=True, slots=True)
class Step:
    """So many cents for so many seconds; `times` in a row, the last one of a rate for ever."""

    seconds: int
    cents: int
    charge: str = STARTED
    times: int = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """Steps laid end to end. again: the period after which they begin with the first one again ("stay": never)."""

    name: str
    steps: tuple[Step, ...]
    again: str = STAY


@dataclass(frozen=True, slots=True)
class Window:
    """A span of local time on some days, with its price: steps of `rate`, or `flat_cents` once, or neither (free).

    It belongs to the day it begins on. `rank`: the higher one is in force where two cover the same time.
    `dates`: only there, in one year or (month, day) in every; `only_entered`: only for stays that begin inside it.
    `included`: what a pass has paid for.
    """

    name: str
    kinds: frozenset[int] = ALL_KINDS
    from_minute: int = 0
    to_minute: int = 1440
    days_later: int = 0
    rate: str = ""
    flat_cents: int | None = None
    max_cents: int | None = None
    season: str = ""
    dates: frozenset[date | tuple[int, int]] = frozenset()
    rank: int = 0
    wins_over: frozenset[str] = frozenset()
    only_entered: bool = False
    free_minutes_apply: bool = True
    outside_caps: bool = False
    event: bool = False
    included: bool = False

    @property
    def is_free(self) -> bool:
        """Whether time in it costs nothing."""
        return not self.rate and self.flat_cents is None


@dataclass(frozen=True, slots=True)
class Cap:
    """No more than so much in one period; on days of these kinds, in this season, from so-manyeth day of a stay on."""

    cents: int
    per: str
    kinds: frozenset[int] = ALL_KINDS
    season: str = ""
    from_day: int = 1


@dataclass(frozen=True, slots=True)
class Season:
    """Every year from (month, day) to (month, day), both inside; it may run over New Year."""

    name: str
    begins: tuple[int, int]
    ends: tuple[int, int]

    def has(self, day: date) -> bool:
        """Whether this day is in the season."""
        at = (day.month, day.day)
        if self.begins <= self.ends:
            return self.begins <= at <= self.ends
        return at >= self.begins or at <= self.ends


@dataclass(frozen=True, slots=True)
class Free:
    """The first minutes. counts: from the entry, or only in time that costs; longer: whether a longer stay has them."""

    seconds: int = 0
    counts: str = FROM_ENTRY
    longer: str = STILL_FREE


@dataclass(frozen=True, slots=True)
class TicketOffer:
    """A ticket bought for a span of time: `seconds` from the entry, until `until_minute` of that local day, or to the
    end of a calendar period.
    """

    name: str
    cents: int
    seconds: int = 0
    until_minute: int = 0
    days: int = 1
    to_end_of: str = ""


@dataclass(frozen=True, slots=True)
class VoucherRules:
    """seconds: what a card is worth that says nothing else; off: the start or the end of what costs."""

    seconds: int = 3600
    off: str = END
    per_stay_max: int = 20
    stackable: bool = True


@dataclass(frozen=True, slots=True)
class MaxStay:
    """seconds 0: none. counts: from the entry, or only in time that costs."""

    seconds: int = 0
    counts: str = WHILE_CHARGED


@dataclass(frozen=True, slots=True)
class HolidayRules:
    """Which days count as holidays: those of a state (or a country), more, and fewer. Month and day: in every year."""

    state: str = ""
    country: str = ""
    catholic: bool = False
    also: frozenset[date | tuple[int, int]] = frozenset()
    never: frozenset[date | tuple[int, int]] = frozenset()

    @property
    def any(self) -> bool:
        """Whether this tariff knows holidays at all."""
        return bool(self.state or self.country or self.also)


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of one tariff, as its text says."""

    name: str
    title: str
    valid_from: datetime  # naive: the site's local time
    rates: dict[str, Rate]
    windows: tuple[Window, ...]
    time_zone: str = "Europe/Berlin"
    model: str = EXIT_MODEL
    stay_across: str = AT_ENTRY
    at_window_edge: str = CARRY
    business_day_minute: int = 0
    min_cents: int = 0
    smallest_coin_cents: int = 1
    rounding: str = UP
    grace_s: int = 0
    lost_ticket_cents: int | None = None
    machine_max_cents: int | None = None
    percent_off: int = 0
    free: Free = field(default_factory=Free)
    max_stay: MaxStay = field(default_factory=MaxStay)
    caps: tuple[Cap, ...] = ()
    seasons: dict[str, Season] = field(default_factory=dict)
    tickets: dict[str, TicketOffer] = field(default_factory=dict)
    voucher: VoucherRules = field(default_factory=VoucherRules)
    holidays: HolidayRules = field(default_factory=HolidayRules)
    otherwise_free: bool = False  # time in no window is free, and was meant to be
    passes: "dict[str, Tariff]" = field(default_factory=dict)
    pass_name: str = ""
    digest: str = ""  # the start of the SHA-256 of the text's values
