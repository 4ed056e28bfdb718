"""The front of a till: what a code before the reader and a key mean where the machine stands now."""

import asyncio
import secrets
from collections.abc import Callable, Sequence

from einlass_core import codes, stamp
from einlass_core.codes import CodeError
from einlass_core.events import Event, Scanned
from einlass_core.plates import plate
from einlass_core.till import IDLE, PAYING, PRICING, SUBJECT_LENGTH_MAX, Till
from einlass_core.till_words import DISPLAY, EXIT, LOST, POOL, Aborted, Begun, CardWanted, Confirmed, VoucherShown
from einlass_edge import config_till
from einlass_edge.config_till import ProductConfig
from einlass_edge.drivers import keypad
from einlass_edge.till_screen import Screen

TYPED_MAX = 20
TYPED_S = 30.0  # then whoever typed it is gone
PLATE_MAX = 12
LOST_SUBJECT = "lost"


class Front:
    """scan() and press() by the devices' drivers. put: events for the till; False when it is too far behind."""

    def __init__(
        self, kind: str, products: Sequence[ProductConfig], till: Till, screen: Screen, put: Callable[[Event], bool]
    ) -> None:
        self.subject = ""  # as the customer knows it, for display and paper
        self.name = ""  # of the product sold
        self.made = ""  # the code that this sale will print
        self.raw = b""  # what the reader read of its ticket, with the stamp
        self._kind = kind
        self._products = {product.key: product for product in products}
        self._till = till
        self._screen = screen
        self._put = put
        self._typed = ""
        self._forgetting: asyncio.TimerHandle | None = None

    def scan(self, event: Event) -> bool:
        """See drivers.driver.Feed."""
        if isinstance(event, Scanned):
            self._shown(event.raw)
        return True

    def press(self, key: str) -> None:
        """One key."""
        state = self._till.state
        if key == keypad.LANGUAGE:
            self._screen.switch_language()
        elif key == keypad.CANCEL:
            typed = bool(self._typed)
            self._type("")
            if state in (PRICING, PAYING) and not typed:
                self._put(Aborted())
        elif state == IDLE:
            self._press_idle(key)
        elif state == PAYING:
            self._press_paying(key)

    def at_rest(self) -> None:
        """The customer is gone."""
        self._type("")

    def _press_idle(self, key: str) -> None:
        if self._kind == config_till.DESK:
            product = self._products.get(key)
            if product is not None:
                self._begin(POOL, product.id, product.name, made=True)
        elif key == keypad.LOST and self._kind == config_till.FOOT:
            self._begin(LOST, LOST_SUBJECT, made=True)
        elif key == keypad.OK and self._typed:
            typed = " ".join(self._typed.split())
            self._type("")
            if self._kind == config_till.DISPLAY:
                if plate(typed):
                    self._begin(DISPLAY, typed[:PLATE_MAX])
            else:
                self._shown(typed.encode())
        else:
            self._edit(key)

    def _press_paying(self, key: str) -> None:
        if key == keypad.CARD:
            self._put(CardWanted())
        elif key == keypad.OK and self._typed:
            typed = self._typed
            self._type("")
            self._shown(typed.encode())
        elif key == keypad.OK:
            self._put(Confirmed())
        else:
            self._edit(key)

    def _edit(self, key: str) -> None:
        if key == keypad.BACK:
            self._type(self._typed[:-1])
        elif keypad.is_typed(key) and len(self._typed) < TYPED_MAX:
            self._type(self._typed + key)

    def _type(self, text: str) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if text:
            self._forgetting = asyncio.get_running_loop().call_later(TYPED_S, self._type, "")
        if text != self._typed:
            self._typed = text
            self._screen.typing(text)

    def _shown(self, raw: bytes) -> None:
        """A code was held to the reader, or typed."""
        try:
            code = codes.read(stamp.without(raw))
        except CodeError:
            self._screen.flash("misread")
            return
        state = self._till.state
        if state == IDLE and self._kind == config_till.FOOT:
            if len(code) > SUBJECT_LENGTH_MAX:
                self._screen.flash("invalid")
            else:
                self._begin(EXIT, code, raw=raw)
        elif state == IDLE:
            self._screen.flash("plate_first" if self._kind == config_till.DISPLAY else "choose_first")
        elif state == PAYING and code != self.subject:
            self._put(VoucherShown(code))

    def _begin(self, what: str, subject: str, name: str = "", made: bool = False, raw: bytes = b"") -> None:
        code = codes.opaque(secrets.randbits(codes.OPAQUE_BITS)) if made else ""
        meant = plate(subject) if what == DISPLAY else subject
        if self._put(Begun(what, meant, codes.digest(code) if code else "")):
            self.subject, self.name, self.made, self.raw = subject, name, code, raw
