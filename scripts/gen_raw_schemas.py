#!/usr/bin/env python3
"""Writes ingest/schemas/{defender,action_types,streamed}.csv from reference tables.

usage: scripts/gen_raw_schemas.py DEFENDER_DIR

DEFENDER_DIR holds `tables.csv` (the advanced hunting schema: table,column,type), `observed_stream.csv` (which JSON types
the streaming export really carried), `action_types.csv` and `streamable.csv` (which tables the export sends). The output is
committed; run this again when they change. `ingest/schemas/aws.csv` is written by hand.

Rules, in this order:
- A column is `dynamic` if it is one of JSON_COLUMNS (the stream sends JSON in text or natively), or if the stream was
  seen to send objects or arrays for it.
- A column that the hunting reference calls text but of which the stream only ever sent numbers is `long`.
- A column of the stream that the reference lacks takes the type of what was seen, text if only nulls were.
- `guid` becomes `string`: some rows carry other text in such columns.
- Lake tables compare column names without case. Where two names of one table differ only in case, the streamed one is
  the column, and the other is named in `source` as a further key that fills it.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "ingest" / "schemas"

# The stream sends these as text that contains JSON, or natively, depending on the table.
JSON_COLUMNS = {
    "AdditionalFields", "LoggedOnUsers", "IPAddresses", "DnsAddresses", "DefaultGateways", "ConnectedNetworks",
    "CrlDistributionPointUrls", "AttackTechniques", "Categories", "AuthenticationDetails", "UrlChain", "RawEventData",
    "ActivityObjects", "IPTags", "UserAgentTags", "SessionData", "LastSeenForUser", "UncommonForUser",
}  # fmt: skip
# MessageEvents and EmailEvents only; elsewhere these names are plain text.
JSON_COLUMNS_OF = {("EmailEvents", "To"), ("EmailEvents", "Cc"), ("MessageEvents", "RecipientDetails"),
                   ("IdentityInfo", "Tags"), ("IdentityInfo", "SourceProviders")}  # fmt: skip
# What the decoder itself adds to every table of the stream.
ADDED = {"timegenerated", "publishedtime", "timereceivedbysvc", "unknowncolumns", "tenantid"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stream_type(table: str, column: str, documented: str, seen: set[str]) -> str:
    """The type of a column, by the rules above."""
    if column in JSON_COLUMNS or (table, column) in JSON_COLUMNS_OF or seen & {"object", "array"}:
        return "dynamic"
    if documented == "guid":
        return "string"
    if documented == "string" and seen == {"int"}:
        return "long"
    if documented == "long" and seen == {"string"}:
        return "string"
    if documented:
        return documented
    if seen == {"int"}:
        return "long"
    if "bool" in seen or column.startswith("Is"):
        return "bool"
    return "string"


def main() -> None:
    shared = Path(sys.argv[1])
    seen = {}
    for row in rows(shared / "observed_stream.csv"):
        kinds = set(row["json_types_seen"].split("|")) - {"", "never-seen"}
        # A key in no record at all tells nothing about the stream.
        if row["json_types_seen"] != "never-seen":
            seen[row["table"], row["column"]] = kinds

    columns: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows(shared / "tables.csv"):
        key = row["table"], row["column"]
        columns[row["table"]][row["column"]] = stream_type(*key, row["type"], seen.get(key, set()))
    for (table, column), kinds in seen.items():
        columns[table].setdefault(column, stream_type(table, column, "", kinds))

    OUT.mkdir(exist_ok=True)
    with (OUT / "defender.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["table", "column", "type", "source"])
        for table in sorted(columns):
            by_fold = defaultdict(list)
            for column in columns[table]:
                by_fold[column.lower()].append(column)
            for fold, names in by_fold.items():
                if fold in ADDED and fold != "tenantid":
                    continue
                names.sort(key=lambda name: ((table, name) not in seen, not seen.get((table, name))))
                name = names[0]
                out.writerow([table, name, columns[table][name], "|".join(names[1:])])

    known = [row for row in rows(shared / "action_types.csv") if row["table"] in columns]
    with (OUT / "action_types.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["action_type", "table"])
        out.writerows(sorted({(row["action_type"], row["table"]) for row in known}))

    streamed = [row["table"] for row in rows(shared / "streamable.csv") if row["streaming_api"] == "yes"]
    (OUT / "streamed.csv").write_text("\n".join(["table", *sorted(streamed)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
