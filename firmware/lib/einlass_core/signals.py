"""The colour and sound of every decision and state a lane can show: one table for all displays."""

GREEN = "green"
YELLOW = "yellow"
RED = "red"
DARK = "dark"

# Colour; sound as milliseconds on, off, on, ...; the codes shown so. Text, because a board has no room for a table.
_REFUSED = (500,)
_SIGNALS = (
    (GREEN, (120,), "ok ok_reentry ok_exit"),
    (DARK, (), "ready checking"),
    (
        YELLOW,
        (80, 80, 80),
        "already_inside reentry_locked zone_full lease_exhausted offline_not_here overstay_due payment_due staff "
        "clock_untrusted list_stale",
    ),
    (GREEN, (), "emergency"),
    (RED, (200, 100, 200, 100, 200), "forced"),
    (
        RED,
        _REFUSED,
        "invalid revoked blocked cancelled unpaid too_early expired wrong_product wrong_zone wrong_date used_up closed "
        "error",
    ),
)
SIGNALS = {code: (colour, sound) for colour, sound, codes in _SIGNALS for code in codes.split()}

ADMITTING = ("ok", "ok_reentry")


def signal(code: str) -> "tuple[str, tuple[int, ...]]":
    """Colour and sound; a code from a newer controller is shown as an error rather than not at all."""
    for colour, sound, codes in _SIGNALS:
        if code in codes.split():
            return colour, sound
    return RED, _REFUSED
