"""What other rules would have done to scans that were decided: tried on what each scan's rules were asked with."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from einlass_controller.domain import decision as codes
from einlass_controller.domain.catalogue import Catalogue
from einlass_controller.domain.rules import Fact, Verdict

SAMPLES_MAX = 100
NOT_BY_RULES = frozenset((codes.ZONE_FULL,))


@dataclass(frozen=True, slots=True)
class Past:
    """A decided entry scan. facts: what its rules were asked with; shut: closed by a person then."""

    number: int
    at_ms: int
    lane: str
    zones: tuple[str, ...]
    ticket: str
    product: str
    code: str
    facts: Mapping[str, Fact]
    shut: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A scan that the other rules decide otherwise."""

    scan: Past
    after: Verdict


@dataclass(slots=True)
class Preview:
    """scans: how many were tried. changed: how many went from one code to another. samples: the newest of those."""

    scans: int = 0
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    samples: list[Change] = field(default_factory=list)


def preview(catalogue: Catalogue, scans: Iterable[Past], zone: tzinfo) -> Preview:
    """Try rules on past scans. Each is tried by itself: who was refused then is not taken to have come in.

    A scan that was refused for want of a place stays so where the rules still admit it.
    """
    found = Preview()
    for scan in scans:
        found.scans += 1
        openings = [catalogue.zone(name).hours.at(scan.at_ms, zone) for name in scan.zones]
        verdict = catalogue.judge(scan.product, scan.facts, openings, scan.shut)
        if verdict.code == scan.code or (verdict.admits and scan.code in NOT_BY_RULES):
            continue
        found.changed[scan.code, verdict.code] += 1
        found.samples.append(Change(scan, verdict))
        del found.samples[:-SAMPLES_MAX]
    return found
