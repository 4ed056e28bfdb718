"""node.toml of a till: which kind of machine it is, its devices and its times."""

import zoneinfo
from typing import Annotated, Literal

from pydantic import Field, model_validator

from einlass_core.till_account import ALONE_MS, TillSettings
from einlass_edge.config_base import Baud, Host, PlaceConfig, Port, Section, ms_key
from einlass_edge.config_devices import ReaderConfig

FOOT, DISPLAY, DESK = "pay-on-foot", "pay-and-display", "desk"
COINS_EURO = (1, 2, 5, 10, 20, 50, 100, 200)
HOLD_MS = TillSettings().hold_ms

_Cents = Annotated[
    Literal[1, 2, 5, 10, 20, 50, 100, 200],
    Field(description="1, 2, 5, 10, 20, 50, 100 or 200 (a coin's worth in cents)", examples=[50]),
]
_SorterPath = Annotated[int, Field(ge=1, le=8, description="1 to 8 (a path of the sorter)", examples=[1])]
_Serial = Annotated[str, Field(min_length=1, max_length=255, description="a serial port", examples=["/dev/ttyUSB0"])]
_CodePage = Annotated[
    Literal["cp858", "cp1252", "cp850", "cp437"],
    Field(description='"cp858", "cp1252", "cp850" or "cp437"', examples=["cp858"]),
]
_Yes = "true or false"


class CoinsConfig(Section):
    """The ccTalk bus and its coin acceptor (address 2)."""

    serial: _Serial
    take: list[_Cents] = Field(
        default=[10, 20, 50, 100, 200], min_length=1, description="a list of coins in cents", examples=[[50, 100, 200]]
    )
    path: _SorterPath = 1


class HopperConfig(Section):
    """One hopper on the same bus. path: where the sorter sends its coins, if they fall into it."""

    address: int = Field(ge=3, le=10, description="3 to 10 (the hopper's ccTalk address)", examples=[3])
    cents: _Cents
    variant: Literal["serial", "plain"] = Field(
        default="serial", description='"serial" or "plain" (what its payout command carries)', examples=["serial"]
    )
    path: _SorterPath | None = None


class TerminalConfig(Section):
    """The card terminal: ZVT over TCP."""

    host: Host
    port: Port = 20007
    password: str = Field(
        default="000000", pattern=r"^[0-9]{6}$", description="six digits (the terminal's)", examples=["000000"]
    )
    step_ms: int = ms_key(180_000, 1000, 600_000, "how long it may be silent within a payment")


class PrinterConfig(Section):
    """The receipt printer: ESC/POS."""

    serial: _Serial
    baud: Baud = 19200
    code_page: _CodePage = "cp858"
    raster: bool = Field(default=False, description=f"{_Yes} (true: it has no QR command)", examples=["true"])
    marks: bool = Field(default=True, description=f"{_Yes} (false: it has no process id, GS ( H)", examples=["false"])


class DisplayConfig(Section):
    """The customer display: CD5220, two lines of 20 characters."""

    serial: _Serial
    baud: Baud = 9600
    code_page: _CodePage = "cp858"


class KeysConfig(Section):
    """The keypad: one ASCII character for each key on a serial line, or a keyboard on USB."""

    serial: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="a tty", examples=["/dev/ttyUSB3"]
    )
    baud: Baud = 9600
    hid: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="a keyboard's event device",
        examples=["/dev/input/by-id/usb-SEM_USB_Keyboard-event-kbd"],
    )
    layout: Literal["de", "us"] = Field(default="de", description='of the keyboard: "de" or "us"', examples=["de"])

    @model_validator(mode="after")
    def _one_line(self) -> "KeysConfig":
        if (self.serial is None) == (self.hid is None):
            raise ValueError(
                'give [till.keys] either serial = "/dev/ttyUSB3" or hid = "/dev/input/by-id/...-event-kbd"'
            )
        return self


class ProductConfig(Section):
    """What a desk machine sells with one key."""

    key: str = Field(pattern=r"^[0-9A-Z]$", description="one digit or capital letter", examples=["1"])
    id: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$", description="a product of the site", examples=["erwachsene"]
    )
    name: str = Field(min_length=1, max_length=20, description="at most 20 characters", examples=["Erwachsene"])
    name_en: str = Field(default="", max_length=20, description="at most 20 characters", examples=["Adult"])


