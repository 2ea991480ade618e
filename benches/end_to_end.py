#!/usr/bin/env python3
"""Weir against its peers, end to end: one JSON Lines file of process events → ASIM → the lake's files.

What is measured, in turns (Weir, peer, Weir, peer…), after one run of each that warms the page cache:

- Weir: the whole process `weir run --once`, from exec to exit: config, decode, mapping, Parquet, Delta commit.
- DuckDB: the COPY statement alone, without Python's and the library's start, to one Parquet file, without Delta.
  `duckdb` does the same mapping; `duckdb-columns` leaves out the packing of AdditionalFields.

Every output is on the disk of --dir; nothing is synced by hand. All programs may use all cores. Then the outputs of
Weir and `duckdb` are compared, column by column, so that the ratio is known to be one of equal work. Raw runs go to
benches/results/<date>-<commit>.json.

    end_to_end.py [--events 200000] [--runs 5] [--dir target/bench] [--weir target/release/weir]
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SEED = 1
TABLE = "ASimProcessEventLogs"
MAPPINGS = {"duckdb": "full", "duckdb-columns": "columns"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--events", type=int, default=200_000)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--dir", default=os.path.join(ROOT, "target", "bench"))
    arguments.add_argument("--weir", default=os.path.join(ROOT, "target", "release", "weir"))
    options = arguments.parse_args()
    os.makedirs(options.dir, exist_ok=True)

    source = input_file(options.dir, options.events)
    input_bytes = os.path.getsize(source)
    print(f"input: {options.events:,} process events, {input_bytes / 1e6:,.1f} MB, {source}")
    programs = {"weir": lambda: run_weir(options.weir, source, options.dir)}
    for name, mapping in MAPPINGS.items():
        programs[name] = lambda name=name, mapping=mapping: run_duckdb(name, mapping, source, options.dir)

    runs = {name: [] for name in programs}
    for number in range(options.runs + 1):
        for name, run in programs.items():
            result = run()
            if number > 0:
                runs[name].append(result)
            label = f"run {number}" if number else "warm-up"
            print(f"  {label:8} {name:15} {result['seconds']:7.3f} s")

    checks = compare_outputs(options.dir, options.events)
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(options.dir),
        "input": {"events": options.events, "bytes": input_bytes, "seed": SEED},
        "programs": {name: summary(results, input_bytes, options.events) for name, results in runs.items()},
        "checks": checks,
    }
    weir = report["programs"]["weir"]["median_seconds"]
    report["ratios"] = {name: report["programs"][name]["median_seconds"] / weir for name in MAPPINGS}
    print_report(report)
    print(f"\nraw runs: {save(report)}")
    if checks["rows_equal"] is not True:
        sys.exit("the programs did not give the same number of rows: the ratio means nothing")


def input_file(folder, events):
    """The input, generated once per count, seed and version of the generator."""
    generator = os.path.join(HERE, "generate.py")
    with open(generator, "rb") as text:
        version = hashlib.sha256(text.read()).hexdigest()[:8]
    path = os.path.join(folder, f"process-{events}-{SEED}-{version}.jsonl")
    if not os.path.exists(path):
        print("generating the input …")
        subprocess.run(
            [sys.executable, generator, "--events", str(events), "--seed", str(SEED), "--out", path], check=True
        )
    return path


def run_weir(binary, source, folder):
    lake = os.path.join(folder, "lake")
    shutil.rmtree(lake, ignore_errors=True)
    config = os.path.join(folder, "weir.yaml")
    with open(config, "w", encoding="utf-8") as text:
        # JSON is YAML, and quotes paths for us.
        json.dump(
            {
                "sources": [{"name": "bench", "files": {"paths": [os.path.abspath(source)], "remember": False}}],
                "lake": {"url": os.path.abspath(lake)},
            },
            text,
            indent=2,
        )
    result = timed([binary, "run", "-c", config, "--once", "--summary", "json"])
    result["seconds"] = result["process_seconds"]
    result["output_bytes"] = size_of(lake, ".parquet")
    return result


def run_duckdb(name, mapping, source, folder):
    out = os.path.join(folder, f"{name}.parquet")
    if os.path.exists(out):
        os.remove(out)
    peer = os.path.join(HERE, "peers", "duckdb_process.py")
    result = timed([sys.executable, peer, "--in", source, "--out", out, "--mapping", mapping])
    said = json.loads(result.pop("stdout"))
    result["seconds"] = said["seconds"]
    result["version"] = said["duckdb"]
    result["output_bytes"] = os.path.getsize(out)
    return result


def timed(command):
    """Runs a program to its end: wall seconds, CPU seconds, peak resident bytes, and what it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout, stderr = out.read(), err.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{stderr.decode(errors='replace')}")
    return {
        "process_seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "stdout": stdout.decode(errors="replace"),
    }


