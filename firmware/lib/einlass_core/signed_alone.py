"""What a lane answers to a signed ticket while nobody else does. Hosts only, like signed.py.

A ticket that the controller has seen is judged by the list, like any other. Beside the entry for its code it has one by
its number (entry_of), whose byte is SEEN, and above that why it is not on the list (WHY). The signature alone counts
only for a ticket that the controller has never seen, and once at this lane.
"""

import binascii
import json

from einlass_core.record import TYPE_CHECKING
from einlass_core.signed import PublicKey, SignedError, number_of, parse, verify

if TYPE_CHECKING:
    from einlass_core.signed import Check, Claim

SEEN = 128  # more than the persons of any ticket
USED_HERE = 127  # of WHY: let in by this lane on the signature
NOT_HERE = "offline_not_here"
WHY = (NOT_HERE, NOT_HERE, "revoked", "blocked", "cancelled", "unpaid", "already_inside", "used_up", "wrong_product")
PIECE_LENGTH_MAX = 560
PIECES_MAX = 64


def entry_of(ticket: str) -> str:
    """What stands in a list for a ticket id: 16 hex digits. Raises ValueError."""
    return "%016x" % number_of(ticket)


class Trust:
    """What a lane needs to judge signatures: where it leads, which keys count, which products may be let in alone."""

    def __init__(
        self,
        zones: "tuple[str, ...]" = (),
        ring: "dict[int, PublicKey] | None" = None,
        alone: "frozenset[str]" = frozenset(),
        products: "frozenset[str]" = frozenset(),
    ) -> None:
        self.zones = zones
        self.ring = ring or {}
        self.alone = alone
        self.products = products

    def as_text(self) -> str:
        """As it is told and kept; the same for the same content."""
        keys = []
        for name in sorted(self.ring):
            key = self.ring[name]
            public = binascii.hexlify(key.public).decode()
            keys.append([key.id, public, key.verify_until_ms or 0, int(key.revoked_ms is not None)])
        fields = {
            "alone": sorted(self.alone),
            "keys": keys,
            "products": sorted(self.products - self.alone),
            "zones": list(self.zones),
        }
        return json.dumps(fields)

    def revoked(self, key: int) -> bool:
        """Whether what this key has signed counts no more."""
        found = self.ring.get(key)
        return found is not None and found.revoked_ms is not None

    def keep_revoked(self, before: "Trust") -> None:
        """What was revoked once stays so, whatever an older message or a restored database says."""
        for name, old in before.ring.items():
            new = self.ring.get(name)
            if old.revoked_ms is not None and (new is None or new.public == old.public):
                self.ring[name] = old


def trust_of(text: str) -> Trust:
    """What was told. Raises ValueError for what Trust.as_text() has not made."""
    try:
        fields = json.loads(text)
        ring = {}
        for name, public, until_ms, is_revoked in fields["keys"]:
            revoked_ms = 1 if is_revoked else None  # when is nobody's business here
            ring[int(name)] = PublicKey(int(name), binascii.unhexlify(public), until_ms or None, revoked_ms)
        alone = frozenset(fields["alone"])
        return Trust(tuple(fields["zones"]), ring, alone, alone | frozenset(fields["products"]))
    except (KeyError, TypeError) as error:
        raise ValueError("not what a lane is told of keys and products: %r" % error)


def judge(code: str, trust: Trust, unix_ms: int, seen: int, check: "Check") -> "Claim | str":
    """The claim of a ticket that is let in on its signature, or the code of why not.

    unix_ms: UTC, 0 where it is not known; then only what has no bounds counts. seen: the byte of its entry by number.
    """
    if not trust.ring:
        return NOT_HERE
    try:
        shown = parse(code)
        key = trust.ring.get(shown.claim.key)
        claim = verify(shown, trust.ring, unix_ms, check)
    except SignedError as error:
        return "revoked" if error.reason == "key_revoked" else "invalid"
    if seen >= SEEN:
        return WHY[seen - SEEN] if seen - SEEN < len(WHY) else "already_inside"
    if claim.zone and claim.zone not in trust.zones:
        return "wrong_zone"
    if claim.product not in trust.alone:
        return NOT_HERE if claim.product in trust.products else "wrong_product"
    bounds = claim.valid_from_ms, claim.valid_until_ms, key.verify_until_ms if key is not None else None
    if not unix_ms and bounds != (None, None, None):
        return NOT_HERE
    if claim.valid_from_ms is not None and unix_ms < claim.valid_from_ms:
        return "too_early"
    if claim.valid_until_ms is not None and unix_ms > claim.valid_until_ms:
        return "expired"
    return claim
