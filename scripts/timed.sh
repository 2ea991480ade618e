#!/usr/bin/env bash
# Runs a step and notes how long it took: scripts/timed.sh NAME COMMAND…
#
#   WEIR_TIMINGS   the file to note it in (default target/timings.txt)
set -uo pipefail
name=$1
shift
echo "== $name: $*" >&2
begin=$SECONDS
"$@"
status=$?
file=${WEIR_TIMINGS:-target/timings.txt}
mkdir -p "$(dirname "$file")"
printf '%6d s  %s%s\n' $((SECONDS - begin)) "$name" "$([ $status -eq 0 ] || echo "  (failed)")" | tee -a "$file" >&2
exit $status