class TillConfig(Section):
    """The machine: its kind, its devices, its times."""

    kind: Literal["pay-on-foot", "pay-and-display", "desk"] = Field(
        description='"pay-on-foot", "pay-and-display" or "desk"', examples=["pay-on-foot"]
    )
    name: str = Field(
        default="Einlass", min_length=1, max_length=40, description="what stands at the head of each slip",
        examples=["Parkplatz am Bad"],
    )  # fmt: skip
    language: Literal["de", "en"] = Field(default="de", description='"de" or "en"', examples=["de"])
    timezone: str = Field(
        default="Europe/Berlin", max_length=64, description="a time zone's name", examples=["Europe/Berlin"]
    )
    price_ms: int = ms_key(5000, 500, 30_000, "how long the controller may take to price")
    pay_ms: int = ms_key(120_000, 10_000, 600_000, "how long somebody may take to pay")
    card_ms: int = ms_key(45_000, 1000, HOLD_MS, "how long the terminal may take")
    doubt_ms: int = ms_key(60_000, 1000, 600_000, "how long it is asked what became of a payment")
    payout_ms: int = ms_key(30_000, 2000, 300_000, "how long the hopper may take for the next coins")
    sells_alone: bool | None = Field(
        default=None,
        description=f"{_Yes} (whether it sells while it is cut off; default: all but a desk)",
        examples=["true"],
    )
    alone_ms: int = ms_key(ALONE_MS, 200, 10_000, "a price that is not here after so long it works out by itself")
    battery_clock: bool = Field(
        default=False,
        description=f"{_Yes} (true: the computer's clock goes on without power, and may be believed)",
        examples=["true"],
    )
    show_ms: int = ms_key(3000, 500, 20_000, "how long a message is shown")
    coins: CoinsConfig | None = None
    hopper: list[HopperConfig] = Field(default=[], description="[[till.hopper]] sections", examples=[[]])
    terminal: TerminalConfig | None = None
    printer: PrinterConfig
    display: DisplayConfig
    reader: ReaderConfig | None = None
    keys: KeysConfig | None = None
    product: list[ProductConfig] = Field(default=[], description="[[till.product]] sections", examples=[[]])

    def settings(self) -> TillSettings:
        """As the core wants them."""
        return TillSettings(
            price_ms=self.price_ms,
            pay_ms=self.pay_ms,
            card_ms=self.card_ms,
            doubt_ms=self.doubt_ms,
            payout_ms=self.payout_ms,
            gives_change=bool(self.hopper),
            asks_partly=self.keys is not None,
            sells_alone=self.may_sell_alone,
            alone_ms=self.alone_ms,
        )

    @property
    def may_sell_alone(self) -> bool:
        """Whether it sells while it is cut off."""
        return self.kind != DESK if self.sells_alone is None else self.sells_alone

    @model_validator(mode="after")
    def _fits(self) -> "TillConfig":
        if self.coins is None and self.terminal is None:
            raise ValueError('nobody could pay: give [till.coins] with serial = "/dev/ttyUSB0", or [till.terminal]')
        if self.hopper and self.coins is None:
            raise ValueError("a hopper hangs on the bus of [till.coins]; that section is missing")
        if self.kind == FOOT and self.reader is None:
            raise ValueError('a pay-on-foot till reads tickets: give [till.reader] with serial = "/dev/serial0"')
        if self.kind != FOOT and self.keys is None:
            raise ValueError(f'a {self.kind} till has keys: give [till.keys] with serial = "/dev/ttyUSB3"')
        if self.kind == DESK and not self.product:
            raise ValueError('a desk sells something: give [[till.product]] with key = "1", id and name')
        _once("till.hopper", "address", [str(hopper.address) for hopper in self.hopper])
        _once("till.product", "key", [product.key for product in self.product])
        self._pays_back()
        try:
            zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise ValueError(f'timezone = "{self.timezone}" is not known; for example: "Europe/Berlin"') from None
        return self

    def _pays_back(self) -> None:
        """What was put in must be payable again, to the cent."""
        if not self.hopper or self.coins is None:
            return
        least = min(hopper.cents for hopper in self.hopper)
        for cents in (*self.coins.take, *(hopper.cents for hopper in self.hopper)):
            if cents % least:
                raise ValueError(
                    f"coins of {cents} cents cannot be given back in coins of {least}: leave them out of "
                    f"till.coins.take, or add a hopper that divides them"
                )


class TillNodeConfig(PlaceConfig):
    """All of a till's node.toml."""

    till: TillConfig

    def devices(self) -> list[tuple[str, str]]:
        """See PlaceConfig."""
        till = self.till
        named = [
            ("till.coins.serial", till.coins.serial if till.coins else None),
            ("till.printer.serial", till.printer.serial),
            ("till.display.serial", till.display.serial),
            ("till.keys.serial", till.keys.serial if till.keys else None),
            ("till.keys.hid", till.keys.hid if till.keys else None),
        ]
        if till.reader is not None:
            named += [(f"till.reader.{key}", getattr(till.reader, key)) for key in ("serial", "hid", "camera")]
        return [(where, device) for where, device in named if device]


def _once(section: str, key: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{section}: {key} = {value} is given twice")
