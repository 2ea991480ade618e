#!/usr/bin/env bash
# Times Weir end to end (JSON file → ASIM → Delta) beside DuckDB doing the same mapping, and prints the ratio; then the
# query language alone (normalize/benches/speed.rs), which marks each limit that is exceeded.
#
#   benches/run.sh
#
#   WEIR_BENCH_EVENTS   events in the input (default 200000, about 720 MB)
#   WEIR_BENCH_RUNS     measured runs of each program after one that warms up (default 5)
#   WEIR_BENCH_DIR      folder for the input and the outputs (default target/bench); its disk is part of the measurement
#
# Needs cargo and python3. The peers' Python packages go into target/venv.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
    cargo build --release --locked --bin weir
    if ! target/venv/bin/python -c 'import duckdb' 2>/dev/null; then
        python3 -m venv target/venv
        target/venv/bin/pip install --quiet duckdb==2.0.0
    fi
    target/venv/bin/python benches/end_to_end.py \
        --events "${WEIR_BENCH_EVENTS:-200000}" --runs "${WEIR_BENCH_RUNS:-5}" --dir "${WEIR_BENCH_DIR:-target/bench}"
    # One selection of packages for all builds: another one would compile the tree again.
    cargo bench --workspace --profile release --locked --bench speed ||
        echo 'not all limits of the query language hold yet: see EXCEEDED above'
}

main "$@"
