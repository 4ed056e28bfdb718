"""What the sections of node.toml are made of, whichever kind of node it is for."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$"
NAME_ALLOWED = "1 to 32 small letters, digits, - and _ (not first or last)"
RESERVED_NODES = ("all", "controller")
CAMERA = r"^(socket:/.+|v4l2:/dev/.+)$"


class Section(BaseModel):
    """A section of node.toml: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def ms(default: int, low: int, high: int, meaning: str) -> Any:
    """A time; the texts are for whoever gets it wrong."""
    return Field(
        default=default,
        ge=low,
        le=high,
        description=f"{low} to {high} ({meaning}, in milliseconds)",
        examples=[default],
    )


def file_path(meaning: str, example: str) -> Any:
    """An optional path; relative ones count from the configuration's folder."""
    return Field(default=None, min_length=1, max_length=255, description=meaning, examples=[example])


Port = Annotated[int, Field(ge=1, le=65535, description="1 to 65535", examples=[1883])]
Baud = Annotated[
    Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200],
    Field(description="1200, 2400, 4800, 9600, 19200, 38400, 57600 or 115200", examples=[9600]),
]
Host = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^\S+$", description="a host name or address", examples=["10.0.0.2"]),
]
Pin = Annotated[int, Field(ge=0, le=27, description="0 to 27 (BCM number of the pin)", examples=[17])]
SiteName = Annotated[str, Field(pattern=NAME, description=NAME_ALLOWED, examples=["bad-nord"])]
NodeName = Annotated[str, Field(pattern=NAME, description=NAME_ALLOWED, examples=["eingang-1"])]


def check_node_name(node: str) -> None:
    """ValueError for a name that topics need themselves."""
    if node in RESERVED_NODES:
        raise ValueError(f'node = "{node}" is reserved: give the node another id, such as "eingang-1"')


class BrokerConfig(Section):
    """Where the broker is and how the node proves who it is (its user name is the node id)."""

    host: Host
    port: Port = 1883
    password: str | None = Field(default=None, min_length=1, max_length=128, description="a text", examples=["secret"])
    password_file: str | None = file_path("a file whose first line is the password", "/etc/einlass/password")
    ca: str | None = file_path("a PEM file; with it the connection is encrypted", "/etc/einlass/ca.pem")

    @model_validator(mode="after")
    def _one_password(self) -> "BrokerConfig":
        if (self.password is None) == (self.password_file is None):
            raise ValueError('give either password_file = "/etc/einlass/password" or password = "..."')
        return self


class ReaderConfig(Section):
    """One side's readers: any of a serial scanner, a keyboard scanner and a camera, also several at once."""

    serial: str | None = file_path("a serial port", "/dev/serial0")
    baud: Baud = 9600
    scanner: Literal["gm65", "plain"] = Field(
        default="gm65",
        description='"gm65" (set up at every start) or "plain" (types a code and Enter)',
        examples=["gm65"],
    )
    hid: str | None = file_path("an input device", "/dev/input/by-id/usb-scanner-event-kbd")
    camera: str | None = Field(
        default=None, pattern=CAMERA, description='"socket:/path" or "v4l2:/dev/video0"', examples=["v4l2:/dev/video0"]
    )

    def has_any(self) -> bool:
        """Whether there is anything that takes a code."""
        return bool(self.serial or self.hid or self.camera)

    @model_validator(mode="after")
    def _any_reader(self) -> "ReaderConfig":
        if not self.has_any():
            raise ValueError(
                'name a reader: serial = "/dev/serial0", hid = "/dev/input/event0" or camera = "v4l2:/dev/video0"'
            )
        return self


class BoardConfig(Section):
    """A Modbus relay board: by TCP (host) or on a serial line (serial)."""

    host: Host | None = None
    port: Port = 502
    serial: str | None = file_path("a serial port", "/dev/ttyUSB0")
    baud: Baud = 9600
    unit: int = Field(default=1, ge=1, le=247, description="1 to 247 (the board's Modbus address)", examples=[1])
    watchdog_ms: int = Field(
        default=1000,
        ge=0,
        le=10_000,
        description="0 (the board has no watchdog) or 400 to 10000 (it drops its coils after this silence)",
        examples=[1000],
    )

    @model_validator(mode="after")
    def _one_way(self) -> "BoardConfig":
        if (self.host is None) == (self.serial is None):
            raise ValueError('give either host = "10.0.0.5" (Modbus TCP) or serial = "/dev/ttyUSB0" (Modbus RTU)')
        if 0 < self.watchdog_ms < 400:
            raise ValueError("watchdog_ms is too short for the driver's polling; allowed are 0 or 400 to 10000")
        return self
