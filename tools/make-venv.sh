#!/bin/sh
# Usage: make-venv.sh PYTHON DIR. Makes a virtual environment with pip in DIR.
#
# Debian splits ensurepip into the package python3-venv, which a fresh machine may lack: then
# root installs it, and others borrow the system's pip if there is one.
set -eu
python=$1 venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "kssl needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1)." >&2
    echo "Name another one: make PYTHON=/path/to/python3.12 …" >&2
    exit 2
}
"$python" -m venv "$venv" >/dev/null 2>&1 && exit 0
rm -rf "$venv"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's python3-venv, which '$python -m venv' needs." >&2
    { apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/dev/null
    "$python" -m venv "$venv" && exit 0
fi
if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip "$venv"; then
    "$python" -m pip --quiet --python "$venv/bin/python" install pip && exit 0
fi
rm -rf "$venv"
echo "'$python -m venv' does not work here. On Debian: apt-get install python3-venv" >&2
exit 2
