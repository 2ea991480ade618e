"""Reads a lake that `lake_python.rs` has written, and fails if anything is not as it should be."""
import sys, datetime, deltalake, duckdb, polars
lake = sys.argv[1]
table = deltalake.DeltaTable(lake + "/Events")

assert table.metadata().partition_columns == ["EventDate"], table.metadata()
assert (table.protocol().min_reader_version, table.protocol().min_writer_version) == (1, 2), table.protocol()
days = [table.file_uris(partition_filters=[("EventDate", "=", day)]) for day in ("2026-11-22", "2026-11-23")]
assert [len(files) for files in days] == [1, 2], days

events = table.to_pyarrow_dataset()
types = duckdb.sql("SELECT " + ", ".join(f'any_value(typeof("{c}")) AS "{c}"' for c in
    ["TimeGenerated", "Flag", "Small", "Large", "Share", "Text", "Extra", "Lasting", "Added", "EventDate"])
    + " FROM events").fetchall()[0]
assert types == ("TIMESTAMP WITH TIME ZONE", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR", "BIGINT",
                 "BIGINT", "DATE"), types
count = lambda where: duckdb.sql("SELECT count(*) FROM events WHERE " + where).fetchall()[0][0]
assert count("true") == 2100
assert count("EventDate = DATE '2026-11-22'") == 1000
assert count("EventDate = CAST(TimeGenerated AT TIME ZONE 'UTC' AS DATE)") == 2100
assert count("Added IS NOT NULL") == 100
assert count("Large = 9223372036854775807") == 3
assert count("Extra = '{\"k\": 1}'") == 1050

# The statistics agree with the rows: filters that skip files by them find the same.
actions = deltalake.DeltaTable(lake + "/Events").get_add_actions(flatten=True)
column = lambda name: actions.column(name).to_pylist() if hasattr(actions, "to_pylist") else actions[name].to_pylist()
assert sum(column("num_records")) == 2100
noon = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)
assert table.to_pyarrow_table(filters=[("TimeGenerated", ">=", noon)]).num_rows == 1100

frame = polars.read_delta(lake + "/Events")
assert frame.height == 2100, frame.height
schema = {name: str(type_) for name, type_ in frame.schema.items()}
assert schema["TimeGenerated"] == "Datetime(time_unit='us', time_zone='UTC')", schema
assert (schema["Large"], schema["Text"], schema["EventDate"]) == ("Int64", "String", "Date"), schema
assert polars.scan_delta(lake + "/Events").filter(polars.col("EventDate") == datetime.date(2026, 11, 22)).collect().height == 1000
assert frame["TimeGenerated"].min() == datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)

# Another writer may append beside us.
deltalake.write_deltalake(lake + "/Events", table.to_pyarrow_table(filters=[("Large", "=", 0)]), mode="append")
assert deltalake.DeltaTable(lake + "/Events").version() == table.version() + 1
print("python read", frame.height, "rows with deltalake", deltalake.__version__, "duckdb", duckdb.__version__,
      "polars", polars.__version__)
