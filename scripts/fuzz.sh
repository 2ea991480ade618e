#!/usr/bin/env bash
# Fuzzes the query language with libFuzzer: half of the time the parser and formatter, half the binder and what binds.
#
#   scripts/fuzz.sh [SECONDS]   in all (default 3600)
#
#   WEIR_FUZZ_DIR   folder for the build, the corpus and the findings (default target/fuzz)
#
# Needs a nightly toolchain of rustup. An input that fails is kept in WEIR_FUZZ_DIR/TARGET/, and the script fails; run it
# again with `WEIR_FUZZ_DIR/build/…/release/TARGET FILE`. Slow inputs (over a second) are kept there too, as slow-unit-*.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-3600}
folder=$(realpath -m "${WEIR_FUZZ_DIR:-target/fuzz}")

main() {
    if ! command -v cargo-fuzz >/dev/null; then
        cargo install cargo-fuzz --version 0.13.2 --locked --root "$folder/tools"
        PATH="$folder/tools/bin:$PATH"
    fi
    # All code is safe Rust: the address sanitizer would find nothing and double the time.
    CARGO_FUZZ=(cargo +nightly fuzz)
    RUSTC_WRAPPER="$PWD/scripts/fuzz_rustc.sh" "${CARGO_FUZZ[@]}" build --fuzz-dir normalize/kql/fuzz \
        --target-dir "$folder/build" --sanitizer none
    local failed=0 target
    for target in parse bind; do
        fuzz "$target" || failed=1
    done
    return "$failed"
}

fuzz() {
    local target=$1 binary
    binary=$(ls "$folder"/build/*/release/"$1")
    mkdir -p "$folder/$target/corpus"
    echo "== $target, $((seconds / 2)) s"
    # 64 KiB is far above any mapping; 512 MB and 10 s are far above what such a query may take.
    "$binary" "$folder/$target/corpus" -artifact_prefix="$folder/$target/" -max_total_time=$((seconds / 2)) \
        -max_len=65536 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -report_slow_units=1 -print_final_stats=1 \
        -len_control=20 2>"$folder/$target/log" || { tail -30 "$folder/$target/log"; return 1; }
    grep -E '^stat::|DONE' "$folder/$target/log"
}

main
