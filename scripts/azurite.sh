#!/bin/sh
# Prints the path of `azurite-blob`, Microsoft's emulator of Blob storage, which our tests run on loopback. The first
# call installs it into a cache folder with npm; later calls find it there.
#
# The package asks for Node 22, but its blob service runs on Node 20 too.
#
#   WEIR_TOOLS   the cache folder (default ~/.cache/weir-tools)
set -eu

version=3.37.0
tools=${WEIR_TOOLS:-$HOME/.cache/weir-tools}
root=$tools/azurite-$version
binary=$root/node_modules/.bin/azurite-blob

if [ ! -x "$binary" ]; then
    if ! command -v npm >/dev/null; then
        echo "azurite.sh: npm is missing; install Node 20 or later (Debian: apt-get install nodejs npm)" >&2
        exit 1
    fi
    mkdir -p "$root"
    echo "installing azurite $version into $root (once)" >&2
    npm install --prefix "$root" --engine-strict=false --no-audit --no-fund --no-save --omit=dev \
        "azurite@$version" >&2
fi
echo "$binary"
