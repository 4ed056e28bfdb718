#!/bin/sh
# Makes .venv and installs what is asked for:  tools/bootstrap.sh demo | dev
#
# Needs python3 (3.11 or newer) and nothing else: no pip, no venv module, no root. What it fetches comes from wherever
# pip and apt on this machine are told to fetch from. With everything in place it does nothing, quickly and offline.
#
#   demo   what `make demo` runs: controller, edge, simulators, a broker
#   dev    that, and the tools that test it, and the board's type stubs in .stubs/
#
#   PYTHON=/path/to/python3   use this Python
set -eu

cd "$(dirname "$0")/.."
ROOT=$(pwd)
VENV="$ROOT/.venv"
STUBS="$ROOT/.stubs/esp32"
SCRATCH="$ROOT/.bootstrap"
UV_WANTED='uv>=0.9,<1'
STARTED=$(date +%s)

say() { printf '==> %s\n' "$*" >&2; }
fail() {
    printf '\nbootstrap: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

WANT=${1:-}
case "$WANT" in
    demo | dev) ;;
    *) fail "say what to install: tools/bootstrap.sh demo, or tools/bootstrap.sh dev" ;;
esac

# --- is everything in place already? ------------------------------------------------------------------------------

# A stamp says which pyproject.toml was installed, into which Python, at which path (scripts hold their path).
stamp_now() {
    version=$("$VENV/bin/python" -c 'import sys; print(sys.version.split()[0])' 2>/dev/null) || return 1
    cat pyproject.toml tools/bootstrap.sh | { sha256sum 2>/dev/null || cksum; } | cut -d' ' -f1 | sed "s|\$| $version $ROOT|"
}
is_current() { [ -f "$VENV/.einlass-$1" ] && [ "$(cat "$VENV/.einlass-$1")" = "$NOW" ]; }

if NOW=$(stamp_now); then
    if is_current dev || { [ "$WANT" = demo ] && is_current demo; }; then
        exit 0
    fi
fi

# --- a Python -----------------------------------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

PYTHON=$(find_python) || fail "Python 3.11 or newer is needed, and there is none here." \
    "$(python3 --version 2>&1 || true)" \
    "Debian 12, Raspberry Pi OS (bookworm) and newer have it: apt-get install python3"

# --- .venv --------------------------------------------------------------------------------------------------------

# How to be root without being asked for a password; fails if there is no way.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}
may_be_root() { as_root true; }

have_ensurepip() { "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1; }

install_python3_venv() {
    [ "$PYTHON" = /usr/bin/python3 ] && command -v apt-get >/dev/null 2>&1 && may_be_root || return 1
    say "installing Debian's python3-venv"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >&2 && return 0
    say "the package lists are missing or old: fetching them"
    as_root apt-get update -q >&2 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >&2
}

# Debian keeps pip as a wheel in a package of its own; an ordinary user may fetch and unpack a package.
unpack_pip_wheel() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
    say "no root here: unpacking Debian's pip wheel into .venv"
    rm -rf "$SCRATCH"
    mkdir -p "$SCRATCH"
    (cd "$SCRATCH" && apt-get download -q python3-pip-whl >&2 && dpkg-deb -x python3-pip-whl_*.deb .) || return 1
    set -- "$SCRATCH"/usr/share/python-wheels/pip-*.whl
    [ -f "$1" ] || return 1
    mkdir -p "$VENV/share"
    cp "$1" "$VENV/share/"
    rm -rf "$SCRATCH"
}

# pip itself is in the venv, or is a wheel that is run from where it lies.
find_pip() {
    if "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        return 0
    fi
    set -- "$VENV"/share/pip-*.whl
    [ -f "$1" ] || return 1
    PYTHONPATH=$1
    export PYTHONPATH
}

make_venv() {
    rm -rf "$VENV"
    if have_ensurepip || { install_python3_venv && have_ensurepip; }; then
        say "making .venv with $PYTHON"
        "$PYTHON" -m venv "$VENV" && return 0
        rm -rf "$VENV"
    fi
    "$PYTHON" -m venv --without-pip "$VENV" && unpack_pip_wheel && find_pip
}

