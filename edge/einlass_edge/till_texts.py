"""Every sentence of a till's customer display: two lines of 20 characters, German and English.

A name in braces is filled in by the screen (till_screen.py). A code that nobody knows here is shown as itself.
"""

from einlass_edge.config_till import DESK, DISPLAY, FOOT

Lines = tuple[str, str]

GERMAN, ENGLISH = "de", "en"
LANGUAGES = (GERMAN, ENGLISH)

IDLE: dict[str, dict[str, Lines]] = {
    FOOT: {GERMAN: ("Bitte Parkschein", "vor den Leser halten"), ENGLISH: ("Please hold your", "ticket to the reader")},
    DISPLAY: {GERMAN: ("Kennzeichen eingeben", "dann Taste OK"), ENGLISH: ("Enter number plate,", "then press OK")},
    DESK: {GERMAN: ("Bitte Tarif wählen:", "{products}"), ENGLISH: ("Please choose:", "{products}")},
}

# Where the machine stands: shown until it stands elsewhere.
STANDING: dict[str, dict[str, Lines]] = {
    "pricing": {GERMAN: ("Bitte warten", ""), ENGLISH: ("Please wait", "")},
    "to_pay": {
        GERMAN: ("Zu zahlen{due:>11}", "Bezahlt{paid:>13}"),
        ENGLISH: ("To pay{due:>14}", "Paid{paid:>16}"),
    },
    "time": {
        GERMAN: ("{subject:<12} {paid_short:>7}", "bis {until:>16}"),
        ENGLISH: ("{subject:<12} {paid_short:>7}", "until {until:>14}"),
    },
    "partly": {
        GERMAN: ("Gutschein mehr wert:", "OK=nutzen, C=zurück"),
        ENGLISH: ("Voucher worth more:", "OK=use it, C=keep it"),
    },
    "card": {GERMAN: ("Karte ans Terminal", "{due:>20}"), ENGLISH: ("Card to the terminal", "{due:>20}")},
    "doubt": {GERMAN: ("Bitte warten,", "Karte wird geprüft"), ENGLISH: ("Please wait,", "checking your card")},
    "back": {GERMAN: ("Bitte Geld", "entnehmen"), ENGLISH: ("Please take", "your money")},
    "out_of_service": {GERMAN: ("Außer Betrieb", ""), ENGLISH: ("Out of service", "")},
    "typing": {GERMAN: ("Eingabe, dann OK:", "{text}"), ENGLISH: ("Type, then OK:", "{text}")},
}

