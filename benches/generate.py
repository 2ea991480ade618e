#!/usr/bin/env python3
"""Writes DeviceProcessEvents as Defender streams them: one record per line, about 3.3 kB each.

The same seed and count give the same bytes. Names, hosts and addresses are reserved or made up. The mix follows what
real streams show: few devices and programs make most events, some accounts are local or built in, some hashes and
names are missing, one event in a hundred is an aggregated report.

    generate.py --events 200000 --seed 1 --out FILE
"""

import argparse
import datetime
import hashlib
import json
import os
import random
import uuid

TENANT = "aaaaaaaa-0000-4000-8000-000000000001"
START = datetime.datetime(2026, 11, 20, 6, 0, 0)
# Time between two events; 200,000 of them stay within one day.
STEP_MICROSECONDS = 250_000

WINDOWS_PROGRAMS = [
    # name, folder, company, product, description
    ("svchost.exe", r"C:\Windows\System32", "Microsoft Corporation", "Microsoft® Windows® Operating System", "Host Process for Windows Services"),
    ("conhost.exe", r"C:\Windows\System32", "Microsoft Corporation", "Microsoft® Windows® Operating System", "Console Window Host"),
    ("cmd.exe", r"C:\Windows\System32", "Microsoft Corporation", "Microsoft® Windows® Operating System", "Windows Command Processor"),
    ("powershell.exe", r"C:\Windows\System32\WindowsPowerShell\v1.0", "Microsoft Corporation", "Microsoft® Windows® Operating System", "Windows PowerShell"),
    ("explorer.exe", r"C:\Windows", "Microsoft Corporation", "Microsoft® Windows® Operating System", "Windows Explorer"),
    ("browser.exe", r"C:\Program Files\Fabrikam\Browser\Application", "Fabrikam", "Fabrikam Browser", "Fabrikam Browser"),
    ("mail.exe", r"C:\Program Files\Contoso\Office", "Contoso", "Contoso Office", "Contoso Mail"),
    ("git.exe", r"C:\Program Files\Tailspin\Git\cmd", "Tailspin", "Tailspin Git", "Version control"),
    ("agent.exe", r"C:\ProgramData\Northwind\Agent", "Northwind Traders", "Northwind Agent", "Inventory agent"),
    ("build.exe", r"D:\work\tools\bin", None, None, None),
]
LINUX_PROGRAMS = [
    ("bash", "/usr/bin", None, None, None),
    ("cron", "/usr/sbin", None, None, None),
    ("python3.11", "/usr/bin", None, None, None),
    ("curl", "/usr/bin", None, None, None),
]
BUILT_IN_ACCOUNTS = [
    ("nt authority", "system", "S-1-5-18"),
    ("nt authority", "network service", "S-1-5-20"),
    ("nt authority", "local service", "S-1-5-19"),
    ("window manager", "dwm-1", "S-1-5-90-0-1"),
]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--events", type=int, default=200_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", required=True)
    options = arguments.parse_args()

    world = World(random.Random(options.seed))
    partial = options.out + ".partial"
    encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    with open(partial, "w", encoding="utf-8", newline="\n", buffering=1 << 20) as out:
        for number in range(options.events):
            out.write(encode(world.event(number)))
            out.write("\n")
    os.replace(partial, options.out)


