"""Whoever sells signed tickets in the world: they are in no database and on no list before somebody shows them."""

import random
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from einlass_controller.orders import AddSigningKey, RevokeSigningKey
from einlass_core import signed
from einlass_sim.world.seeded import MINUTE_MS

if TYPE_CHECKING:
    from einlass_sim.world.world import World

KEYS_MAX = 20
# Some may be used for so long after they were bought; the others have no end.
GOOD_FOR_MS = (None, None, None, 30 * MINUTE_MS, 120 * MINUTE_MS)


class Mint:
    """keys: the private halves, by the id that the controller gave; the newest signs."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.share = world.drawn.signed
        self.keys: dict[int, Ed25519PrivateKey] = {}
        self.revoked: set[int] = set()
        self.sold: dict[int, str] = {}  # by key: a code that it signed
        self._rng = random.Random(f"{world.drawn.seed}/mint")

    def wants(self) -> bool:
        """Whether the next ticket is one of these."""
        return bool(self.share) and bool(self.keys) and self._rng.random() < self.share

    def new_key(self) -> None:
        """From now on this one signs; those before it still count. Nothing happens while nobody answers."""
        if not self.share or len(self.keys) >= KEYS_MAX:
            return
        private = Ed25519PrivateKey.from_private_bytes(self._rng.randbytes(32))
        name = self.world.office.order(AddSigningKey(private.public_key().public_bytes_raw(), None, "Ann"))
        if name is not None:  # after a restore an id is given once more: what the lost key signed is nobody's any more
            self.keys[name] = private
            self.sold.pop(name, None)
            self.revoked.discard(name)

    def revoke(self) -> None:
        """The newest key was stolen: what it signed counts no more, and another one signs."""
        if not self.keys:
            return
        name = max(self.keys)
        if self.world.office.order(RevokeSigningKey(name, "stolen", "Ann")):
            self.revoked.add(name)
            self.new_key()

    def sell(self, product: str, persons: int) -> str:
        """A ticket's code; nobody but its bearer has it."""
        key = max(self.keys)
        lasts_ms = self._rng.choice(GOOD_FOR_MS)
        until_ms = None if lasts_ms is None else (self.world.office.now_ms() + lasts_ms) // 1000 * 1000
        name = signed.ticket_of(self._rng.getrandbits(signed.TICKET_ID_BITS))
        message = signed.message_of(signed.Claim(key, name, product, "", persons, None, until_ms))
        code = self.sold[key] = signed.code_of(message, self.keys[key].sign(message))
        self.world.office.made(code, name, product, persons, until_ms, key)
        return code
