"""What is wrong with a tariff or a question about one, said in two languages so that its author can put it right."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """path: where in the text, like `window[2].from`; line: in the file from 1, 0 where unknown."""

    path: str
    message: str
    german: str
    line: int = 0

    @property
    def words(self) -> tuple[str, str]:
        """What is wrong, in German and in English."""
        return self.german, self.message

    def __str__(self) -> str:
        place = self.path or "tariff"
        return f"line {self.line}: {place}: {self.message}" if self.line else f"{place}: {self.message}"


class TariffError(Exception):
    """The text is no tariff; `problems` has all that was found, not just the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class StayError(Exception):
    """The question has no answer (an exit before the entry, a pass that the tariff does not know)."""

    def __init__(self, message: str, german: str) -> None:
        super().__init__(message)
        self.words = (german, message)
