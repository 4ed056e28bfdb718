"""The colour and sound of every decision and state a lane can show: one table for all displays."""

GREEN = "green"
YELLOW = "yellow"
RED = "red"
DARK = "dark"

# Sounds are lists of milliseconds: on, off, on, ...
_GOOD = (120,)
_WAIT = (80, 80, 80)
_BAD = (500,)
_SILENT = ()

SIGNALS = {
    "ready": (DARK, _SILENT),
    "checking": (DARK, _SILENT),
    "ok": (GREEN, _GOOD),
    "ok_reentry": (GREEN, _GOOD),
    "ok_exit": (GREEN, _GOOD),
    "invalid": (RED, _BAD),
    "revoked": (RED, _BAD),
    "blocked": (RED, _BAD),
    "cancelled": (RED, _BAD),
    "unpaid": (RED, _BAD),
    "too_early": (RED, _BAD),
    "expired": (RED, _BAD),
    "wrong_product": (RED, _BAD),
    "wrong_zone": (RED, _BAD),
    "wrong_date": (RED, _BAD),
    "used_up": (RED, _BAD),
    "already_inside": (YELLOW, _WAIT),
    "reentry_locked": (YELLOW, _WAIT),
    "zone_full": (YELLOW, _WAIT),
    "lease_exhausted": (YELLOW, _WAIT),
    "offline_not_here": (YELLOW, _WAIT),
    "overstay_due": (YELLOW, _WAIT),
    "payment_due": (YELLOW, _WAIT),
    "closed": (RED, _BAD),
    "emergency": (GREEN, _SILENT),
    "staff": (YELLOW, _WAIT),
    "clock_untrusted": (YELLOW, _WAIT),
    "list_stale": (YELLOW, _WAIT),
    "forced": (RED, (200, 100, 200, 100, 200)),
    "error": (RED, _BAD),
}

ADMITTING = ("ok", "ok_reentry")


def signal(code: str) -> "tuple[str, tuple[int, ...]]":
    """Colour and sound; a code from a newer controller is shown as an error rather than not at all."""
    return SIGNALS.get(code, SIGNALS["error"])
