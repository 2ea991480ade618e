#!/bin/sh
# Prints the path of the `tansu` broker, which speaks the Kafka protocol and is what our tests run as a real broker
# process. The first call builds it into a cache folder (about ten minutes on two cores); later calls find it there.
#
#   WEIR_TOOLS   the cache folder (default ~/.cache/weir-tools)
#   WEIR_JOBS    how many compilers run at once (default: as many as there are cores)
set -eu

version=0.6.0
tools=${WEIR_TOOLS:-$HOME/.cache/weir-tools}
root=$tools/tansu-$version
binary=$root/bin/tansu

if [ ! -x "$binary" ]; then
    mkdir -p "$tools"
    # A half-built tree is left for the next call to go on with; the finished one is of no more use.
    build=$tools/build-tansu-$version
    echo "building the tansu broker $version into $root (once; about ten minutes)" >&2
    cargo install tansu --version "$version" --locked --features dynostore,libsql \
        --root "$root" --target-dir "$build" ${WEIR_JOBS:+--jobs "$WEIR_JOBS"} >&2
    rm -rf "$build"
fi
echo "$binary"
