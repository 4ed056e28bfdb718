"""What every key of a tariff means, in German: by its English words, which stand beside the key."""

from collections.abc import Mapping

_UNITS = {", in cents": ", in Cent", ", in minutes": ", in Minuten"}

SAYS: Mapping[str, str] = {
    # steps and rates
    "how long the step is": "wie lang die Stufe ist",
    "instead of minutes: where the step ends, counted from the first step's begin": (
        "statt minutes: wo die Stufe endet, vom Beginn der ersten an gezählt"
    ),
    "what the step costs": "was die Stufe kostet",
    "instead of cents: what all costs up to the end of this step": (
        "statt cents: was alles bis zum Ende dieser Stufe kostet"
    ),
    "how often it comes in a row; the last one of a rate repeats for ever": (
        "wie oft sie hintereinander kommt; die letzte wiederholt sich immer"
    ),
    "started: once begun; exact: when complete; linear: in proportion": (
        "started: sobald angefangen; exact: wenn voll; linear: anteilig"
    ),
    "the steps of the price, [{ minutes = 60, cents = 100 }]": (
        "die Stufen des Preises, [{ minutes = 60, cents = 100 }]"
    ),
    "after which period the first step comes again": "nach welchem Zeitraum die erste Stufe wiederkommt",
    # windows and events
    "what it is called on the receipt": "wie es auf der Quittung heißt",
    "a time of day like 08:00": "eine Uhrzeit wie 08:00",
    "a time of day like 18:00; up to `from` or before: the next day": (
        "eine Uhrzeit wie 18:00; bis `from` oder davor: am nächsten Tag"
    ),
    "the name of the rate that is charged": "der Name des Preises (rate), der gilt",
    "one price for the whole window, once a stay": "ein Preis für das ganze Fenster, einmal je Parkvorgang",
    "true: costs nothing": "true: kostet nichts",
    "no more than this in one window": "höchstens so viel in einem Fenster",
    "false: the first free minutes do not help here": "false: die freien Minuten zu Beginn gelten hier nicht",
    "true: comes on top of every maximum": "true: kommt zu jedem Höchstbetrag hinzu",
    "time that the pass has paid for, above all windows and events, [[pass.NAME.included]]": (
        "Zeit, die mit dem Ausweis bezahlt ist, vor allen Fenstern und Veranstaltungen, [[pass.NAME.included]]"
    ),
    "the name of the season it is for": "der Name der Saison, für die es gilt",
    "how many days after its begin it ends": "wie viele Tage nach dem Beginn es endet",
    "names of windows that give way to this one": "Namen der Fenster, die vor diesem zurücktreten",
    'days like ["mon-fri", "holiday"]; a holiday is no weekday': (
        'Tage wie ["mo-fr", "feiertag"]; ein Feiertag ist kein Wochentag'
    ),
    'dates like [2026-12-05], "12-24" for every year, or "2026-07-27 to 2026-09-05"': (
        'Daten wie [2026-12-05], "12-24" für jedes Jahr, oder "2026-07-27 bis 2026-09-05"'
    ),
    "the country whose holidays count; DE when nothing is said": (
        "das Land, dessen Feiertage gelten; DE, wenn nichts dasteht"
    ),
    "instead of minutes: valid to the end of this calendar period": (
        "statt minutes: gültig bis zum Ende der Woche (week), des Monats (month) oder des Jahres (year)"
    ),
    "true: only for those who come during the event": "true: nur für alle, die während der Veranstaltung kommen",
    # maximums, seasons, free minutes, longest stay
    "the most": "der Höchstbetrag",
    "the period it is the most for": "der Zeitraum, für den der Höchstbetrag gilt",
    "only from that day of a stay on, 2 is the second": "erst ab diesem Tag des Parkvorgangs, 2 ist der zweite",
    'a day of the year like "04-01"': 'ein Tag im Jahr wie "04-01" (1. April)',
    'a day of the year like "10-31", the last one of the season': (
        'ein Tag im Jahr wie "10-31" (31. Oktober), der letzte der Saison'
    ),
    "so long is free, in minutes; 0: nothing is": "so lange ist frei, in Minuten; 0: nichts",
    "stay: from the entry; charged: only in time that costs": (
        "stay: ab der Einfahrt; charged: nur in Zeit, die etwas kostet"
    ),
    "whether a longer stay keeps them free or pays from the start": (
        "ob sie auch bei längerem Parken frei bleiben, oder ob dann alles kostet"
    ),
    "the longest stay": "die Höchstparkdauer",
    # tickets, vouchers, holidays
    "its price": "sein Preis",
    "how long it is valid from the entry": "wie lange es ab der Einfahrt gilt",
    "instead of minutes: the time of day it is valid until": "statt minutes: bis zu welcher Uhrzeit es gilt",
    "with until: of which day, 1 is the day of the entry": "mit until: an welchem Tag, 1 ist der Tag der Einfahrt",
    "what a card is worth": "was eine Karte wert ist",
    "which end of the stay a card takes off": "an welchem Ende des Parkvorgangs eine Karte abgezogen wird",
    "so many cards a stay": "so viele Karten je Parkvorgang",
    "false: one card a stay": "false: eine Karte je Parkvorgang",
    "the federal state or canton whose holidays count": "das Bundesland, dessen Feiertage gelten",
    "true: also those of catholic places (BY: 15 August; SN, TH: Corpus Christi)": (
        "true: auch die katholischer Orte (BY: 15. August; SN, TH: Fronleichnam)"
    ),
    'more days like ["12-24", 2026-07-04]': 'weitere Tage wie ["12-24", 2026-07-04]',
    "days that do not count": "Tage, die nicht zählen",
    # the tariff as a whole
    "the first minutes": "die ersten Minuten",
    "the rates, [rate.NAME]": "die Preise, [rate.NAME]",
    "when which price is charged, [[window]]": "wann welcher Preis gilt, [[window]]",
    "prices of single days, above all windows, [[event]]": (
        "Preise einzelner Tage, die vor allen Fenstern gehen, [[event]]"
    ),
    "what holds outside all windows": "was außerhalb aller Fenster gilt",
    "maximums, [[cap]]": "Höchstbeträge, [[cap]]",
    "the least of a stay that costs at all": "die Mindestgebühr, wenn es überhaupt etwas kostet",
    "so many percent less": "so viel Prozent weniger",
    "a short name that all versions share": "ein kurzer Name, den alle Fassungen haben",
    "the name that people read": "der Name, den man liest",
    "the first day of this version, like 2026-01-01": "der erste Tag dieser Fassung, wie 2026-01-01",
    "the site's time zone; at first Europe/Berlin": "die Zeitzone des Ortes; ohne Angabe Europe/Berlin",
    "exit: time is priced; display: money buys time": "exit: Zeit kostet Geld; display: Geld kauft Zeit",
    "a stay begun under the version before: keeps that one, or is split": (
        "ein Parkvorgang aus der Zeit der Fassung davor: behält diese, oder wird geteilt"
    ),
    "what happens to an unfinished step at a window's edge": (
        "was am Rand eines Fensters mit einer angefangenen Stufe geschieht"
    ),
    "when a business day begins, like 06:00": "wann ein Geschäftstag beginnt, wie 06:00",
    "fees are multiples of it": "Gebühren sind ein Vielfaches davon",
    "how a fee becomes a multiple of the smallest coin": "wie eine Gebühr zum Vielfachen der kleinsten Münze wird",
    "time to leave after payment": "Zeit zum Ausfahren nach dem Bezahlen",
    "what a lost ticket costs": "was ein verlorenes Ticket kostet",
    "the most that a machine takes": "was ein Automat höchstens annimmt",
    "how cards of shops count": "wie die Karten der Geschäfte zählen",
    "which days are holidays": "welche Tage Feiertage sind",
    "seasons, [season.NAME]": "Saisonzeiten, [season.NAME]",
    "tickets for a span of time, [ticket.NAME]": "Tickets für eine Zeitspanne, [ticket.NAME]",
    "prices of those who hold a pass, [pass.NAME]": "Preise mit Ausweis, [pass.NAME]",
    # golden cases
    "a name for the case": "ein Name für den Fall",
    "the entry, local time like 2026-05-12T10:00": "die Einfahrt, Ortszeit wie 2026-05-12T10:00",
    "the exit": "die Ausfahrt",
    "what it costs": "was es kostet",
    "how that is worked out by hand": "wie man das von Hand rechnet",
    "how many of the tariff's cards": "wie viele Karten des Tarifs",
    "how many of them are used": "wie viele davon verbraucht werden",
    "the pass that is held": "der Ausweis, den jemand hat",
    "the ticket that was bought": "das Ticket, das gekauft wurde",
    "true: the ticket is lost": "true: das Ticket ist verloren",
    "true: a public code makes the stay free": "true: ein öffentlicher Code macht den Parkvorgang frei",
    "what was paid before": "was vorher bezahlt wurde",
    "when it was paid": "wann es bezahlt wurde",
    "stays, [[case]]": "Parkvorgänge, [[case]]",
    "what money buys, [[buy]]": "was Geld kauft, [[buy]]",
    "when the money is paid in": "wann das Geld eingeworfen wird",
    "how much": "wie viel",
    "until when it lasts": "bis wann es reicht",
}


def german_of(says: str) -> str | None:
    """The German for the words beside a key; None where there is none yet, which a test finds."""
    for english, german in _UNITS.items():
        if says.endswith(english) and says not in SAYS:
            found = SAYS.get(says.removesuffix(english))
            return None if found is None else found + german
    return SAYS.get(says)
