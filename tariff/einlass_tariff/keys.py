"""Every key that a tariff may have, with its meaning and its bounds. docs/tariffs.md explains them with examples."""

from einlass_tariff import fields as f
from einlass_tariff import model as m
from einlass_tariff.fields import Key

CENTS_MAX = 100_000  # 1000 EUR: a parking fee beyond it is a slip of the pen
MINUTES_MAX = 60 * 24 * 31
TIMES_MAX = 1000
DAYS_LATER_MAX = 7

# Of Germany, and the cantons of Switzerland; Austria's holidays are the same in all of its states.
GERMANY, AUSTRIA, SWITZERLAND = COUNTRIES = ("DE", "AT", "CH")
STATES = ("BB", "BE", "BW", "BY", "HB", "HE", "HH", "MV", "NI", "NW", "RP", "SH", "SL", "SN", "ST", "TH", "Augsburg")
CANTONS = (
    *("AG", "AI", "AR", "BE", "BL", "BS", "FR", "GE", "GL", "GR", "JU", "LU", "NE"),
    *("NW", "OW", "SG", "SH", "SO", "SZ", "TG", "TI", "UR", "VD", "VS", "ZG", "ZH"),
)
STATES_OF = {GERMANY: STATES, AUSTRIA: (), SWITZERLAND: CANTONS}


def _cents(name: str, says: str, low: int = 0, need: bool = False) -> Key:
    return Key(name, f.INT, f"{says}, in cents", low=low, high=CENTS_MAX, need=need)


def _minutes(name: str, says: str, need: bool = False) -> Key:
    return Key(name, f.INT, f"{says}, in minutes", low=1, high=MINUTES_MAX, need=need)


def _days(need: bool = False) -> Key:
    return Key("days", f.LIST, 'days like ["mon-fri", "holiday"]; a holiday is no weekday', of=f.DAY, need=need)


STEP = (
    _minutes("minutes", "how long the step is"),
    _minutes("until_minutes", "instead of minutes: where the step ends, counted from the first step's begin"),
    _cents("cents", "what the step costs"),
    _cents("total_cents", "instead of cents: what all costs up to the end of this step"),
    Key("times", f.INT, "how often it comes in a row; the last one of a rate repeats for ever", low=1, high=TIMES_MAX),
    Key("charge", f.TEXT, "started: once begun; exact: when complete; linear: in proportion", choices=m.CHARGES),
)
RATE = (
    Key("steps", f.LIST, "the steps of the price, [{ minutes = 60, cents = 100 }]", of=f.TABLE, keys=STEP, need=True),
    Key("begins_again", f.TEXT, "after which period the first step comes again", choices=m.PERIODS),
)
_SPAN = (
    Key("name", f.TEXT, "what it is called on the receipt"),
    Key("from", f.TIME, "a time of day like 08:00"),
    Key("to", f.TIME, "a time of day like 18:00; up to `from` or before: the next day"),
    Key("rate", f.NAME, "the name of the rate that is charged"),
    _cents("flat_cents", "one price for the whole window, once a stay"),
    Key("free", f.BOOL, "true: costs nothing"),
    _cents("max_cents", "no more than this in one window"),
    Key("free_minutes_apply", f.BOOL, "false: the first free minutes do not help here"),
    Key("outside_caps", f.BOOL, "true: comes on top of every maximum"),
)
WINDOW = (
    *_SPAN,
    _days(),
    Key("season", f.NAME, "the name of the season it is for"),
    Key("days_later", f.INT, "how many days after its begin it ends", low=0, high=DAYS_LATER_MAX),
    Key("wins_over", f.LIST, "names of windows that give way to this one", of=f.TEXT),
)
EVENT = (
    *_SPAN,
    Key(
        "dates",
        f.LIST,
        'dates like [2026-12-05], "12-24" for every year, or "2026-07-27 to 2026-09-05"',
        of=f.ANY_DATE,
    ),
    _days(),
    Key("only_entered", f.BOOL, "true: only for those who come during the event"),
)
INCLUDED = (
    Key("name", f.TEXT, "what it is called on the receipt"),
    _days(),
    Key("from", f.TIME, "a time of day like 08:00"),
    Key("to", f.TIME, "a time of day like 18:00; up to `from` or before: the next day"),
    Key("season", f.NAME, "the name of the season it is for"),
)
CAP = (
    _cents("cents", "the most", low=1, need=True),
    Key("per", f.TEXT, "the period it is the most for", choices=m.PERIODS, need=True),
    Key("from_day", f.INT, "only from that day of a stay on, 2 is the second", low=1, high=366),
    _days(),
    Key("season", f.NAME, "the name of the season it is for"),
)
SEASON = (
    Key("from", f.MONTH_DAY, 'a day of the year like "04-01"', need=True),
    Key("to", f.MONTH_DAY, 'a day of the year like "10-31", the last one of the season', need=True),
)
FREE = (
    Key("minutes", f.INT, "so long is free, in minutes; 0: nothing is", low=0, high=MINUTES_MAX, need=True),
    Key("counts", f.TEXT, "stay: from the entry; charged: only in time that costs", choices=m.COUNTS),
    Key("when_longer", f.TEXT, "whether a longer stay keeps them free or pays from the start", choices=m.LONGER),
)
MAX_STAY = (
    _minutes("minutes", "the longest stay", need=True),
    Key("counts", f.TEXT, "stay: from the entry; charged: only in time that costs", choices=m.COUNTS),
)
TICKET = (
    _cents("cents", "its price", need=True),
    _minutes("minutes", "how long it is valid from the entry"),
    Key("until", f.TIME, "instead of minutes: the time of day it is valid until"),
    Key("days", f.INT, "with until: of which day, 1 is the day of the entry", low=1, high=31),
    Key("to_end_of", f.TEXT, "instead of minutes: valid to the end of this calendar period", choices=m.CALENDAR),
)
VOUCHER = (
    _minutes("minutes", "what a card is worth"),
    Key("off", f.TEXT, "which end of the stay a card takes off", choices=(m.START, m.END)),
    Key("per_stay_max", f.INT, "so many cards a stay", low=1, high=50),
    Key("stackable", f.BOOL, "false: one card a stay"),
)
HOLIDAYS = (
    Key("country", f.TEXT, "the country whose holidays count; DE when nothing is said", choices=COUNTRIES),
    Key("state", f.TEXT, "the federal state or canton whose holidays count", choices=(*STATES, *CANTONS)),
    Key("catholic", f.BOOL, "true: also those of catholic places (BY: 15 August; SN, TH: Corpus Christi)"),
    Key("also", f.LIST, 'more days like ["12-24", 2026-07-04]', of=f.ANY_DATE),
    Key("never", f.LIST, "days that do not count", of=f.ANY_DATE),
)

