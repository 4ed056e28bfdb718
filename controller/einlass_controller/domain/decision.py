"""The answer to a scan: one object for every outcome, with its words in German and English."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

OK = "ok"
OK_REENTRY = "ok_reentry"
OK_EXIT = "ok_exit"
INVALID = "invalid"
REVOKED = "revoked"
BLOCKED = "blocked"
CANCELLED = "cancelled"
UNPAID = "unpaid"
TOO_EARLY = "too_early"
EXPIRED = "expired"
WRONG_PRODUCT = "wrong_product"
WRONG_ZONE = "wrong_zone"
WRONG_DATE = "wrong_date"
ALREADY_INSIDE = "already_inside"
USED_UP = "used_up"
REENTRY_LOCKED = "reentry_locked"
ZONE_FULL = "zone_full"
LEASE_EXHAUSTED = "lease_exhausted"
OFFLINE_NOT_HERE = "offline_not_here"
OVERSTAY_DUE = "overstay_due"
PAYMENT_DUE = "payment_due"
CLOSED = "closed"
EMERGENCY = "emergency"
STAFF = "staff"
CLOCK_UNTRUSTED = "clock_untrusted"
LIST_STALE = "list_stale"
ERROR = "error"

ADMITTING = frozenset((OK, OK_REENTRY))

# What the rules of this release are called in a stored decision, so that it can be explained years later.
RULES_VERSION = "1"

Value = int | str


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages; `{name}` stands for a value of the decision."""

    de: str
    en: str


TEXTS: Mapping[str, Text] = {
    OK: Text("Willkommen", "Welcome"),
    OK_REENTRY: Text("Willkommen zurück", "Welcome back"),
    OK_EXIT: Text("Auf Wiedersehen", "Goodbye"),
    INVALID: Text("Diese Karte ist hier nicht bekannt", "This ticket is not known here"),
    REVOKED: Text("Diese Karte wurde zurückgezogen", "This ticket was withdrawn"),
    BLOCKED: Text("Diese Karte ist gesperrt", "This ticket is blocked"),
    CANCELLED: Text("Diese Karte wurde storniert", "This ticket was cancelled"),
    UNPAID: Text("Diese Karte ist nicht bezahlt", "This ticket is not paid for"),
    TOO_EARLY: Text("Gültig ab {valid_from_ms}", "Valid from {valid_from_ms}"),
    EXPIRED: Text("Gültig war sie bis {valid_until_ms}", "It was valid until {valid_until_ms}"),
    WRONG_PRODUCT: Text("Diese Karte gilt hier nicht", "This ticket is not valid here"),
    WRONG_ZONE: Text("Diese Karte gilt für: {zone}", "This ticket is for: {zone}"),
    WRONG_DATE: Text("Diese Karte gilt am {valid_from_ms}", "This ticket is for {valid_from_ms}"),
    ALREADY_INSIDE: Text("Schon drin seit {since_ms} ({lane})", "Already inside since {since_ms} ({lane})"),
    USED_UP: Text("Keine Eintritte übrig", "No entries left"),
    REENTRY_LOCKED: Text("Wiedereintritt in {minutes} Minuten", "Re-entry in {minutes} minutes"),
    ZONE_FULL: Text("Voll: bitte warten, die Karte bleibt gültig", "Full: please wait, your ticket stays valid"),
    LEASE_EXHAUSTED: Text("Bitte einen anderen Eingang nehmen oder warten", "Please use another entrance or wait"),
    OFFLINE_NOT_HERE: Text("Bitte einen anderen Eingang nehmen", "Please use another entrance"),
    OVERSTAY_DUE: Text("Bitte nachzahlen", "Please pay for the extra time"),
    PAYMENT_DUE: Text("Bitte erst bezahlen", "Please pay first"),
    CLOSED: Text("Geschlossen", "Closed"),
    EMERGENCY: Text("Notfall: Ausgang frei", "Emergency: the exit is free"),
    STAFF: Text("Bitte das Personal rufen", "Please call staff"),
    CLOCK_UNTRUSTED: Text("Bitte das Personal rufen", "Please call staff"),
    LIST_STALE: Text("Bitte das Personal rufen", "Please call staff"),
    ERROR: Text("Außer Betrieb", "Out of service"),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered to a scan. Instants are Unix milliseconds; None: does not apply.

    `values` fill the text. `would_have_been` is the code without an override, `override` who did it and why.
    `rule` is the one that spoke ("" for what no rule of the house decides), `text` its own words if it has any.
    """

    code: str
    persons: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)
    entries_left: int | None = None
    first_use_ms: int | None = None
    last_use_ms: int | None = None
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None
    rules_version: str = RULES_VERSION
    rules_age_ms: int = 0
    online: bool = True
    would_have_been: str = ""
    override: str = ""
    rule: str = ""
    text: Text | None = None

    def __post_init__(self) -> None:
        if self.code not in TEXTS:
            raise ValueError(f"{self.code!r} is no decision code; those of domain.decision.TEXTS are")

    @property
    def admits(self) -> bool:
        """Whether the lane releases its entry side."""
        return self.code in ADMITTING

    @property
    def text_key(self) -> str:
        """The key of the sentence for a visitor; the same in every language."""
        return f"rule.{self.rule}" if self.text is not None else "decision." + self.code


def sentence(
    code: str,
    values: Mapping[str, Value],
    language: str,
    instant: Callable[[int], str],
    text: Text | None = None,
) -> str:
    """The text in "de" or "en" (anything else reads English); `instant` writes a Unix-ms value as local time.

    `text`: the words of the rule that decided, in place of the code's own.
    """
    text = text or TEXTS.get(code, TEXTS[ERROR])
    words = {name: _word(name, value, language, instant) for name, value in values.items()}
    try:
        return (text.de if language == "de" else text.en).format_map(words)
    except KeyError:  # a stored decision of an older release may lack a value: better no detail than no words
        return TEXTS[STAFF].de if language == "de" else TEXTS[STAFF].en


def _word(name: str, value: Value, language: str, instant: Callable[[int], str]) -> str:
    if name.endswith("_ms"):
        return instant(int(value))
    if name.endswith("_cents"):
        euros, cents = divmod(int(value), 100)
        return f"{euros},{cents:02} Euro" if language == "de" else f"{euros}.{cents:02} euros"
    return str(value)
