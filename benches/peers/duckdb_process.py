#!/usr/bin/env python3
"""The same work in DuckDB: DeviceProcessEvents JSON Lines → ASimProcessEventLogs → one zstd-1 Parquet file.

    duckdb_process.py --in FILE --out FILE [--mapping full|columns] [--threads N]

`full` is normalize/families/microsoft/defender-xdr/DeviceProcessEvents.yaml, column by column, with what has no column
packed into AdditionalFields. `columns` leaves the packing out (AdditionalFields as it came), which is what a person
who only wants the columns would write. Prints one JSON object: seconds of the COPY alone, without Python's start.
"""

import argparse
import json
import time

import duckdb

TEXT = """
    Timestamp DeviceId DeviceName ActionType FileName FolderPath SHA1 SHA256 MD5
    ProcessVersionInfoCompanyName ProcessVersionInfoProductName ProcessVersionInfoProductVersion
    ProcessVersionInfoInternalFileName ProcessVersionInfoOriginalFileName ProcessVersionInfoFileDescription
    ProcessCommandLine ProcessIntegrityLevel ProcessTokenElevation ProcessCreationTime
    AccountDomain AccountName AccountSid AccountUpn AccountObjectId
    InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid
    InitiatingProcessAccountUpn InitiatingProcessAccountObjectId
    InitiatingProcessIntegrityLevel InitiatingProcessTokenElevation
    InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5 InitiatingProcessFileName
    InitiatingProcessVersionInfoCompanyName InitiatingProcessVersionInfoProductName
    InitiatingProcessVersionInfoProductVersion InitiatingProcessVersionInfoInternalFileName
    InitiatingProcessVersionInfoOriginalFileName InitiatingProcessVersionInfoFileDescription
    InitiatingProcessCommandLine InitiatingProcessCreationTime InitiatingProcessFolderPath
    InitiatingProcessParentFileName InitiatingProcessParentCreationTime
    InitiatingProcessSignerType InitiatingProcessSignatureStatus
    AppGuardContainerId AdditionalFields MachineGroup
    InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP
    ProcessRemoteSessionDeviceName ProcessRemoteSessionIP ProcessUniqueId InitiatingProcessUniqueId
""".split()
NUMBERS = """
    FileSize ProcessId LogonId InitiatingProcessLogonId InitiatingProcessFileSize InitiatingProcessId
    InitiatingProcessParentId ReportId InitiatingProcessSessionId CreatedProcessSessionId
""".split()
FLAGS = ["IsInitiatingProcessRemoteSession", "IsProcessRemoteSession"]


def is_filled(text):
    return f"coalesce({text}, '') <> ''"


def instant(text):
    return f"try_cast(p.{text} as timestamp)"


def kql_text(instant_sql):
    """A time as KQL prints it, with seven decimals."""
    return f"strftime({instant_sql}, '%Y-%m-%dT%H:%M:%S.%f') || '0Z'"


def username_type(prefix):
    domain, name, upn = f"p.{prefix}AccountDomain", f"p.{prefix}AccountName", f"p.{prefix}AccountUpn"
    return f"""case when {is_filled(upn)} then 'UPN' when not ({is_filled(name)}) then null
        when contains({name}, '@') then 'UPN' when {is_filled(domain)} then 'Windows' else 'Simple' end"""


def username(prefix, kind):
    domain, name, upn = f"p.{prefix}AccountDomain", f"p.{prefix}AccountName", f"p.{prefix}AccountUpn"
    return f"""case {kind} when 'UPN' then coalesce(nullif({upn}, ''), {name})
        when 'Windows' then {domain} || '\\' || {name} else {name} end"""


def user_type(prefix):
    domain, name, sid = (f"coalesce(p.{prefix}Account{part}, '')" for part in ("Domain", "Name", "Sid"))
    return f"""case
        when {sid} = 'S-1-5-18' or (lower({domain}) = 'nt authority' and lower({name}) = 'system') then 'System'
        when starts_with({sid}, 'S-1-5-90-0-') or starts_with({sid}, 'S-1-5-96-0-') then 'System'
        when {sid} in ('S-1-5-19', 'S-1-5-20') or lower({name}) in ('local service', 'network service') then 'Service'
        when starts_with({sid}, 'S-1-5-80-') or starts_with({sid}, 'S-1-5-82-') then 'Service'
        when {sid} = 'S-1-5-7' then 'Anonymous'
        when ends_with({name}, '$') then 'Machine'
        when starts_with({sid}, 'S-1-5-21-') and ends_with({sid}, '-500') then 'Admin'
        when starts_with({sid}, 'S-1-5-21-') and ends_with({sid}, '-501') then 'Guest'
        when {name} = 'root' and not starts_with({sid}, 'S-1-5-21-') then 'Admin'
        when {name} <> '' then 'Regular' end"""


