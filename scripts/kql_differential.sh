#!/bin/sh
# Compares our KQL parser and binder with Microsoft's own (npm `@kusto/language-service-next`) on our mappings, the
# documented examples and 2,000 random queries, and prints the figures.
#
#   WEIR_KQL_REPORT   a file for all disagreements (default: target/kql-differential.txt)
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
modules=$("$here/scripts/kusto_language.sh")
export WEIR_KUSTO_LANGUAGE="$modules/@kusto/language-service-next"
export WEIR_KQL_REPORT="${WEIR_KQL_REPORT:-${CARGO_TARGET_DIR:-$here/target}/kql-differential.txt}"
cd "$here"
cargo test --release --locked -p weir-kql --test differential -- --nocapture
echo "disagreements: $WEIR_KQL_REPORT"
