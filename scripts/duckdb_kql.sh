#!/bin/sh
# Prints the Python that has `duckdb-kql`, which runs KQL on DuckDB and which our differential test asks for a second
# opinion of scalar values. The first call installs it into a cache folder with pip. Test-time only.
#
#   WEIR_TOOLS   the cache folder (default ~/.cache/weir-tools)
set -eu

version=1.1.2
duckdb=2.0.0
tools=${WEIR_TOOLS:-$HOME/.cache/weir-tools}
root=$tools/duckdb-kql-$version

if ! "$root/bin/python3" -c 'import duckdb, duckdb_kql' 2>/dev/null; then
    if ! python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "duckdb_kql.sh: Python 3.11 or later with venv is missing (Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
    echo "installing duckdb-kql $version into $root (once)" >&2
    python3 -m venv "$root"
    "$root/bin/python3" -m pip install --quiet --disable-pip-version-check \
        "duckdb-kql[duckdb]==$version" "duckdb==$duckdb" >&2
fi
echo "$root/bin/python3"
