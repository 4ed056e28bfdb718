"""A code anybody may use inside a window, such as the free-parking day announced in the paper. It is no voucher."""

from dataclasses import dataclass

from einlass_controller.domain import vouchers
from einlass_controller.domain.vouchers import NO_LIMITS, Limits, Scene, Verdict, limited

LENGTH_MIN, LENGTH_MAX = 4, 8
# Wrong codes that one till may try in a second, with a reserve of two seconds (domain.rate).
GUESSES_PER_S = 1
FREE = "free"
KINDS = (FREE, *vouchers.KINDS)


@dataclass(frozen=True, slots=True)
class PublicCode:
    """kind free: the whole stay inside the window costs nothing. total_max 0: no limit. used: held ones too."""

    code: str
    name: str
    kind: str
    value: int
    from_ms: int
    until_ms: int
    limits: Limits = NO_LIMITS
    total_max: int = 0
    used: int = 0
    is_blocked: bool = False


def normal(text: str) -> str:
    """The code in what somebody typed: without blanks and hyphens, in capitals; "": it cannot be one."""
    plain = "".join(text.split()).replace("-", "").upper()
    fits = LENGTH_MIN <= len(plain) <= LENGTH_MAX and plain.isascii() and plain.isalnum()
    return plain if fits else ""


def judge(code: PublicCode, scene: Scene) -> Verdict:
    """Whether it counts here and now. The last instant of the window is until_ms itself."""
    if code.is_blocked:
        return Verdict(vouchers.BLOCKED, {})
    if scene.now_ms < code.from_ms:
        return Verdict(vouchers.TOO_EARLY, {"from_ms": code.from_ms})
    if scene.now_ms > code.until_ms:
        return Verdict(vouchers.EXPIRED, {"until_ms": code.until_ms})
    found = limited(code.limits, scene)
    if found is not None:
        return found
    if code.total_max and code.used >= code.total_max:
        return Verdict(vouchers.LIMIT_TOTAL, {"most": code.total_max})
    return Verdict(vouchers.OK, {})
