#!/bin/sh
# The JavaScript clients some tests use, where Node.js is there; those tests skip themselves where it is not.
set -eu
command -v npm >/dev/null 2>&1 || exit 0
for package in $(find tests -name package.json -not -path '*/node_modules/*'); do
    folder=$(dirname "$package")
    if [ ! -e "$folder/node_modules" ] || [ "$package" -nt "$folder/node_modules" ]; then
        echo "surefill: installing the JavaScript clients of $folder" >&2
        npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error >&2
        touch "$folder/node_modules"
    fi
done
