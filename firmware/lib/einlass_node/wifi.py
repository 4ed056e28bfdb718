"""Joins the Wi-Fi without ever waiting for it: the radio keeps trying by itself, the MQTT client does the rest."""

import network

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from einlass_core.board import NodeConfig


def join(config: "NodeConfig") -> None:
    """Start joining; returns at once."""
    wlan = network.WLAN(network.STA_IF)
    wlan.active(False)  # A soft reset leaves the radio half connected, and connect() would then raise.
    wlan.active(True)
    wlan.config(pm=network.WLAN.PM_NONE)  # Power saving costs up to 100 ms an answer.
    wlan.connect(config.wifi_ssid, config.wifi_password)
