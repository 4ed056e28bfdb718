"""What every test may use: `@pytest.mark.needs("mosquitto")` for a program or library that pip cannot bring."""

import ctypes.util
import glob
import os
import re
import shutil
from typing import Any

import pytest

_PACKAGES = {
    "mosquitto_passwd": "mosquitto",
    "libzbar": "libzbar0",
    "libatomic": "libatomic1",
    "setpriv": "util-linux",
    "initdb": "postgresql",
}
# Debian keeps servers where an ordinary account's PATH does not look.
_SERVERS = ["/usr/sbin", "/usr/local/sbin", *glob.glob("/usr/lib/postgresql/*/bin")]
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), *_SERVERS])


def _is_there(what: str) -> bool:
    if what.startswith("lib"):
        return ctypes.util.find_library(what.removeprefix("lib")) is not None
    return shutil.which(what, path=_PLACES) is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is not installed; in CI it fails, else a forgotten install would pass for good."""
    for marker in item.iter_markers("needs"):
        for what in marker.args:
            if not _is_there(what):
                package = _PACKAGES.get(what, what)
                message = f"{what} is not installed: run tools/install_system.sh, or apt-get install {package}"
                if os.environ.get("CI") == "true":
                    pytest.fail(message, pytrace=False)
                pytest.skip(message)


# One worker runs all tests of a module that share what a broker's name stands for: a whole line of processes.
_SHARED = re.compile(r"(tests/system/test_line\w*\.py)::.*\[(mosquitto|nats)\b")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadgroup` by our own rule: xdist_group marks do nothing from pytest 9.2 on (xdist 3.8)."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByLine(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            shared = _SHARED.match(nodeid)
            return f"{shared[1]}[{shared[2]}]" if shared else nodeid

    return ByLine(config, log)