class World:
    """Devices, accounts and programs, and the dice that pick among them."""

    def __init__(self, dice):
        self.dice = dice
        self.windows = [self.program(p, i, True) for i, p in enumerate(WINDOWS_PROGRAMS * 40)]
        self.linux = [self.program(p, i, False) for i, p in enumerate(LINUX_PROGRAMS * 20)]
        self.devices = [self.device(i) for i in range(4000)]
        self.accounts = [self.account(i) for i in range(2500)]

    def hexadecimal(self, digits):
        return f"{self.dice.getrandbits(4 * digits):0{digits}x}"

    def skewed(self, items):
        """Picks with a strong liking for the first items."""
        return items[int(len(items) * self.dice.random() ** 3)]

    def program(self, program, number, is_windows):
        name, folder, company, product, description = program
        path = folder + ("\\" if is_windows else "/") + name
        content = hashlib.sha256(f"{path} {number}".encode())
        version = f"{10 + number % 7}.{number % 10}.{19041 + number}.1" if company else None
        return {
            "name": name,
            "path": path,
            "size": 20_000 + self.dice.randrange(9_000_000),
            "sha256": content.hexdigest(),
            "sha1": hashlib.sha1(content.digest()).hexdigest(),
            "md5": hashlib.md5(content.digest()).hexdigest(),
            "info": (company, product, version, company and name.upper(), company and name, description),
            "is_windows": is_windows,
        }

    def device(self, number):
        kind = self.dice.random()
        name = f"wks-{number:05}" if kind < 0.8 else f"srv-{number:05}"
        if kind > 0.05:
            name += ".corp.contoso.example"
        return {"id": self.hexadecimal(40), "name": name, "is_windows": kind < 0.92, "group": self.dice.choice(["Workstations", "Servers", "UnassignedGroup"])}

    def account(self, number):
        kind = self.dice.random()
        domain_sid = "S-1-5-21-1000000001-1000000002-1000000003"
        if kind < 0.25:
            domain, name, sid = self.dice.choice(BUILT_IN_ACCOUNTS)
            return (domain, name, sid, None, None)
        if kind < 0.32:
            return (f"wks-{number:05}", "administrator", f"S-1-5-21-{number + 2000000000}-7-7-500", None, None)
        name = f"user{number:04}"
        upn = f"{name}@contoso.example" if kind < 0.95 else None
        return ("contoso", name, f"{domain_sid}-{1100 + number}", upn, self.guid())

    def guid(self):
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def command_line(self, program):
        dice = self.dice
        kind = dice.random()
        quoted = f'"{program["path"]}"'
        if kind < 0.45:
            return f"{quoted} --type=renderer --field-trial-handle={dice.getrandbits(20)},{dice.getrandbits(30)},{dice.getrandbits(30)} --lang=en-US --enable-features={self.hexadecimal(32)} /prefetch:{dice.randrange(1, 9)}"
        if kind < 0.75:
            return f"{quoted} -k netsvcs -p -s Service{dice.randrange(60)}"
        if kind < 0.9:
            return f'{program["name"]} /c "cd /d D:\\work\\{dice.randrange(500)} && build.exe --jobs {dice.randrange(1, 16)} --target {self.hexadecimal(12)}"'
        return program["name"]

    def timestamp(self, microseconds):
        time = START + datetime.timedelta(microseconds=microseconds)
        return f"{time:%Y-%m-%dT%H:%M:%S.%f}{self.dice.randrange(10)}Z"

    def event(self, number):
        dice = self.dice
        at = number * STEP_MICROSECONDS + dice.randrange(STEP_MICROSECONDS)
        device = self.skewed(self.devices)
        programs = self.windows if device["is_windows"] else self.linux
        target, acting, parent = self.skewed(programs), self.skewed(programs), self.skewed(programs)
        user = self.skewed(self.accounts)
        actor = user if dice.random() < 0.8 else self.skewed(self.accounts)
        is_aggregated = dice.random() < 0.01
        has_sha256 = dice.random() < 0.97
        more = {"ProcessFlags": dice.randrange(9)} if device["is_windows"] else {"ProcessPosixProcessGroupId": dice.randrange(99999)}
        if dice.random() < 0.3:
            more["InitiatingProcessCurrentWorkingDirectory"] = acting["path"]
        if is_aggregated:
            more["uniqueEventsAggregated"] = dice.randrange(2, 200)
        properties = {
            "Timestamp": self.timestamp(at),
            "DeviceId": device["id"],
            "DeviceName": device["name"],
            "ActionType": "ProcessCreatedAggregatedReport" if is_aggregated else "ProcessCreated",
            "FileName": target["name"],
            "FolderPath": target["path"],
            "SHA1": target["sha1"],
            "SHA256": target["sha256"] if has_sha256 else None,
            "MD5": target["md5"],
            "FileSize": target["size"],
            **version_info("ProcessVersionInfo", target),
            "ProcessId": dice.randrange(4, 65536, 4),
            "ProcessCommandLine": self.command_line(target),
            "ProcessIntegrityLevel": dice.choice(("Medium", "High", "System")),
            "ProcessTokenElevation": "TokenElevationTypeDefault",
            "ProcessCreationTime": self.timestamp(at - dice.randrange(1_000_000)),
            **account("", user),
            "LogonId": dice.getrandbits(30),
            **account("InitiatingProcess", actor),
            "InitiatingProcessLogonId": dice.getrandbits(30),
            "InitiatingProcessIntegrityLevel": "Medium",
            "InitiatingProcessTokenElevation": "TokenElevationTypeLimited",
            "InitiatingProcessSHA1": acting["sha1"],
            "InitiatingProcessSHA256": acting["sha256"],
            "InitiatingProcessMD5": acting["md5"],
            "InitiatingProcessFileName": acting["name"],
            "InitiatingProcessFileSize": acting["size"],
            **version_info("InitiatingProcessVersionInfo", acting),
            "InitiatingProcessId": dice.randrange(4, 65536, 4),
            "InitiatingProcessCommandLine": self.command_line(acting),
            "InitiatingProcessCreationTime": self.timestamp(at - dice.randrange(3_600_000_000)),
            "InitiatingProcessFolderPath": acting["path"].lower(),
            "InitiatingProcessParentId": dice.randrange(4, 65536, 4),
            "InitiatingProcessParentFileName": parent["name"],
            "InitiatingProcessParentCreationTime": self.timestamp(at - dice.randrange(90_000_000_000)),
            "InitiatingProcessSignerType": "OsVendor" if acting["is_windows"] else "Unknown",
            "InitiatingProcessSignatureStatus": "Valid" if acting["is_windows"] else "Unknown",
            "ReportId": 1 + number,
            "AppGuardContainerId": "",
            "AdditionalFields": json.dumps(more, separators=(",", ":")),
            "InitiatingProcessSessionId": dice.randrange(3),
            "IsInitiatingProcessRemoteSession": False,
            "InitiatingProcessRemoteSessionDeviceName": None,
            "InitiatingProcessRemoteSessionIP": None,
            "CreatedProcessSessionId": dice.randrange(3),
            "IsProcessRemoteSession": False,
            "ProcessRemoteSessionDeviceName": None,
            "ProcessRemoteSessionIP": None,
            "ProcessUniqueId": str(2251799813685248 + number),
            "InitiatingProcessUniqueId": str(2251799813685248 + dice.getrandbits(20)),
            "MachineGroup": device["group"],
        }
        return {
            "time": self.timestamp(at + 130_000_000),
            "tenantId": TENANT,
            "operationName": "Publish",
            "category": "AdvancedHunting-DeviceProcessEvents",
            "_TimeReceivedBySvc": self.timestamp(at + 45_000_000),
            "properties": properties,
            "Tenant": "DefaultTenant",
        }


def account(prefix, parts):
    domain, name, sid, upn, object_id = parts
    return {
        f"{prefix}AccountDomain": domain,
        f"{prefix}AccountName": name,
        f"{prefix}AccountSid": sid,
        f"{prefix}AccountUpn": upn,
        f"{prefix}AccountObjectId": object_id,
    }


def version_info(prefix, program):
    names = ("CompanyName", "ProductName", "ProductVersion", "InternalFileName", "OriginalFileName", "FileDescription")
    return {prefix + name: value for name, value in zip(names, program["info"])}


if __name__ == "__main__":
    main()
