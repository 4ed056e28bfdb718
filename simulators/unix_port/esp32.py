"""Stand-in for the ESP32's `esp32`: the NVS partition, as a file beside the flash image."""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

import binascii
import json
import os

import host_store

NAMESPACE_LENGTH_MAX = 15
ESP_ERR_NVS_NOT_FOUND = -4354
ESP_ERR_NVS_KEY_TOO_LONG = -4361
ESP_ERR_NVS_INVALID_LENGTH = -4364


class NVS:
    """32-bit integers and blobs in a namespace. What is set counts after a power cut only once it is committed."""

    def __init__(self, namespace):
        _check_length(namespace)
        self._namespace = namespace
        self._path = os.getenv("BOARD_FLASH") + ".nvs"
        self._changes = {}

    def set_i32(self, key, value):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("overflow converting to a 32-bit integer")
        self._set(key, value)

    def get_i32(self, key):
        return self._get(key, int)

    def set_blob(self, key, value):
        self._set(key, binascii.hexlify(value).decode())

    def get_blob(self, key, buffer):
        value = binascii.unhexlify(self._get(key, str))
        if len(value) > len(buffer):
            raise OSError(ESP_ERR_NVS_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        if self._values().get(key) is None:
            raise OSError(ESP_ERR_NVS_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        self._changes[key] = None

    def commit(self):
        everything = self._stored()
        everything[self._namespace] = {key: value for key, value in self._values().items() if value is not None}
        host_store.replace(self._path, json.dumps(everything).encode())
        self._changes.clear()

    def _set(self, key, value):
        _check_length(key)
        self._changes[key] = value

    def _get(self, key, kind):
        value = self._values().get(key)
        if not isinstance(value, kind):
            raise OSError(ESP_ERR_NVS_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value

    def _values(self):
        values = self._stored().get(self._namespace, {})
        values.update(self._changes)
        return values

    def _stored(self):
        return json.loads(host_store.read(self._path) or b"{}")


def _check_length(name):
    if not 0 < len(name) <= NAMESPACE_LENGTH_MAX:
        raise OSError(ESP_ERR_NVS_KEY_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