def whole_path(folder, file):
    folder, file = f"coalesce({folder}, '')", f"coalesce({file}, '')"
    return f"""case when {folder} = '' then {file} when ends_with(lower({folder}), lower({file})) then {folder}
        when ends_with({folder}, '\\') or ends_with({folder}, '/') then {folder} || {file}
        when starts_with({folder}, '/') then {folder} || '/' || {file} else {folder} || '\\' || {file} end"""


def image(target, source):
    """Hashes, size and version information of an executable."""
    names = {
        "MD5": f"{source}MD5",
        "SHA1": f"{source}SHA1",
        "SHA256": f"{source}SHA256",
        "FileSize": f"{source}FileSize",
        "FileCompany": f"{source or ''}VersionInfoCompanyName",
        "FileProduct": f"{source or ''}VersionInfoProductName",
        "FileVersion": f"{source or ''}VersionInfoProductVersion",
        "FileInternalName": f"{source or ''}VersionInfoInternalFileName",
        "FileOriginalName": f"{source or ''}VersionInfoOriginalFileName",
        "FileDescription": f"{source or ''}VersionInfoFileDescription",
    }
    if not source:
        names = {k: v.replace("VersionInfo", "ProcessVersionInfo") for k, v in names.items()}
    return {target + name: f"p.{column}" for name, column in names.items()}


def packed_fields():
    """What has no column of its own: name and value, nulls and empty texts left out."""
    plain = """
        MachineGroup AppGuardContainerId InitiatingProcessSignerType InitiatingProcessSignatureStatus
        InitiatingProcessUniqueId InitiatingProcessSessionId IsInitiatingProcessRemoteSession
        InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP ProcessUniqueId
        CreatedProcessSessionId IsProcessRemoteSession ProcessRemoteSessionDeviceName ProcessRemoteSessionIP
    """.split()
    fields = {"TenantId": "tenantId"}
    for name in plain:
        fields[name] = f"nullif(p.{name}, '')" if name in TEXT else f"p.{name}"
    for prefix, kind, sid in (
        ("InitiatingProcess", "ActorUsernameType", "InitiatingProcessAccountSid"),
        ("", "TargetUsernameType", "AccountSid"),
    ):
        fields[f"{prefix}AccountName"] = f"case when {kind} = 'UPN' then nullif(p.{prefix}AccountName, '') end"
        fields[f"{prefix}AccountDomain"] = (
            f"case when {kind} is distinct from 'Windows' then nullif(p.{prefix}AccountDomain, '') end"
        )
        fields[f"{prefix}AccountObjectId"] = (
            f"case when {is_filled('p.' + sid)} then nullif(p.{prefix}AccountObjectId, '') end"
        )
    fields["TimeReceivedBySvc"] = kql_text('try_cast("_TimeReceivedBySvc" as timestamp)')
    fields["PublishedTime"] = kql_text('try_cast("time" as timestamp)')
    pairs = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    # Merging onto an empty object drops the nulls; the event's own fields come last and win nothing: names differ.
    return f"json_merge_patch(json_merge_patch('{{}}'::json, json_object({pairs})), p.AdditionalFields::json)::varchar"


