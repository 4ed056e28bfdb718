"""Ed25519, and where private keys are: in a file of their own, never in the database and so never in its backups."""

import json
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from einlass_controller.private_file import write_private
from einlass_core.signed import checker

KEYS_FILE = "signing-keys.json"
SEED_BYTES = 32
# Whether this public key signed the message: (public key, signature, message) -> bool.
check = checker(Ed25519PublicKey.from_public_bytes, (InvalidSignature, ValueError))


class Signer:
    """The private keys of a site. directory None: there is no place to keep any."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / KEYS_FILE

    @property
    def can_keep(self) -> bool:
        """Whether a new key could be kept."""
        return self._path is not None

    def make(self) -> bytes:
        """A new key, kept in the file before anybody hears of it; returns its public half."""
        if self._path is None:
            raise ValueError("no place for private keys: set state_dir in controller.toml")
        seed = secrets.token_bytes(SEED_BYTES)
        public = public_of(seed)
        write_private(self._path, json.dumps(self._read() | {public.hex(): seed.hex()}, indent=2) + "\n")
        return public

    def has(self, public: bytes) -> bool:
        """Whether this controller can sign with the key."""
        return public.hex() in self._read()

    def sign(self, public: bytes, message: bytes) -> bytes:
        """The signature; KeyError when the private half is not here."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self._read()[public.hex()])).sign(message)

    def _read(self) -> dict[str, str]:
        if self._path is None or not self._path.exists():
            return {}
        found = json.loads(self._path.read_text(encoding="utf-8"))
        return {str(public): str(seed) for public, seed in found.items()}


def public_of(seed: bytes) -> bytes:
    """The public half of a key."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