# What has just happened: shown for a moment.
MESSAGES: dict[str, dict[str, Lines]] = {
    "ok": {GERMAN: ("Bezahlt. Danke!", "{until_line}"), ENGLISH: ("Paid. Thank you!", "{until_line}")},
    "aborted": {GERMAN: ("Abgebrochen", ""), ENGLISH: ("Cancelled", "")},
    "error": {GERMAN: ("Bitte Personal", "rufen"), ENGLISH: ("Please call", "staff")},
    "staff": {GERMAN: ("Bitte Personal", "rufen"), ENGLISH: ("Please call", "staff")},
    "identify": {GERMAN: ("*** Dieser Automat", "wird gesucht ***"), ENGLISH: ("*** This machine", "is wanted ***")},
    "cards_back": {GERMAN: ("Gutschein nicht", "gebraucht"), ENGLISH: ("Voucher not", "needed")},
    "card_not": {GERMAN: ("Karte nicht", "belastet"), ENGLISH: ("Card was not", "charged")},
    "card_out": {GERMAN: ("Zurzeit keine", "Kartenzahlung"), ENGLISH: ("No card payment", "at the moment")},
    "coin_refused": {GERMAN: ("Münze nicht", "angenommen"), ENGLISH: ("Coin not", "accepted")},
    "coins_stopped": {GERMAN: ("Zurzeit keine", "Münzen"), ENGLISH: ("No coins", "at the moment")},
    "owed": {GERMAN: ("Rest als Gutschrift", "auf dem Beleg"), ENGLISH: ("The rest is owed:", "see your slip")},
    "misread": {GERMAN: ("Code nicht lesbar,", "bitte noch einmal"),
        ENGLISH: ("Code not readable,", "please try again")},
    "plate_first": {GERMAN: ("Bitte zuerst das", "Kennzeichen"), ENGLISH: ("First the number", "plate, please")},
    "choose_first": {GERMAN: ("Bitte zuerst", "wählen"), ENGLISH: ("Please choose", "first")},
    "payment_due": {GERMAN: ("Noch zu zahlen", ""), ENGLISH: ("Still to pay", "")},
    "ok_exit": {GERMAN: ("Nichts zu zahlen,", "freie Ausfahrt"), ENGLISH: ("Nothing to pay,", "just drive out")},
    "invalid": {GERMAN: ("Unbekannter", "Parkschein"), ENGLISH: ("Unknown ticket", "")},
    "closed": {GERMAN: ("Zurzeit", "geschlossen"), ENGLISH: ("Closed at the", "moment")},
    "revoked": {GERMAN: ("Ticket wurde", "zurückgenommen"), ENGLISH: ("Ticket was", "withdrawn")},
    "cancelled": {GERMAN: ("Ticket wurde", "storniert"), ENGLISH: ("Ticket was", "cancelled")},
    "used_up": {GERMAN: ("Parkschein schon", "benutzt"), ENGLISH: ("Ticket already", "used")},
    "wrong_product": {GERMAN: ("Hier nicht", "zu kaufen"), ENGLISH: ("Not sold here", "")},
    "wrong_zone": {GERMAN: ("Anderer Parkplatz", ""), ENGLISH: ("Another car park", "")},
    "zone_full": {GERMAN: ("Zurzeit voll", ""), ENGLISH: ("Full at the moment", "")},
    "clock_untrusted": {GERMAN: ("Bitte Personal", "rufen (Uhr)"), ENGLISH: ("Please call staff", "(clock)")},
    "offline_not_here": {GERMAN: ("Keine Verbindung,", "bitte später"),
        ENGLISH: ("No connection,", "please try later")},
    "stamp_missing": {GERMAN: ("Ohne Verbindung nur", "mit dem QR-Code"),
        ENGLISH: ("No connection: show", "the ticket's QR code")},
    "stamp_wrong": {GERMAN: ("Parkschein verändert", "oder nicht von hier"),
        ENGLISH: ("Ticket was changed,", "or is not from here")},
    "stamp_old": {GERMAN: ("Parkschein zu alt,", "keine Verbindung"),
        ENGLISH: ("Ticket too old, and", "no connection")},
    "code_alone": {GERMAN: ("Aktionscode geht nur", "mit Verbindung"),
        ENGLISH: ("Promotion code needs", "a connection")},
    "voucher_alone": {GERMAN: ("Gutschein geht nur", "mit Verbindung"),
        ENGLISH: ("Voucher needs", "a connection")},
    "alone_limit": {GERMAN: ("Keine Gutscheine bis", "zur Verbindung"),
        ENGLISH: ("No vouchers until", "there is a line")},
    "unknown": {GERMAN: ("Gutschein", "unbekannt"), ENGLISH: ("Voucher", "unknown")},
    "not_active": {GERMAN: ("Gutschein noch", "nicht gültig"), ENGLISH: ("Voucher not", "active yet")},
    "redeemed": {GERMAN: ("Gutschein schon", "benutzt"), ENGLISH: ("Voucher already", "used")},
    "expired": {GERMAN: ("Abgelaufen", ""), ENGLISH: ("Expired", "")},
    "too_early": {GERMAN: ("Gilt noch nicht", ""), ENGLISH: ("Not valid yet", "")},
    "blocked": {GERMAN: ("Gesperrt", ""), ENGLISH: ("Blocked", "")},
    "voided": {GERMAN: ("Gutschein ungültig", ""), ENGLISH: ("Voucher is void", "")},
    "returned": {GERMAN: ("Gutschein wurde", "zurückgegeben"), ENGLISH: ("Voucher was", "returned")},
    "held_elsewhere": {GERMAN: ("Gutschein an anderer", "Kasse in Gebrauch"),
        ENGLISH: ("Voucher in use at", "another till")},
    "owned_elsewhere": {GERMAN: ("Gutschein gilt an", "anderer Kasse"), ENGLISH: ("Voucher is for", "another till")},
    "wrong_area": {GERMAN: ("Gutschein gilt hier", "nicht"), ENGLISH: ("Voucher is not", "for here")},
    "wrong_day": {GERMAN: ("Gutschein gilt heute", "nicht"), ENGLISH: ("Voucher is not", "for today")},
    "limit_stay": {GERMAN: ("Mehr Gutscheine", "gelten nicht"), ENGLISH: ("No more vouchers", "for this stay")},
    "limit_day": {GERMAN: ("Heute schon genug", "Gutscheine"), ENGLISH: ("No more vouchers", "today")},
    "limit_partner": {GERMAN: ("Nicht mehr von", "diesem Geschäft"), ENGLISH: ("No more of this", "shop")},
    "limit_total": {GERMAN: ("Aktion ist", "ausgeschöpft"), ENGLISH: ("This offer is", "used up")},
    "no_stay": {GERMAN: ("Gilt nur mit", "Parkschein"), ENGLISH: ("Only with a", "parking ticket")},
    "no_plate": {GERMAN: ("Gilt nur mit", "Kennzeichen"), ENGLISH: ("Only with a", "number plate")},
    "payment_over": {GERMAN: ("Bitte noch einmal", "beginnen"), ENGLISH: ("Please begin", "again")},
    "too_fast": {GERMAN: ("Bitte langsam,", "noch einmal"), ENGLISH: ("Slowly, please,", "try again")},
}  # fmt: skip

UNKNOWN: dict[str, Lines] = {GERMAN: ("Nicht möglich", "({code:.18})"), ENGLISH: ("Not possible", "({code:.18})")}
LEAVE_BY: dict[str, str] = {GERMAN: "Ausfahrt bis {until}", ENGLISH: "Leave by {until}"}
PARK_UNTIL: dict[str, str] = {GERMAN: "Parken bis {until}", ENGLISH: "Park until {until}"}