def columns(mapping):
    """Name and SQL of each output column, in the mapping's order."""
    happened = instant("Timestamp")
    dot = "instr(p.DeviceName, '.')"
    return {
        "TimeGenerated": happened,
        "EventVendor": "'Microsoft'",
        "EventProduct": "'M365 Defender for Endpoint'",
        "EventSchemaVersion": "'1.0.0'",
        "EventType": "'ProcessCreated'",
        "EventResult": "'Success'",
        "EventSeverity": "'Informational'",
        "EventCount": "coalesce(try_cast(json_extract_string(p.AdditionalFields, '$.uniqueEventsAggregated') as int), 1)",
        "EventStartTime": happened,
        "EventEndTime": happened,
        "EventOriginalType": "p.ActionType",
        "EventOriginalUid": f"p.DeviceId || ':' || p.ReportId || ':' || {kql_text(happened)}",
        "DvcId": "p.DeviceId",
        "DvcIdType": f"case when {is_filled('p.DeviceId')} then 'MDEid' end",
        "DvcHostname": f"case when {dot} > 1 then substr(p.DeviceName, 1, {dot} - 1) else p.DeviceName end",
        "DvcDomain": f"case when {dot} > 1 then substr(p.DeviceName, {dot} + 1) end",
        "DvcDomainType": f"case when {dot} > 1 then 'FQDN' end",
        "DvcFQDN": f"case when {dot} > 1 then p.DeviceName end",
        "ActorUserId": "coalesce(nullif(p.InitiatingProcessAccountSid, ''), p.InitiatingProcessAccountObjectId)",
        "ActorUserIdType": f"""case when {is_filled('p.InitiatingProcessAccountSid')} then 'SID'
            when {is_filled('p.InitiatingProcessAccountObjectId')} then 'AADID' end""",
        "ActorUsername": username("InitiatingProcess", "ActorUsernameType"),
        "ActorUsernameType": "ActorUsernameType",
        "ActorUserType": user_type("InitiatingProcess"),
        "ActorSessionId": "p.InitiatingProcessLogonId::varchar",
        "ActingProcessId": f"""case when p.InitiatingProcessId = 0 and not ({is_filled('p.InitiatingProcessFileName')})
            then null else p.InitiatingProcessId::varchar end""",
        "ActingProcessName": whole_path("p.InitiatingProcessFolderPath", "p.InitiatingProcessFileName"),
        "ActingProcessFilename": "p.InitiatingProcessFileName",
        "ActingProcessCommandLine": "p.InitiatingProcessCommandLine",
        "ActingProcessCreationTime": instant("InitiatingProcessCreationTime"),
        "ActingProcessIntegrityLevel": "p.InitiatingProcessIntegrityLevel",
        "ActingProcessTokenElevation": "p.InitiatingProcessTokenElevation",
        **image("ActingProcess", "InitiatingProcess"),
        "ParentProcessId": f"""case when p.InitiatingProcessParentId = 0
            and not ({is_filled('p.InitiatingProcessParentFileName')}) then null
            else p.InitiatingProcessParentId::varchar end""",
        "ParentProcessName": "p.InitiatingProcessParentFileName",
        "ParentProcessCreationTime": instant("InitiatingProcessParentCreationTime"),
        "TargetUserId": "coalesce(nullif(p.AccountSid, ''), p.AccountObjectId)",
        "TargetUserIdType": f"""case when {is_filled('p.AccountSid')} then 'SID'
            when {is_filled('p.AccountObjectId')} then 'AADID' end""",
        "TargetUsername": username("", "TargetUsernameType"),
        "TargetUsernameType": "TargetUsernameType",
        "TargetUserType": user_type(""),
        "TargetUserSessionId": "p.LogonId::varchar",
        "TargetProcessId": "p.ProcessId::varchar",
        "TargetProcessName": whole_path("p.FolderPath", "p.FileName"),
        "TargetProcessFilename": "p.FileName",
        "TargetProcessCommandLine": "p.ProcessCommandLine",
        "TargetProcessCreationTime": instant("ProcessCreationTime"),
        "TargetProcessIntegrityLevel": "p.ProcessIntegrityLevel",
        "TargetProcessTokenElevation": "p.ProcessTokenElevation",
        "TargetProcessCurrentDirectory": "json_extract_string(p.AdditionalFields, '$.ProcessCurrentWorkingDirectory')",
        **image("TargetProcess", ""),
        "AdditionalFields": packed_fields() if mapping == "full" else "p.AdditionalFields",
    }


def query(source, mapping):
    members = [(name, "VARCHAR") for name in TEXT]
    members += [(name, "BIGINT") for name in NUMBERS] + [(name, "BOOLEAN") for name in FLAGS]
    properties = "STRUCT(" + ", ".join(f'"{name}" {kind}' for name, kind in members) + ")"
    output = ",\n".join(f'{sql} as "{name}"' for name, sql in columns(mapping).items())
    path = source.replace("'", "''")
    return f"""
        select {output}
        from (
            select *, {username_type("InitiatingProcess")} as ActorUsernameType,
                {username_type("")} as TargetUsernameType
            from (
                select "time", "tenantId", "_TimeReceivedBySvc", properties as p
                from read_json('{path}', format = 'newline_delimited', columns = {{
                    "time": 'VARCHAR', "tenantId": 'VARCHAR', "category": 'VARCHAR', "_TimeReceivedBySvc": 'VARCHAR',
                    "properties": '{properties}'
                }})
                where category = 'AdvancedHunting-DeviceProcessEvents'
            )
            where lower(p.ActionType) in ('processcreated', 'processcreatedaggregatedreport')
        )"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--in", dest="source", required=True)
    arguments.add_argument("--out", required=True)
    arguments.add_argument("--mapping", choices=["full", "columns"], default="full")
    arguments.add_argument("--threads", type=int)
    options = arguments.parse_args()

    connection = duckdb.connect()
    if options.threads:
        connection.execute(f"set threads = {options.threads}")
    target = options.out.replace("'", "''")
    # Row order is of no use to the lake; not keeping it is faster for DuckDB.
    connection.execute("set preserve_insertion_order = false")
    sql = query(options.source, options.mapping)
    started = time.perf_counter()
    connection.execute(
        f"copy ({sql}) to '{target}' (format parquet, compression zstd, compression_level 1, row_group_size 122880)"
    )
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "duckdb": duckdb.__version__}))


if __name__ == "__main__":
    main()
