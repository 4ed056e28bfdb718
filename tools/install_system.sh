#!/bin/sh
# Installs what the tests need from Debian and pip cannot bring: mosquitto, PostgreSQL, Chromium, libzbar, and libatomic
# for the program that drives Chromium.
#
# Only what is missing, as root or by `sudo -n`. Otherwise it says what to install and goes on: the tests that need it
# are skipped and say so (with CI=true they fail). Installing mosquitto and PostgreSQL starts Debian's own services on
# ports 1883 and 5432; nothing here uses them, the tests start servers of their own.
set -eu

# Debian keeps servers where an ordinary account's PATH does not look.
PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin"

have() {
    case "$1" in
        mosquitto) command -v mosquitto ;;
        chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
        postgresql) command -v initdb || ls /usr/lib/postgresql/*/bin/initdb ;;
        libatomic1) ldconfig -p 2>/dev/null | grep -q 'libatomic\.so\.1' ;;
        libzbar0) ldconfig -p 2>/dev/null | grep -q 'libzbar\.so\.0' ;;
    esac >/dev/null 2>&1
}
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

missing=
for package in mosquitto postgresql chromium libatomic1 libzbar0; do
    have "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    printf '==> installing%s\n' "$missing" >&2
    # shellcheck disable=SC2086 # a list of words
    install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2; }
    if install || { as_root apt-get update -q >&2 && install; }; then
        exit 0
    fi
fi

cat >&2 <<TEXT

Missing here, and not installable without root:$missing
    sudo apt-get install$missing
Until then the tests that need them are skipped, and say so. (With CI=true they fail.)

TEXT
[ "${CI:-}" != true ] || exit 1
