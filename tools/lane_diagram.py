"""Makes docs/lane.md from the head of einlass_core/gate.py, where the lane's states and transitions are written down.

.venv/bin/python tools/lane_diagram.py
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
GATE = ROOT / "firmware" / "lib" / "einlass_core" / "gate.py"
PAGE = ROOT / "docs" / "lane.md"
ENTRY_SIDE = "Entry side\n"
ARROW = re.compile(r"^ +(?P<before>\S.*?) +--(?P<event>.+?)--> +(?P<after>\S+) +(?P<effects>\S.*)$")
SAME = "same"


class Transition(NamedTuple):
    """One line of the head."""

    before: str
    event: str
    after: str
    effects: str


def head() -> str:
    """The docstring of gate.py."""
    found = ast.get_docstring(ast.parse(GATE.read_text(encoding="utf-8")))
    if found is None or ENTRY_SIDE not in found:
        raise ValueError(f"{GATE.name} has no head with a line {ENTRY_SIDE.strip()!r}")
    return found


def transitions(text: str) -> list[Transition]:
    """Of the entry side, in the order of the head; ValueError for a line that cannot be read."""
    found = []
    for line in text.partition(ENTRY_SIDE)[2].partition("\n\n")[0].splitlines():
        match = ARROW.match(line)
        if match is None:
            raise ValueError(f"{GATE.name}: expected `STATE --event--> STATE effects`, found: {line!r}")
        found.append(Transition(**match.groupdict()))
    return found


def page() -> str:
    """docs/lane.md as it should be."""
    text = head()
    found = transitions(text)
    rest = text.partition(ENTRY_SIDE)[2].partition("\n\n")[2].strip()
    diagram = ["stateDiagram-v2", "    [*] --> LOCKED"]
    for item in found:
        if item.after != SAME:
            before = "ANY" if item.before == "any" else item.before
            diagram.append(f"    {before} --> {item.after}: {item.event}")
    if any(item.before == "any" for item in found):
        diagram.append("    ANY: any state")
    lines = [
        "# States of a lane",
        "",
        "Made by `tools/lane_diagram.py` from the head of `firmware/lib/einlass_core/gate.py`: change it there.",
        "",
        "## Entry side",
        "",
        "```mermaid",
        *diagram,
        "```",
        "",
        "| From | Event | To | Effects, in order |",
        "|---|---|---|---|",
        *(f"| {item.before} | {item.event} | {item.after} | {item.effects} |" for item in found),
        "",
        "## Exit side and emergency",
        "",
        rest,
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write docs/lane.md; exit status 1 when the head cannot be read."""
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