installed_elsewhere() {
    [ -f "$VENV/.einlass-where" ] && [ "$(cat "$VENV/.einlass-where")" != "$ROOT" ]
}

if [ -e "$VENV" ]; then
    if installed_elsewhere; then
        say "this folder was moved: making .venv anew"
        rm -rf "$VENV"
    elif ! new_enough "$VENV/bin/python" || ! find_pip; then
        say ".venv is broken or was left half made: making it anew"
        rm -rf "$VENV"
    fi
fi
if [ ! -e "$VENV" ]; then
    make_venv || {
        rm -rf "$VENV" "$SCRATCH"
        fail "cannot make a virtual environment: $PYTHON has no ensurepip, and pip could not be fetched." \
            "Any one of these helps, then run this again:" \
            "  as root:   apt-get update && apt-get install -y python3-venv" \
            "  no root:   have somebody run 'apt-get update' once, so that 'apt-get download python3-pip-whl' works" \
            "  anywhere:  PYTHON=/path/to/a/complete/python3 make demo"
    }
fi
printf '%s\n' "$ROOT" >"$VENV/.einlass-where"

# --- packages -----------------------------------------------------------------------------------------------------

VPYTHON="$VENV/bin/python"
UV="$VENV/bin/uv"

get_uv() {
    [ -x "$UV" ] && "$UV" --version >/dev/null 2>&1 && return 0
    say "fetching uv, which fetches the rest"
    "$VPYTHON" -m pip install -q --disable-pip-version-check "$UV_WANTED" >&2
}

with_uv() {
    get_uv || return 1
    exports=$("$VPYTHON" tools/pip_to_uv.py) || return 1
    # In a shell of its own: what is set here is for uv alone. uv wants no PYTHONPATH.
    (
        unset PYTHONPATH
        eval "$exports"
        exec "$UV" "$@"
    )
}

install_with_uv() {
    if [ "$WANT" = dev ]; then
        with_uv pip install --python "$VPYTHON" -e '.[demo,pi]' --group dev
    else
        with_uv pip install --python "$VPYTHON" -e '.[demo]'
    fi
}

install_with_pip() {
    say "uv did not manage: trying with pip, which takes longer"
    if [ "$WANT" = dev ]; then
        # Groups are known to pip from 25.1 on.
        "$VPYTHON" -m pip install -q --upgrade 'pip>=25.1' >&2 || return 1
        unset PYTHONPATH
        "$VPYTHON" -m pip install --disable-pip-version-check --progress-bar off -e '.[demo,pi]' --group dev >&2
    else
        "$VPYTHON" -m pip install --disable-pip-version-check --progress-bar off -e '.[demo]' >&2
    fi
}

# The board's stubs describe another os, time and socket than CPython's, so they never go into .venv.
install_stubs() {
    say "fetching the board's type stubs"
    rm -rf "$STUBS"
    with_uv pip install -q --python "$VPYTHON" --target "$STUBS" --group stubs && return 0
    "$VPYTHON" -m pip install -q --disable-pip-version-check --target "$STUBS" --group stubs >&2
}

say "installing what '$WANT' needs (the first time: about a minute, 300 MB)"
rm -f "$VENV/.einlass-demo" "$VENV/.einlass-dev"
install_with_uv || install_with_pip ||
    fail "the packages could not be installed; the reason is above." \
        "Without a network: the first run needs one, later runs do not." \
        "Behind a mirror: set it up for pip (pip config set global.index-url ...), it is used here too."
if [ "$WANT" = dev ]; then
    install_stubs || fail "the type stubs for the board could not be installed; the reason is above."
fi

NOW=$(stamp_now)
printf '%s\n' "$NOW" >"$VENV/.einlass-$WANT"
say "ready after $(($(date +%s) - STARTED)) s"
