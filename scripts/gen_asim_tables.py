#!/usr/bin/env python3
"""Writes the ASIM tables that the normalizer reads: normalize/data/asim_{tables,custom_tables,fields,tester}.csv.

Usage: python3 scripts/gen_asim_tables.py SHARED_DIR

SHARED_DIR holds the collected facts; three of its files are read:

  asim/tables.csv         table,column,type          columns of the 13 native Log Analytics tables
  asim/fields.csv         one row per schema, field  class, types, allowed values, alias and condition
  asim/tester-fields.csv  one row per schema, field  the same, as the official testers define it

asim_tables.csv and asim_tester.csv keep every row. asim_custom_tables.csv has a table of the same shape for each schema
without a native one: its columns are the schema's fields. asim_fields.csv keeps the columns that code and tests use and
leaves out the remarks. All keep the order of their source, so the same facts always give the same bytes. The script stops with a message
when a fact contradicts itself (a column twice, a type that KQL does not have), because the normalizer would refuse
mappings for a reason that no one could see in them.
"""

import csv
import sys
from pathlib import Path

KQL_TYPES = {"string", "int", "long", "real", "bool", "datetime", "timespan", "dynamic", "guid", "decimal"}
TABLE_COLUMNS = ["table", "column", "type"]
FIELD_COLUMNS = ["schema", "field", "class", "kql_type", "logical_type", "allowed_values", "alias_of", "conditional_on"]
# Schemas without a native table, and the custom table that stands in for it.
CUSTOM_TABLES = {"EmailEvent": "ASimEmailEventLogs_CL"}
TESTER_COLUMNS = [
    "schema", "field", "class", "kql_type", "logical_type", "list_of_values", "aliased", "dynamic_type",
    "array_values_type",
]
CLASSES = {"Mandatory", "Recommended", "Optional", "Conditional", "Alias"}
OUT_DIR = Path(__file__).resolve().parent.parent / "normalize" / "data"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} SHARED_DIR")
    asim = Path(sys.argv[1]) / "asim"
    tables = read(asim / "tables.csv", TABLE_COLUMNS)
    refuse_duplicates("tables.csv", tables, ("table", "column"))
    refuse_unknown_types("tables.csv", tables, "type")
    fields = read(asim / "fields.csv", FIELD_COLUMNS)
    # A schema may name one field twice (AssetEntity.AssetPath does): both rows are kept, readers take the first.
    refuse_unknown_types("fields.csv", fields, "kql_type")
    tester = read(asim / "tester-fields.csv", TESTER_COLUMNS)
    # The testers write one type as `double`, and compare it as text: it stays as it is.
    refuse_unknown_types("tester-fields.csv", tester, "kql_type", KQL_TYPES | {"double"})
    refuse_unknown_classes("tester-fields.csv", tester)
    OUT_DIR.mkdir(parents=True, exist_ok=True)
    write(OUT_DIR / "asim_tables.csv", TABLE_COLUMNS, tables)
    write(OUT_DIR / "asim_custom_tables.csv", TABLE_COLUMNS, custom_tables(fields))
    write(OUT_DIR / "asim_fields.csv", FIELD_COLUMNS, fields)
    write(OUT_DIR / "asim_tester.csv", TESTER_COLUMNS, tester)


def custom_tables(fields: list[dict[str, str]]) -> list[dict[str, str]]:
    """Columns of the custom tables: every field of the schema, aliases too, so that a mapping is told of them."""
    rows = [
        {"table": table, "column": field["field"], "type": field["kql_type"]}
        for schema, table in CUSTOM_TABLES.items()
        for field in fields
        if field["schema"] == schema
    ]
    refuse_duplicates("fields.csv", rows, ("table", "column"))
    return rows


def read(path: Path, columns: list[str]) -> list[dict[str, str]]:
    """Rows of `path`, cut down to `columns`, in file order."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                sys.exit(f"{path}: no column {', '.join(missing)}")
            return [{name: row[name].strip() for name in columns} for row in reader]
    except FileNotFoundError:
        sys.exit(f"{path}: no such file; SHARED_DIR must hold asim/{path.name}")


def refuse_duplicates(name: str, rows: list[dict[str, str]], keys: tuple[str, ...]) -> None:
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        key = tuple(row[part] for part in keys)
        if key in seen:
            sys.exit(f"{name}: {'.'.join(key)} stands there twice")
        seen.add(key)


def refuse_unknown_types(
    name: str, rows: list[dict[str, str]], column: str, known: set[str] | frozenset[str] = frozenset(KQL_TYPES)
) -> None:
    for row in rows:
        if row[column] not in known:
            sys.exit(f"{name}: `{row[column]}` is not a KQL type, in {row}")


def refuse_unknown_classes(name: str, rows: list[dict[str, str]]) -> None:
    for row in rows:
        if row["class"] not in CLASSES:
            sys.exit(f"{name}: `{row['class']}` is not a class, in {row}")


def write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
