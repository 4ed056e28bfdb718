"""What tills and signs of a car park say, beside wire.py: for hosts only, a gate on an ESP32 has no room for it."""

from einlass_core import wire

TILL_EVENTS = (
    "coins",
    "coins_stopped",
    "card_asked",
    "card_not",
    "card_undone",
    "card_doubtful",
    "paid",
    "aborted",
    "powered",
    "paid_out",
    "owed",
    "printed",
)
CARDS_LENGTH_MAX = 300  # six codes of shops' cards, joined by blanks
HELD_LENGTH_MAX = 24  # their positions
PIECE_LENGTH_MAX = 760
# A till says after so many pieces of its tariff how far it is, and is sent so many at once.
PIECES_AT_ONCE = 8
UP = ("price",)
DOWN = ("priced", "places", "lot", "book", "stamp")

_TYPES = {
    "cards": (str, 0, CARDS_LENGTH_MAX),
    "held": (str, 0, HELD_LENGTH_MAX),
    "chunk": (str, 0, PIECE_LENGTH_MAX),
}
_PARTS = {"book": "digest:name coming:name part:count"}
_STATUS = " book?:book stamp?:count"
_MESSAGES = {
    "price": "inc:name boot:count seq:count account:account nonce:nonce sale:count what:name subject:code cards:cards "
    "paid:count",
    "priced": "inc:name nonce:nonce code:name due:count held:held until:time values:object",
    "lot": "inc:name line:count lot:count kind:name value:count alone:name from:time until:time days:name count:count "
    "cents:count",
    "book": "inc:name digest:name part:count parts:count text:chunk",
    "stamp": "inc:name day:count key:name",
    "places": "inc:name zone:name free:count open:flag about:flag",
}


def join() -> None:
    """Make wire.py know these messages, too. The second time changes nothing."""
    if "price" not in wire.MESSAGES:
        wire.TYPES.update(_TYPES)
        wire.PARTS.update(_PARTS)
        wire.MESSAGES["status"] += _STATUS
        wire.MESSAGES.update(_MESSAGES)
        wire.UP += UP
        wire.DOWN += DOWN
        wire.NODE_EVENTS += TILL_EVENTS
