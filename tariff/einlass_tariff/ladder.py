"""The steps of a rate, laid end to end, and how far a stay has climbed them."""

from fractions import Fraction

from einlass_tariff.model import LINEAR, STARTED, Rate, Step

Amount = int | Fraction
# (step, how many of them, seconds of the stay they took, cents, seconds of the first one that were used before)
Charge = tuple[Step, int, int, Amount, int]


class Ladder:
    """Where a stay stands in one rate. A started step is paid when it begins; its rest is the caller's to use up."""

    __slots__ = ("_done", "_index", "_part_s", "_steps")

    def __init__(self, rate: Rate) -> None:
        self._steps = rate.steps
        self.reset()

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it stands: two that stand at the same place charge the same from there on."""
        return self._index, self._done, self._part_s

    @place.setter
    def place(self, place: tuple[int, int, int]) -> None:
        self._index, self._done, self._part_s = place

    def reset(self) -> None:
        """Back to the first step."""
        self._index = 0
        self._done = 0
        self._part_s = 0

    def drop_part(self) -> None:
        """An unfinished step begins anew."""
        self._part_s = 0

    def charge(self, seconds: int) -> tuple[list[Charge], int]:
        """The price of so many seconds, and how many seconds of the last started step are paid and not yet used."""
        charges: list[Charge] = []
        left = seconds
        while left > 0:
            step = self._steps[self._index]
            room = self._room(step)
            if step.charge == STARTED:
                count = -(-left // step.seconds)
                if room is not None and count > room:
                    count = room
                used = count * step.seconds
                charges.append((step, count, min(used, left), count * step.cents, 0))
                self._finish(count)
                if used >= left:
                    return charges, used - left
            else:
                used = left if room is None else min(left, room * step.seconds - self._part_s)
                part_s = self._part_s
                count, self._part_s = divmod(part_s + used, step.seconds)
                amount = Fraction(step.cents * used, step.seconds) if step.charge == LINEAR else count * step.cents
                charges.append((step, count, used, amount, part_s))
                self._finish(count)
            left -= used
        return charges, 0

    def skip(self, seconds: int, worth_s: int) -> tuple[int, int]:
        """Climb without paying, for cards worth `worth_s`: (seconds of the stay used, worth used).

        Steps that cost nothing are no use of a card. Where the worth ends inside a step, that step begins there anew.
        """
        left, worth = seconds, worth_s
        while left > 0 and worth > 0:
            step = self._steps[self._index]
            room = self._room(step)
            reach = left if step.cents == 0 else min(left, worth)
            if room is not None:
                reach = min(reach, room * step.seconds - self._part_s)
            count, self._part_s = divmod(self._part_s + reach, step.seconds)
            self._finish(count)
            left -= reach
            worth -= reach if step.cents else 0
        if worth == 0 and self._steps[self._index].charge != LINEAR:
            self._part_s = 0
        return seconds - left, worth_s - worth

    def _room(self, step: Step) -> int | None:
        return None if self._index == len(self._steps) - 1 else step.times - self._done

    def _finish(self, count: int) -> None:
        if self._index < len(self._steps) - 1:
            self._done += count
            if self._done >= self._steps[self._index].times:
                self._index += 1
                self._done = 0
