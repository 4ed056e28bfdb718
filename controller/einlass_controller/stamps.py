"""Keys of the stamps on parking tickets (einlass_core.stamp): one a car park and day, made of the site's secret.

Nothing is stored: the secret is in the settings' file and in no copy of the database. Two days' keys are in use.
"""

import hmac

from einlass_core.stamp import DAY_S, KEY_BYTES

_PURPOSE = b"einlass/stamp\x00"


def day_of(now_ms: int) -> int:
    """Which day's key tickets are stamped with now."""
    return now_ms // (DAY_S * 1000)


def key_of(secret: bytes, zone: str, day: int) -> str:
    """The key in hex. Masks of codes are made of the same secret by another function: no key can be had from them."""
    return hmac.digest(secret, _PURPOSE + f"{zone}/{day}".encode(), "sha512")[:KEY_BYTES].hex()
