"""Where in a TOML text a path like `window[2].from` is. A parser of Python's own library does not say."""

import re

_HEADING = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\"]+)\s*\]\]?")
_KEY = re.compile(r"^\s*\"?([A-Za-z0-9_-]+)\"?\s*=")
_PART = re.compile(r"([^.\[\]]+)(?:\[(\d+)\])?")


def line_of(text: str, path: str) -> int:
    """The line (from 1) of the deepest part of the path that is found; 0 for none.

    In a list that goes over several lines, the line that its entry begins on: `rate.hour.steps[3].cents`.
    """
    best, depth = 0, 0
    wanted = _split(path)
    counts: dict[str, int] = {}
    heading: list[tuple[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _HEADING.match(line)
        if found:
            name = found[2].replace('"', "")
            if found[1] == "[[":
                counts[name] = counts.get(name, 0) + 1
            parts = name.split(".")
            heading = [(part, 0) for part in parts]
            heading[-1] = (parts[-1], counts.get(name, 0) if found[1] == "[[" else 0)
            here = heading
        else:
            key = _KEY.match(line)
            if key is None:
                continue
            here = [*heading, (key[1], 0)]
        matched = _agree(here, wanted)
        if matched > depth and matched == len(here):
            best, depth = number, matched
    if not best or _HEADING.match(text.splitlines()[best - 1]):
        return best
    entry = wanted[depth - 1][1]
    return _entry_line(text, best, entry) if entry else best


def _entry_line(text: str, first: int, wanted: int) -> int:
    """The line on which an entry of the list begins that a key on this line has."""
    number, depth, count, quote, is_new = first, 0, 0, "", False
    place = sum(len(line) for line in text.splitlines(keepends=True)[: first - 1])
    place = text.find("=", place)
    while 0 <= place < len(text) - 1:
        place += 1
        sign = text[place]
        if sign == "\n":
            number, quote = number + 1, ""
        elif quote:
            quote = "" if sign == quote else quote
        elif sign == "#":
            place = text.find("\n", place) - 1
            if place < 0:
                break
        elif not sign.isspace():
            if is_new and sign not in "]}":
                count, is_new = count + 1, False
                if count == wanted:
                    return number
            if sign in "\"'":
                quote = sign
            elif sign in "[{":
                depth += 1
                is_new = depth == 1
            elif sign in "]}":
                depth -= 1
                if depth <= 0:
                    break
            elif sign == "," and depth == 1:
                is_new = True
    return first


def _split(path: str) -> list[tuple[str, int]]:
    return [(match[1], int(match[2] or 0)) for match in _PART.finditer(path)]


def _agree(here: list[tuple[str, int]], wanted: list[tuple[str, int]]) -> int:
    """How many parts agree; a key that holds a list inline agrees with any place in it."""
    count = 0
    for (name, number), (other, place) in zip(here, wanted, strict=False):
        if name != other or (number and place and number != place):
            break
        count += 1
    return count
