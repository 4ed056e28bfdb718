"""Number plates as they count: the same car, however somebody types it. For hosts only, as wire_till.py."""

_PLAIN = {"Ä": "A", "Ö": "O", "Ü": "U"}
_LONG = {"Ä": "AE", "Ö": "OE", "Ü": "UE"}


def plate(typed: str) -> str:
    """Letters and digits in capitals, without blanks and hyphens; an umlaut is its letter, as on keypads."""
    return _only(typed, _PLAIN)


def forms(typed: str) -> tuple[str, ...]:
    """What a machine may have been told for it: without umlauts, with two letters for one, and as it stands."""
    return tuple(dict.fromkeys((plate(typed), _only(typed, _LONG), typed)))


def _only(typed: str, umlauts: dict[str, str]) -> str:
    letters = "".join([umlauts.get(letter, letter) for letter in typed.upper()])
    return "".join([letter for letter in letters if letter.isalpha() or letter.isdigit()])
