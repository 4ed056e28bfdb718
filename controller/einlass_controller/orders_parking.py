"""What staff orders about a car park: each a step of steps/parking_office.py."""

from dataclasses import dataclass

from einlass_controller.orders import OfficeOrder


@dataclass(frozen=True, slots=True)
class ReplaceParkingTicket(OfficeOrder):
    """A ticket for somebody who lost his. stay: the lost one's, if staff has found it ("": it costs the lost ticket).

    Result: the new stay's id, or Declined.
    """

    zone: str
    stay: str
    digest: str
    code_sha256: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class CorrectStay(OfficeOrder):
    """It began then (None: as it did), or its car may leave unpaid until then. Result: the stay's id, or Declined."""

    stay: str
    entered_ms: int | None
    free_until_ms: int | None
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class EndStay(OfficeOrder):
    """Its car is not there any more. Result: the stay's id, or Declined."""

    stay: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class SettleClaim(OfficeOrder):
    """Staff paid out what a paper says, or cleared a card payment in doubt: once. Result: its cents, or Declined."""

    name: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class AddTariff(OfficeOrder):
    """A new version of a tariff, as text that was read before. Result: its number, or Declined."""

    body: str
    is_json: bool
    reason: str
    by: str
