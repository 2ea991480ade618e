"""Asks duckdb-kql, which runs KQL on DuckDB, for the values of queries: JSON on stdin, JSON on stdout.

  in:  {"table": a KQL datatable, which the queries know as T; "queries": [text]}
  out: [{"values": [text or null]} or {"error": text}], the values those of the first column in the order of the rows:
       times as microseconds since 1970, spans as microseconds, reals so that they are read back, the rest as it prints
"""

import datetime
import json
import sys

import duckdb_kql

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def text(value):
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value)
        case datetime.datetime():
            return str((value.replace(tzinfo=None) - EPOCH) // MICROSECOND)
        case datetime.timedelta():
            return str(value // MICROSECOND)
        case list() | dict() | tuple():
            return json.dumps(value, default=text)
        case _:
            return str(value)


def main():
    work = json.load(sys.stdin)
    connection = duckdb_kql.connect()
    duckdb_kql.script(connection, ".set-or-replace T <| " + work["table"])
    answers = []
    for query in work["queries"]:
        try:
            rows = duckdb_kql.kql(connection, query).fetchall()
            answers.append({"values": [text(row[0]) for row in rows]})
        except Exception as error:  # Whatever it does not run is no answer.
            answers.append({"error": f"{type(error).__name__}: {error}"})
    json.dump(answers, sys.stdout)


main()
