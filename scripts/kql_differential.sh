#!/bin/sh
# Compares our KQL with two others, and prints the figures: Microsoft's own parser and binder (npm
# `@kusto/language-service-next`) on our mappings, the documented examples, random queries and calls of every function;
# and the values of duckdb-kql (PyPI) on calls and random expressions. docs/kql-differences.md lists what differs.
#
#   WEIR_KQL_REPORT   all differences go to this file, with `.binder` and `.values` behind its name
#                     (default: target/kql-differential.txt)
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
WEIR_KUSTO_LANGUAGE=$("$here/scripts/kusto_language.sh")
WEIR_DUCKDB_KQL=$("$here/scripts/duckdb_kql.sh")
export WEIR_KUSTO_LANGUAGE WEIR_DUCKDB_KQL
export WEIR_KQL_REPORT="${WEIR_KQL_REPORT:-${CARGO_TARGET_DIR:-$here/target}/kql-differential.txt}"
cd "$here"
cargo test --release --locked -p weir-kql --test differential -- --nocapture
echo "differences: $WEIR_KQL_REPORT.binder and .values"
