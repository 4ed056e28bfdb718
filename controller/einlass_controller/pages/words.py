"""The words of the pages in German and English, and how instants are written."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

LANGUAGES = ("de", "en")

WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Wie voll ist es?", "How full is it?"),
    "of_cap": ("von {cap}", "of {cap}"),
    "inside": ("drin", "inside"),
    "under_way": ("unterwegs", "walking in"),
    "at_lanes": ("an Eingängen vorgehalten", "held at entrances"),
    "free": ("frei", "free"),
    "about": ("ungefähr", "about"),
    "full": ("Voll", "Full"),
    "full_hint": (
        "Bitte warten: sobald jemand geht, ist wieder Platz.",
        "Please wait: a place opens as somebody leaves.",
    ),
    "places": ("{free} Plätze frei", "{free} places free"),
    "place": ("1 Platz frei", "1 place free"),
    "closed": ("Geschlossen", "Closed"),
    "over": ("{over} über der Grenze", "{over} over the cap"),
    "cut_off": ("Zahl ungefähr: nicht erreichbar: {lanes}", "Figure approximate: not reachable: {lanes}"),
    "as_of": ("Stand {time}", "As of {time}"),
    "lost": ("Verbindung verloren. Die Zahlen sind von {time} Uhr.", "Connection lost. The figures are of {time}."),
    "recent": ("Zuletzt", "Latest"),
    "recent_none": ("Noch nichts geschehen.", "Nothing has happened yet."),
    "nodes": ("Eingänge", "Entrances"),
    "nodes_none": ("Noch kein Eingang eingerichtet.", "No entrance set up yet."),
    "online": ("verbunden", "connected"),
    "offline": ("nicht verbunden", "not connected"),
    "never_seen": ("war noch nie da", "never seen"),
    "seen": ("zuletzt {time}", "last seen {time}"),
    "queue": ("{n} Meldungen warten", "{n} records waiting"),
    "emergency": ("Notfall", "Emergency"),
    "fault": ("Störung: {reason}", "Fault: {reason}"),
    "frozen": ("altes Gedächtnis: Journal löschen", "old memory: wipe its journal"),
    "passed_entry": ("hinein", "in"),
    "passed_exit": ("hinaus", "out"),
    "forced_entry": ("ohne Freigabe hinein", "in without a release"),
    "forced_exit": ("ohne Freigabe hinaus", "out without a release"),
    "unused": ("nicht durchgegangen", "did not go through"),
    "uncertain": ("im Zweifel drin", "inside, in doubt"),
    "rearmed": ("Notfall beendet", "Emergency over"),
    "fault_over": ("Störung vorbei", "Fault over"),
    "alarm": ("Alarm: {reason}", "Alarm: {reason}"),
    "persons": ("{n} Personen", "{n} persons"),
    "recount": (
        "Kein Einlass, bis nachgezählt ist: eine Sicherung wurde zurückgespielt.",
        "Nobody is let in until people are counted: a backup was put back.",
    ),
    "other_language": ("English", "Deutsch"),
    "skip": ("Zum Inhalt", "Skip to content"),
    "legend": ("Belegung", "Occupancy"),
    "time": ("Zeit", "Time"),
    "where": ("Wo", "Where"),
    "what": ("Was", "What"),
}

# What a decision is called in a list; the full sentence is for the visitor at the lane.
SHORT: Mapping[str, tuple[str, str]] = {
    "ok": ("freigegeben", "let in"),
    "ok_reentry": ("wieder freigegeben", "let in again"),
    "ok_exit": ("Ausgang", "exit"),
    "invalid": ("abgewiesen: unbekannter Code", "refused: unknown code"),
    "revoked": ("abgewiesen: zurückgezogen", "refused: withdrawn"),
    "blocked": ("abgewiesen: gesperrt", "refused: blocked"),
    "cancelled": ("abgewiesen: storniert", "refused: cancelled"),
    "unpaid": ("abgewiesen: nicht bezahlt", "refused: not paid"),
    "too_early": ("abgewiesen: noch nicht gültig", "refused: not valid yet"),
    "expired": ("abgewiesen: abgelaufen", "refused: expired"),
    "wrong_zone": ("abgewiesen: anderer Bereich", "refused: other area"),
    "already_inside": ("abgewiesen: schon drin", "refused: already inside"),
    "used_up": ("abgewiesen: verbraucht", "refused: used up"),
    "zone_full": ("abgewiesen: voll", "refused: full"),
    "closed": ("abgewiesen: geschlossen", "refused: closed"),
    "staff": ("abgewiesen: Personal gerufen", "refused: staff called"),
    "wrong_product": ("abgewiesen: andere Kartenart", "refused: other kind of ticket"),
    "emergency": ("abgewiesen: Notfall", "refused: emergency"),
    "error": ("außer Betrieb", "out of service"),
}


class Speaker:
    """The words of one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "de"
        self._index = LANGUAGES.index(self.language)

    def __call__(self, key: str, **values: object) -> str:
        """The words for a key; values fill its blanks."""
        return WORDS[key][self._index].format(**values)

    def short(self, code: str) -> str:
        """What a decision is called in a list."""
        words = SHORT.get(code)
        return code if words is None else words[self._index]


def language_of(asked: str | None, accepted: str | None) -> str:
    """What `?lang=` says, else the first language of Accept-Language that we speak, else German."""
    if asked in LANGUAGES:
        return str(asked)
    weighed = []
    for part in (accepted or "")[:200].split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weighed.append((float(quality or 1), name[:2].lower()))
        except ValueError:
            continue
    for _, name in sorted(weighed, key=lambda item: -item[0]):
        if name in LANGUAGES:
            return name
    return "de"


def instant_writer(time_zone: str) -> Callable[[int], str]:
    """Writes Unix milliseconds as the site's own date and time."""
    zone = ZoneInfo(time_zone)
    return lambda ms: datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).strftime("%d.%m.%Y %H:%M")


def clock_writer(time_zone: str) -> Callable[[int], str]:
    """Writes Unix milliseconds as the site's own time of day."""
    zone = ZoneInfo(time_zone)
    return lambda ms: datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).strftime("%H:%M")
