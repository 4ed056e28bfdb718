"""The colour and sound of every decision and state a lane can show: one table for all displays."""

GREEN = "green"
YELLOW = "yellow"
RED = "red"
DARK = "dark"

# Colour; sound as milliseconds on, off, on, ...; the codes shown so. Text, because a board has no room for a table.
_SIGNALS = (
    "green 120 ok ok_reentry ok_exit;"
    "dark 0 ready checking;"
    "yellow 80,80,80 already_inside reentry_locked zone_full lease_exhausted offline_not_here overstay_due payment_due "
    "staff clock_untrusted list_stale;"
    "green 0 emergency;"
    "red 200,100,200,100,200 forced;"
    "red 500 invalid revoked blocked cancelled unpaid too_early expired wrong_product wrong_zone wrong_date used_up "
    "closed error"
)

ADMITTING = ("ok", "ok_reentry")


def signal(code: str) -> "tuple[str, tuple[int, ...]]":
    """Colour and sound; a code from a newer controller is shown as an error rather than not at all."""
    words = [""]
    for line in _SIGNALS.split(";"):
        words = line.split()
        if code in words[2:]:
            break
    return words[0], tuple([int(part) for part in words[1].split(",") if part != "0"])


def all_codes() -> "list[str]":
    """Every code that has a signal."""
    return [code for line in _SIGNALS.split(";") for code in line.split()[2:]]
