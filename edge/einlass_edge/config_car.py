"""The sections of node.toml for a lane that cars drive through."""

from typing import Literal

from pydantic import Field, model_validator

from einlass_edge.config_base import Baud, Section
from einlass_edge.config_devices import BoardConfig, ReaderConfig

# Where nothing is written: a car needs longer than a body, and the boom longer than a bolt. settle_ms is longer than a
# boom takes to come down, so that a car which starts at the last moment is still counted to its release.
CAR_LANE = {
    "release_ms": 30_000,
    "exit_release_ms": 30_000,
    "settle_ms": 4000,
    "busy_ms": 30_000,
    "doubt_ms": 60_000,
    "passage_debounce_ms": 40,
    "exit_free": False,
}
LINE_LENGTH_MAX = 120
LINES_MAX = 8


class BarrierConfig(BoardConfig):
    """A car barrier with two loops behind a relay board."""

    kind: Literal["barrier"]


class DisplayConfig(Section):
    """Two lines of 20 characters beside the lane."""

    serial: str = Field(min_length=1, max_length=255, description="a serial port", examples=["/dev/ttyUSB2"])
    baud: Baud = 9600
    code_page: Literal["cp858", "cp1252", "cp850", "cp437"] = Field(
        default="cp858", description='"cp858", "cp1252", "cp850" or "cp437"', examples=["cp858"]
    )
    language: Literal["de", "en"] = Field(default="de", description='"de" or "en"', examples=["de"])


class TicketConfig(Section):
    """The ticket printer of an entry: a ticket for each car at the button."""

    serial: str = Field(min_length=1, max_length=255, description="a serial port", examples=["/dev/ttyUSB1"])
    baud: Baud = 9600
    code_page: Literal["cp858", "cp1252", "cp850", "cp437"] = Field(
        default="cp858", description='"cp858", "cp1252", "cp850" or "cp437"', examples=["cp858"]
    )
    raster: bool = Field(
        default=False, description="true or false (true: a printer that has no QR command)", examples=["true"]
    )
    marks: bool = Field(
        default=True, description="true or false (false: a printer without the command GS ( H)", examples=["true"]
    )
    taken_sensed: bool = Field(
        default=True,
        description="true or false (input 6 of the barrier's board tells that a ticket hangs in the mouth)",
        examples=["true"],
    )
    title: str = Field(
        default="Parkschein", min_length=1, max_length=LINE_LENGTH_MAX,
        description=f"1 to {LINE_LENGTH_MAX} characters", examples=["Parkplatz Freibad"],
    )  # fmt: skip
    lines: list[str] = Field(
        default=["Bitte vor der Ausfahrt bezahlen.", "Please pay before you leave."],
        max_length=LINES_MAX,
        description=f"at most {LINES_MAX} texts, printed below the code",
        examples=[["Bitte vor der Ausfahrt bezahlen."]],
    )

    @model_validator(mode="after")
    def _short_lines(self) -> "TicketConfig":
        for line in self.lines:
            if len(line) > LINE_LENGTH_MAX:
                raise ValueError(f"lines: {line[:20]!r}... has {len(line)} characters, at most {LINE_LENGTH_MAX}")
        return self


class EntryConfig(ReaderConfig):
    """The entry's readers; at a barrier also, or only, its tickets."""

    ticket: TicketConfig | None = None

    def has_any(self) -> bool:
        """See ReaderConfig."""
        return super().has_any() or self.ticket is not None
