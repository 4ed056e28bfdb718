"""Whom a board believes that it is its broker. Loaded only where the broker speaks TLS."""

import binascii
import ssl

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def context(ca_file: str) -> "Any":
    """For a connection to a broker whose certificate this authority has signed. OSError, ValueError for a bad file."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    with open(ca_file, "rb") as file:
        made.load_verify_locations(cadata=_der(file.read()))
    return made


def _der(certificate: bytes) -> bytes:
    """As the board's TLS wants it; PEM, as authorities hand it out, is taken apart: the first certificate counts."""
    if b"-----BEGIN" not in certificate:
        return certificate
    return binascii.a2b_base64(certificate.split(b"-----")[2])