# What a pass may have of its own; it replaces the tariff's.
PRICES = (
    Key("free", f.TABLE, "the first minutes", keys=FREE),
    Key("rate", f.NAMED, "the rates, [rate.NAME]", keys=RATE),
    Key("window", f.LIST, "when which price is charged, [[window]]", of=f.TABLE, keys=WINDOW),
    Key("event", f.LIST, "prices of single days, above all windows, [[event]]", of=f.TABLE, keys=EVENT),
    Key("otherwise", f.TEXT, "what holds outside all windows", choices=("free",)),
    Key("cap", f.LIST, "maximums, [[cap]]", of=f.TABLE, keys=CAP),
    Key("max_stay", f.TABLE, "the longest stay", keys=MAX_STAY),
    _cents("min_cents", "the least of a stay that costs at all"),
    Key("percent_off", f.INT, "so many percent less", low=0, high=100),
)
PASS = (
    *PRICES,
    Key(
        "included",
        f.LIST,
        "time that the pass has paid for, above all windows and events, [[pass.NAME.included]]",
        of=f.TABLE,
        keys=INCLUDED,
    ),
)
TARIFF = (
    Key("tariff", f.NAME, "a short name that all versions share", need=True),
    Key("title", f.TEXT, "the name that people read"),
    Key("valid_from", f.INSTANT, "the first day of this version, like 2026-01-01", need=True),
    Key("time_zone", f.TEXT, "the site's time zone; at first Europe/Berlin"),
    Key("model", f.TEXT, "exit: time is priced; display: money buys time", choices=(m.EXIT_MODEL, m.DISPLAY_MODEL)),
    Key(
        "stay_across",
        f.TEXT,
        "a stay begun under the version before: keeps that one, or is split",
        choices=(m.AT_ENTRY, m.SPLIT),
    ),
    Key("at_window_edge", f.TEXT, "what happens to an unfinished step at a window's edge", choices=m.EDGES),
    Key("business_day_begins", f.TIME, "when a business day begins, like 06:00"),
    Key("smallest_coin_cents", f.INT, "fees are multiples of it", low=1, high=200),
    Key("rounding", f.TEXT, "how a fee becomes a multiple of the smallest coin", choices=m.ROUNDINGS),
    Key("grace_minutes", f.INT, "time to leave after payment", low=0, high=240),
    _cents("lost_ticket_cents", "what a lost ticket costs"),
    _cents("machine_max_cents", "the most that a machine takes", low=1),
    Key("voucher", f.TABLE, "how cards of shops count", keys=VOUCHER),
    Key("holidays", f.TABLE, "which days are holidays", keys=HOLIDAYS),
    Key("season", f.NAMED, "seasons, [season.NAME]", keys=SEASON),
    Key("ticket", f.NAMED, "tickets for a span of time, [ticket.NAME]", keys=TICKET),
    *PRICES,
    Key("pass", f.NAMED, "prices of those who hold a pass, [pass.NAME]", keys=PASS),
)
