"""How often somebody may ask: a token bucket."""

from dataclasses import dataclass

BURST_S = 2
MS = 1000


@dataclass(slots=True)
class Bucket:
    """rate_per_s tokens flow in every second, at most those of BURST_S seconds are kept; 0: no limit."""

    rate_per_s: int
    at_ms: int
    milli_tokens: int = -1  # thousandths; -1: full, as at the beginning

    def wait_ms(self, now_ms: int) -> int:
        """The milliseconds until there is a token, without taking one; 0: there is one now."""
        if self.rate_per_s <= 0:
            return 0
        most = self.rate_per_s * BURST_S * MS
        flown = max(0, now_ms - self.at_ms) * self.rate_per_s
        self.milli_tokens = most if self.milli_tokens < 0 else min(most, self.milli_tokens + flown)
        self.at_ms = max(self.at_ms, now_ms)
        return -(-max(0, MS - self.milli_tokens) // self.rate_per_s)

    def take(self, now_ms: int) -> int:
        """Take one token: 0, or the milliseconds until there is one."""
        wait_ms = self.wait_ms(now_ms)
        if not wait_ms and self.rate_per_s > 0:
            self.milli_tokens -= MS
        return wait_ms
