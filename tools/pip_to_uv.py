"""Print shell exports that make uv use the package index, certificates and limits that pip is configured for.

uv reads no pip configuration. A machine that is set up for pip (a mirror, a company's own certificate) should not need
a second set-up. What is already set for uv is left alone. Run with the Python that has pip; reads nothing but
`pip config list`.
"""

import os
import shlex
import subprocess
import sys

# pip's name -> uv's variable.
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "no-index": "UV_NO_INDEX",
}
# pip lets the later of these win.
SECTIONS = ("global", "install", ":env:")
SECONDS = 30


def settings(listing: str) -> dict[str, str]:
    """pip's settings by name, from the output of `pip config list`."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing.splitlines():
        key, separator, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if separator and section in found:
            name = name.removeprefix("default-").replace("_", "-").lower()
            found[section][name] = value.strip().strip("'\"").replace("\\n", " ")
    return {name: value for section in SECTIONS for name, value in found[section].items()}


def usable(place: str) -> bool:
    """False for a local folder that is not there: pip skips it, uv stops."""
    path = place.removeprefix("file://")
    return not path.startswith("/") or os.path.exists(path)


def exports(pip: dict[str, str]) -> dict[str, str]:
    """The variables to set for uv."""
    out = {}
    for name, variable in VARIABLES.items():
        words = [word for word in pip.get(name, "").split() if usable(word)]
        if words and variable not in os.environ:
            out[variable] = ",".join(words) if name == "find-links" else " ".join(words)
    if "UV_EXTRA_INDEX_URL" in out:
        # As pip does: the best version of all indexes, not the first index that knows the name.
        out["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return out


def main() -> None:
    """Print one `export NAME=VALUE` a line."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=SECONDS, check=False
    ).stdout
    for variable, value in exports(settings(listing)).items():
        print(f"export {variable}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