def size_of(folder, suffix):
    sizes = 0
    for parent, _, files in os.walk(folder):
        sizes += sum(os.path.getsize(os.path.join(parent, name)) for name in files if name.endswith(suffix))
    return sizes


def summary(results, input_bytes, events):
    median = statistics.median(result["seconds"] for result in results)
    return {
        "median_seconds": median,
        "input_mb_per_second": input_bytes / 1e6 / median,
        "events_per_second": events / median,
        "output_bytes": results[-1]["output_bytes"],
        "peak_bytes": max(result["peak_bytes"] for result in results),
        "runs": [{key: value for key, value in result.items() if key != "stdout"} for result in results],
    }


def compare_outputs(folder, events):
    """Rows and, per column that both have, an order-free checksum: which columns hold the same values?"""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    weir = f"read_parquet('{folder}/lake/{TABLE}/**/*.parquet', hive_partitioning = true, union_by_name = true)"
    peer = f"read_parquet('{folder}/duckdb.parquet')"
    rows = [connection.execute(f"select count(*) from {side}").fetchone()[0] for side in (weir, peer)]
    types = [dict(row[:2] for row in connection.execute(f"describe select * from {side}").fetchall()) for side in (weir, peer)]
    both = [name for name in types[1] if name in types[0]]

    def checksums(side, side_types):
        # Text that is empty and text that is null mean the same in KQL.
        def text(name):
            if name == "AdditionalFields":
                # Key order is not meaning; the set of members is.
                members = f"json_keys({name}::varchar::json)"
                return f"list_sort({members})::varchar || length(json({name}::varchar))::varchar"
            if side_types[name].startswith("TIMESTAMP"):
                return f"epoch_us({name}::timestamptz)::varchar"
            return f"nullif({name}::varchar, '')"

        sums = ", ".join(f"sum(hash({text(name)})::hugeint)" for name in both)
        return connection.execute(f"select {sums} from {side}").fetchone()

    left, right = checksums(weir, types[0]), checksums(peer, types[1])
    return {
        "rows": {"weir": rows[0], "duckdb": rows[1]},
        "rows_equal": rows[0] == rows[1] == events,
        "columns_equal": [name for name, a, b in zip(both, left, right) if a == b],
        "columns_different": [name for name, a, b in zip(both, left, right) if a != b],
        "columns_missing_in_weir": [name for name in types[1] if name not in types[0]],
    }


def print_report(report):
    print(f"\n{'':15} {'median':>9} {'MB/s in':>9} {'events/s':>11} {'out MB':>8} {'peak MB':>8}")
    for name, program in report["programs"].items():
        print(
            f"{name:15} {program['median_seconds']:7.3f} s {program['input_mb_per_second']:9.0f} "
            f"{program['events_per_second']:11,.0f} {program['output_bytes'] / 1e6:8.1f} "
            f"{program['peak_bytes'] / 1e6:8.0f}"
        )
    checks = report["checks"]
    print(f"\nrows: weir {checks['rows']['weir']:,}, duckdb {checks['rows']['duckdb']:,}")
    print(f"columns with equal values: {len(checks['columns_equal'])}")
    for key, text in (("columns_different", "different values"), ("columns_missing_in_weir", "only in duckdb")):
        if checks[key]:
            print(f"columns with {text}: {', '.join(checks[key])}")
    machine = report["machine"]
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['disk']}; {report['commit']}")
    for name, ratio in report["ratios"].items():
        print(f"ratio: weir is {ratio:.2f} times as fast as {name}")


def commit():
    def git(*command):
        result = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        return result.stdout.strip() if result.returncode == 0 else ""

    head = git("rev-parse", "--short=12", "HEAD") or "uncommitted"
    # Earlier results don't make a checkout dirty.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benches/results")
    return f"{head}-dirty" if changed else head


def machine(folder):
    cpu = platform.processor() or platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    with open("/proc/meminfo", encoding="utf-8") as lines:
        kilobytes = int(next(line for line in lines if line.startswith("MemTotal")).split()[1])
    found = subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True, check=False)
    return {
        "cpu": models[0] if models else cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(kilobytes / 1e6),
        "disk": found.stdout.split()[-1] if found.returncode == 0 else "unknown disk",
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def save(report):
    folder = os.path.join(HERE, "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{report['date'][:10]}-{report['commit']}.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(report, out, indent=1)
        out.write("\n")
    return os.path.relpath(path, os.getcwd())


if __name__ == "__main__":
    main()
