#!/usr/bin/env python3
"""Makes the files of this folder. Standard library only; the same input gives the same bytes.

    python3 generate.py                     writes the parts that are ours
    python3 generate.py --otrf DIR          also rebuilds the recorded part from a checkout of
                                            OTRF/Security-Datasets (DIR holds datasets/)

README.md beside this file says what each file is and what happens in it.
"""

import argparse
import base64
import gzip
import hashlib
import io
import json
import pathlib
import random
import zipfile
from datetime import datetime, timedelta, timezone

LOGS = pathlib.Path(__file__).resolve().parent / "logs"
UTC = timezone.utc
DOMAIN = "PANDALAB"
SUFFIX = ".pandalab.com"
DOMAIN_SID = "S-1-5-21-1939123204-1418869057-2368897034"
DAYS = [datetime(2023, 8, day, tzinfo=UTC) for day in (15, 16, 17, 18)]
END = datetime(2023, 8, 18, 16, 9, tzinfo=UTC)

ADDRESS = {
    "DC01": "192.168.1.4", "SCCM01": "192.168.1.10", "BKP01": "192.168.1.11", "FS01": "192.168.1.12",
    "WEB01": "192.168.1.20", "JUMP01": "192.168.1.21", "SCAN01": "192.168.1.30", "PRD01": "192.168.1.42",
    "FIN02": "192.168.1.51", "HR01": "192.168.1.52", "IT02": "192.168.1.53", "ENG04": "192.168.1.54",
}
USER_OF = {"FIN02": "marta.lopez", "HR01": "jonas.meyer", "IT02": "lukas.brandt", "ENG04": "priya.nair"}
RID = {"marta.lopez": 1131, "jonas.meyer": 1132, "lukas.brandt": 1118, "priya.nair": 1137, "anna.keller": 1109,
       "svc_backup": 1120, "tom.weber": 1142, "pedro.gustavo": 1105}

rng = random.Random(20230818)


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def sysmon_time(time):
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03d}"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest().upper()


def guid(*parts):
    digest = hashlib.md5("|".join(map(str, parts)).encode()).hexdigest()
    return "{%s-%s-%s-%s-%s}" % (digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])


def sid(user):
    return f"{DOMAIN_SID}-{RID[user]}"


# --- Windows events, in the shape of the recorded ones ------------------------------------------------------

SYSMON = ("Microsoft-Windows-Sysmon", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}", "Microsoft-Windows-Sysmon/Operational")
SECURITY = ("Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-a5ba-3e3b0328c30d}", "Security")
SCM = ("Service Control Manager", "{555908d1-a6d7-4695-8e1e-26931d2012f4}", "System")
POWERSHELL = ("Microsoft-Windows-PowerShell", "{a0c1853b-5c40-4b15-8766-3cf1c58f985a}",
              "Microsoft-Windows-PowerShell/Operational")
VSS = ("VSS", "", "Application")

windows = []


def event(provider, time, host, event_id, title, level="0", **data):
    source, provider_guid, channel = provider
    lines = [title] + [f"{key}: {value}" for key, value in data.items()]
    record = {
        "SourceName": source, "ProviderGuid": provider_guid, "Level": level,
        "Keywords": "0x8020000000000000", "Channel": channel, "Hostname": host + SUFFIX,
        "TimeCreated": stamp(time), "@timestamp": stamp(time), "EventID": event_id,
        "Message": "\r\n".join(lines), "Task": str(event_id),
    }
    record.update(data)
    windows.append((time, len(windows), record))


PUBLISHER = {
    "ccmexec.exe": ("Host Process for Microsoft Configuration Manager", "Microsoft Endpoint Configuration Manager",
                    "Microsoft Corporation"),
    "hbagent.exe": ("Harbor Backup Agent", "Harbor Backup", "Harbor Data Protection"),
    "chrome.exe": ("Google Chrome", "Google Chrome", "Google LLC"),
}


class Process:
    """A running process: what later events need to point back to it."""

    def __init__(self, host, time, image, command_line, user, parent=None, quiet=False, integrity="Medium"):
        self.host, self.image, self.command_line, self.user = host, image, command_line, user
        self.pid = str(rng.randrange(1000, 15000, 4))
        self.guid = guid(host, time, image, self.pid)
        if not quiet:
            self.log(time, parent, integrity)

    def log(self, time, parent, integrity):
        name = self.image.rsplit("\\", 1)[-1]
        description, product, company = PUBLISHER.get(
            name.lower(), (name, "Microsoft\u00ae Windows\u00ae Operating System", "Microsoft Corporation"))
        digest = sha256(self.image.lower())
        event(SYSMON, time, self.host, 1, "Process Create:", "4", RuleName="-", UtcTime=sysmon_time(time),
              ProcessGuid=self.guid, ProcessId=self.pid, Image=self.image, FileVersion="10.0.19041.1",
              Description=description, Product=product, Company=company, OriginalFileName=name,
              CommandLine=self.command_line, CurrentDirectory="C:\\Windows\\system32\\", User=self.user,
              LogonGuid=guid(self.host, self.user), LogonId="0x3e7" if "SYSTEM" in self.user else "0x20810b",
              TerminalSessionId="0" if integrity == "System" else "1", IntegrityLevel=integrity,
              Hashes=f"SHA1={digest[:40]},MD5={digest[8:40]},SHA256={digest},IMPHASH={digest[20:52]}",
              ParentProcessGuid=parent.guid, ParentProcessId=parent.pid, ParentImage=parent.image,
              ParentCommandLine=parent.command_line, ParentUser=parent.user)
        domain, _, account = self.user.partition("\\")
        event(SECURITY, time, self.host, 4688, "A new process has been created.",
              SubjectUserSid="S-1-5-18" if "SYSTEM" in self.user else sid(account),
              SubjectUserName=f"{self.host}$" if "SYSTEM" in self.user else account, SubjectDomainName=DOMAIN,
              SubjectLogonId="0x3e7", NewProcessId=hex(int(self.pid)), NewProcessName=self.image,
              TokenElevationType="%%1936", ProcessId=hex(int(parent.pid)), CommandLine=self.command_line,
              TargetUserSid="S-1-0-0", TargetUserName="-", TargetDomainName="-", TargetLogonId="0x0",
              ParentProcessName=parent.image, MandatoryLabel="S-1-16-8192")

    def ended(self, time):
        event(SYSMON, time, self.host, 5, "Process terminated:", "4", RuleName="-", UtcTime=sysmon_time(time),
              ProcessGuid=self.guid, ProcessId=self.pid, Image=self.image, User=self.user)

    def connected(self, time, address, port):
        event(SYSMON, time, self.host, 3, "Network connection detected:", "4", RuleName="-",
              UtcTime=sysmon_time(time), ProcessGuid=self.guid, ProcessId=self.pid, Image=self.image,
              User=self.user, Protocol="tcp", Initiated="true", SourceIsIpv6="false",
              SourceIp=ADDRESS[self.host], SourceHostname="-", SourcePort=str(rng.randrange(49152, 65535)),
              SourcePortName="-", DestinationIsIpv6="false", DestinationIp=address, DestinationHostname="-",
              DestinationPort=str(port), DestinationPortName="-")

    def wrote(self, time, path):
        event(SYSMON, time, self.host, 11, "File created:", "4", RuleName="-", UtcTime=sysmon_time(time),
              ProcessGuid=self.guid, ProcessId=self.pid, Image=self.image, TargetFilename=path,
              CreationUtcTime=sysmon_time(time), User=self.user)

    def asked(self, time, name, answer):
        event(SYSMON, time, self.host, 22, "Dns query:", "4", RuleName="-", UtcTime=sysmon_time(time),
              ProcessGuid=self.guid, ProcessId=self.pid, QueryName=name, QueryStatus="0",
              QueryResults=f"::ffff:{answer};", Image=self.image, User=self.user)


def logon(time, host, user, logon_type, address="-", process="C:\\Windows\\System32\\svchost.exe", workstation="-"):
    event(SECURITY, time, host, 4624, "An account was successfully logged on.", SubjectUserSid="S-1-5-18",
          SubjectUserName=f"{host}$", SubjectDomainName=DOMAIN, SubjectLogonId="0x3e7", TargetUserSid=sid(user),
          TargetUserName=user, TargetDomainName=DOMAIN, TargetLogonId=hex(rng.randrange(1 << 20, 1 << 24)),
          LogonType=str(logon_type), LogonProcessName="User32 " if logon_type in (2, 7, 10) else "Kerberos",
          AuthenticationPackageName="Negotiate" if logon_type in (2, 7, 10) else "Kerberos",
          WorkstationName=workstation, LogonGuid=guid(user, time), ProcessName=process, IpAddress=address,
          IpPort="0", ElevatedToken="%%1843")


def failed_logon(time, host, user, logon_type, address, workstation):
    event(SECURITY, time, host, 4625, "An account failed to log on.", SubjectUserSid="S-1-5-18",
          SubjectUserName=f"{host}$", SubjectDomainName=DOMAIN, SubjectLogonId="0x3e7", TargetUserSid="S-1-0-0",
          TargetUserName=user, TargetDomainName=DOMAIN, Status="0xc000006d", FailureReason="%%2313",
          SubStatus="0xc000006a", LogonType=str(logon_type), LogonProcessName="User32 ",
          AuthenticationPackageName="Negotiate", WorkstationName=workstation, ProcessId="0x2f4",
          ProcessName="C:\\Windows\\System32\\svchost.exe", IpAddress=address, IpPort="0")


SYSTEM = "NT AUTHORITY\\SYSTEM"
POWERSHELL_EXE = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
INVENTORY = ("$o = 'C:\\Windows\\CCM\\Inventory\\hotfix.csv'; Get-CimInstance -ClassName Win32_QuickFixEngineering "
             "| Select-Object HotFixID,InstalledOn | Sort-Object HotFixID "
             "| Export-Csv -NoTypeInformation -Path $o; exit 0")


def software_inventory():
    """Configuration Manager runs an encoded inventory command on its clients, every twelve hours."""
    encoded = base64.b64encode(INVENTORY.encode("utf-16le")).decode()
    command = f'"{POWERSHELL_EXE}" -NoLogo -NonInteractive -NoProfile -ExecutionPolicy AllSigned -EncodedCommand {encoded}'
    for host, offset in (("FIN02", 95), ("HR01", 148)):
        services = Process(host, DAYS[0], "C:\\Windows\\System32\\services.exe", "C:\\Windows\\system32\\services.exe",
                           SYSTEM, quiet=True)
        agent = Process(host, DAYS[0] + timedelta(minutes=3), "C:\\Windows\\CCM\\CcmExec.exe",
                        "C:\\Windows\\CCM\\CcmExec.exe", SYSTEM, services, integrity="System")
        for day in DAYS:
            for hour in (3, 15):
                time = day + timedelta(hours=hour, minutes=56, seconds=offset + rng.uniform(-30, 30))
                agent.asked(time, "sccm01.pandalab.com", ADDRESS["SCCM01"])
                agent.connected(time + timedelta(seconds=0.4), ADDRESS["SCCM01"], 443)
                agent.wrote(time + timedelta(seconds=1.1), "C:\\Windows\\CCM\\Logs\\InventoryAgent.log")
                start = time + timedelta(seconds=2)
                child = Process(host, start, POWERSHELL_EXE, command, SYSTEM, agent, integrity="System")
                event(POWERSHELL, start + timedelta(seconds=0.7), host, 4104, "Creating Scriptblock text (1 of 1):", "5",
                      MessageNumber="1", MessageTotal="1", ScriptBlockText=INVENTORY,
                      ScriptBlockId=guid("inventory")[1:-1], Path="")
                child.wrote(start + timedelta(seconds=2.2), "C:\\Windows\\CCM\\Inventory\\hotfix.csv")
                child.ended(start + timedelta(seconds=2.6))
                agent.connected(start + timedelta(seconds=4), ADDRESS["SCCM01"], 443)


def backup_rotation():
    """The backup agent of the file server rotates its shadow copies, every six hours."""
    host, user = "FS01", f"{DOMAIN}\\svc_backup"
    services = Process(host, DAYS[0], "C:\\Windows\\System32\\services.exe", "C:\\Windows\\system32\\services.exe",
                       SYSTEM, quiet=True)
    agent = Process(host, DAYS[0] + timedelta(minutes=2), "C:\\Program Files\\Harbor Backup\\Agent\\hbagent.exe",
                    '"C:\\Program Files\\Harbor Backup\\Agent\\hbagent.exe" --service', user, services, integrity="High")
    for day in DAYS:
        for hour in (4, 10, 16, 22):
            time = day + timedelta(hours=hour, seconds=rng.uniform(5, 50))
            if time > END:
                continue
            logon(time, host, "svc_backup", 5, process="C:\\Windows\\System32\\services.exe")
            agent.connected(time + timedelta(seconds=0.6), ADDRESS["BKP01"], 9443)
            event(SCM, time + timedelta(seconds=1.2), host, 7036, "The service entered the running state.", "4",
                  param1="Volume Shadow Copy", param2="running")
            agent.wrote(time + timedelta(seconds=1.5), f"C:\\ProgramData\\Harbor Backup\\Logs\\job-{day:%Y%m%d}-{hour:02d}.log")
            tool = "C:\\Windows\\System32\\vssadmin.exe"
            seconds = 3.0
            for arguments in ("list shadows /for=D:", "delete shadows /for=D: /oldest /quiet", "list shadows /for=D:"):
                child = Process(host, time + timedelta(seconds=seconds), tool, f"{tool} {arguments}", user, agent,
                                integrity="High")
                child.ended(time + timedelta(seconds=seconds + 1.3))
                seconds += 4.5
            catalogue = Process(host, time + timedelta(seconds=20), "C:\\Windows\\System32\\wbadmin.exe",
                                "C:\\Windows\\System32\\wbadmin.exe get versions -backupTarget:\\\\BKP01\\fs01$", user,
                                agent, integrity="High")
            catalogue.ended(time + timedelta(seconds=24))
            agent.connected(time + timedelta(seconds=25), ADDRESS["BKP01"], 9443)
            event(VSS, time + timedelta(seconds=190), host, 8224,
                  "The VSS service is shutting down due to idle timeout.", "4")


def forgotten_password():
    """Back from leave, a help-desk user mistypes the new password, is locked out, unlocked, and logs on."""
    start = datetime(2023, 8, 18, 15, 52, 11, tzinfo=UTC)
    for seconds in (0, 9, 21, 38, 64):
        failed_logon(start + timedelta(seconds=seconds), "IT02", "lukas.brandt", 2, "127.0.0.1", "IT02")
        event(SECURITY, start + timedelta(seconds=seconds + 0.1), "DC01", 4771, "Kerberos pre-authentication failed.",
              TargetUserName="lukas.brandt", TargetSid=sid("lukas.brandt"), ServiceName=f"krbtgt/{DOMAIN}",
              TicketOptions="0x40810010", Status="0x18", PreAuthType="2", IpAddress=f"::ffff:{ADDRESS['IT02']}",
              IpPort=str(rng.randrange(49152, 65535)))
    event(SECURITY, start + timedelta(seconds=64.2), "DC01", 4740, "A user account was locked out.",
          TargetUserName="lukas.brandt", TargetDomainName="IT02", TargetSid=sid("lukas.brandt"),
          SubjectUserSid="S-1-5-18", SubjectUserName="DC01$", SubjectDomainName=DOMAIN, SubjectLogonId="0x3e7")
    unlocked = start + timedelta(minutes=6)
    for event_id, title in ((4724, "An attempt was made to reset an account's password."),
                            (4767, "A user account was unlocked.")):
        event(SECURITY, unlocked, "DC01", event_id, title, TargetUserName="lukas.brandt", TargetDomainName=DOMAIN,
              TargetSid=sid("lukas.brandt"), SubjectUserSid=sid("anna.keller"), SubjectUserName="anna.keller",
              SubjectDomainName=DOMAIN, SubjectLogonId="0x5a7c21")
        unlocked += timedelta(seconds=4)
    logon(start + timedelta(minutes=7), "IT02", "lukas.brandt", 2, "127.0.0.1", "C:\\Windows\\System32\\winlogon.exe", "IT02")


def new_colleague():
    """An administrator prepares PCs of the help desk: local Administrators gains a member, as on days before."""
    for when, host, member in ((datetime(2023, 8, 17, 17, 21, 30, tzinfo=UTC), "IT02", "lukas.brandt"),
                               (datetime(2023, 8, 18, 16, 1, 12, tzinfo=UTC), "IT02", "tom.weber")):
        admin = f"{DOMAIN}\\anna.keller"
        logon(when - timedelta(seconds=70), "DC01", "anna.keller", 10, ADDRESS["JUMP01"], workstation="JUMP01")
        if member == "tom.weber":
            event(SECURITY, when - timedelta(seconds=50), "DC01", 4720, "A user account was created.",
                  TargetUserName=member, TargetDomainName=DOMAIN, TargetSid=sid(member),
                  SubjectUserSid=sid("anna.keller"), SubjectUserName="anna.keller", SubjectDomainName=DOMAIN,
                  SubjectLogonId="0x5a7c21", SamAccountName=member, DisplayName="Tom Weber",
                  UserPrincipalName=f"{member}@pandalab.com", UserWorkstations="%%1793")
        logon(when - timedelta(seconds=20), host, "anna.keller", 10, ADDRESS["JUMP01"], workstation="JUMP01")
        explorer = Process(host, when - timedelta(seconds=18), "C:\\Windows\\explorer.exe", "C:\\Windows\\Explorer.EXE",
                           admin, quiet=True)
        Process(host, when - timedelta(seconds=9), "C:\\Windows\\System32\\mmc.exe",
                '"C:\\Windows\\system32\\mmc.exe" C:\\Windows\\system32\\lusrmgr.msc', admin, explorer, integrity="High")
        event(SECURITY, when, host, 4732, "A member was added to a security-enabled local group.", MemberName="-",
              MemberSid=sid(member), TargetUserName="Administrators", TargetDomainName="Builtin",
              TargetSid="S-1-5-32-544", SubjectUserSid=sid("anna.keller"), SubjectUserName="anna.keller",
              SubjectDomainName=DOMAIN, SubjectLogonId="0x5a7c21", PrivilegeList="-")


SITES = [("outlook.office365.com", "52.96.0.10"), ("teams.microsoft.com", "52.113.0.9"),
         ("intranet.pandalab.com", "192.168.1.20"), ("www.wikipedia.org", "198.35.26.96"),
         ("update.googleapis.com", "142.250.0.94"), ("ctldl.windowsupdate.com", "23.32.0.11")]
PROGRAMS = ["C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE",
            "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
            "C:\\Windows\\System32\\notepad.exe"]


def office_work():
    """What the other workstations do all day."""
    for host, user in USER_OF.items():
        account = f"{DOMAIN}\\{user}"
        for day in DAYS:
            time = day + timedelta(hours=14, minutes=rng.uniform(20, 50))
            # Locked out until a quarter to four on the last day.
            if not (user == "lukas.brandt" and day == DAYS[-1]):
                logon(time, host, user, 2, "127.0.0.1", "C:\\Windows\\System32\\winlogon.exe", host)
            explorer = Process(host, time, "C:\\Windows\\explorer.exe", "C:\\Windows\\Explorer.EXE", account, quiet=True)
            services = Process(host, time, "C:\\Windows\\System32\\svchost.exe",
                               "C:\\Windows\\System32\\svchost.exe -k netsvcs -p -s Schedule", SYSTEM, quiet=True)
            for _ in range(14):
                time += timedelta(seconds=rng.uniform(120, 1500))
                if time > END:
                    break
                if user == "lukas.brandt" and day == DAYS[-1]:
                    continue
                if rng.random() < 0.2:
                    Process(host, time, "C:\\Windows\\System32\\taskhostw.exe", "taskhostw.exe", SYSTEM, services,
                            integrity="System").ended(time + timedelta(seconds=30))
                    continue
                image = rng.choice(PROGRAMS)
                program = Process(host, time, image, f'"{image}"', account, explorer)
                if "notepad" not in image:
                    name, address = rng.choice(SITES)
                    program.asked(time + timedelta(seconds=1), name, address)
                    program.connected(time + timedelta(seconds=1.2), address, 443)
            if host != "IT02":
                logon(day + timedelta(hours=15, minutes=rng.uniform(0, 50)), "FS01", user, 3, ADDRESS[host], "-", host)


# --- Linux: syslog of RFC 5424 (RFC 3164 states no year) and the audit daemon's own log ----------------------

syslog, audit = [], []
FACILITY = {"sshd": 38, "sudo": 86, "CRON": 78, "systemd": 30, "systemd-logind": 38, "nginx": 190}


def say(time, host, program, message, pid=None):
    pid = pid or rng.randrange(700, 32000)
    zone = time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond:06d}+00:00"
    syslog.append((time, len(syslog), f"<{FACILITY[program]}>1 {zone} {host} {program} {pid} - - {message}"))


def ssh_guessing():
    """The internet guesses passwords on the DMZ web server, all days, and never gets in."""
    names = ["root", "admin", "oracle", "test", "ubuntu", "postgres", "git", "user", "ftpuser", "deploy"]
    sources = ["203.0.113.77", "198.51.100.23", "203.0.113.140", "198.51.100.201"]
    for day in DAYS:
        for _ in range(26 if day != DAYS[-1] else 20):
            time = day + timedelta(hours=rng.uniform(0, 23.5) if day != DAYS[-1] else rng.uniform(0, 15.6))
            guess(time, rng.choice(sources), rng.choice(names), rng.randrange(1, 4))
    time = datetime(2023, 8, 18, 15, 54, 2, tzinfo=UTC)
    while time < datetime(2023, 8, 18, 16, 4, tzinfo=UTC):
        guess(time, "203.0.113.77", rng.choice(names), 3)
        time += timedelta(seconds=rng.uniform(3, 9))


def guess(time, source, name, attempts):
    pid, port = rng.randrange(700, 32000), rng.randrange(30000, 65000)
    known = name == "root"
    who = name if known else f"invalid user {name}"
    if not known:
        say(time, "web01", "sshd", f"Invalid user {name} from {source} port {port}", pid)
    for attempt in range(attempts):
        time += timedelta(seconds=rng.uniform(0.8, 2.4))
        say(time, "web01", "sshd", f"Failed password for {who} from {source} port {port} ssh2", pid)
    say(time + timedelta(seconds=0.3), "web01", "sshd",
        f"Connection closed by {'authenticating' if known else 'invalid'} user {name} {source} port {port} [preauth]", pid)


def linux_administration():
    """Cron, updates, and an administrator who goes through the jump host with her key."""
    for day in DAYS:
        for hour in range(24):
            time = day + timedelta(hours=hour, minutes=17, seconds=1)
            if time > END:
                break
            for host in ("web01", "jump01"):
                say(time, host, "CRON", "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)")
                say(time + timedelta(seconds=0.1), host, "CRON", "pam_unix(cron:session): session closed for user root")
        for hour, minute, command in ((13, 5, "/usr/bin/apt-get update"), (13, 7, "/usr/bin/apt-get -y upgrade"),
                                      (15, 58, "/usr/bin/systemctl reload nginx")):
            time = day + timedelta(hours=hour, minutes=minute, seconds=rng.uniform(0, 40))
            administrator_runs(time, command)


def administrator_runs(time, command):
    port, pid = rng.randrange(40000, 60000), rng.randrange(700, 32000)
    say(time, "jump01", "sshd", f"Accepted publickey for akeller from {ADDRESS['IT02']} port {port} ssh2: "
        "ED25519 SHA256:Q3m0J8sPzq0sB2v1mYx4v6u7tXg8dKcW9rUe5hN1LkA", pid)
    time += timedelta(seconds=4)
    say(time, "web01", "sshd", f"Accepted publickey for akeller from {ADDRESS['JUMP01']} port {port + 7} ssh2: "
        "ED25519 SHA256:Q3m0J8sPzq0sB2v1mYx4v6u7tXg8dKcW9rUe5hN1LkA", pid + 9)
    say(time + timedelta(seconds=0.1), "web01", "sshd",
        "pam_unix(sshd:session): session opened for user akeller(uid=1000) by (uid=0)", pid + 9)
    time += timedelta(seconds=6)
    say(time, "web01", "sudo", f"akeller : TTY=pts/0 ; PWD=/home/akeller ; USER=root ; COMMAND={command}")
    serial = 4000 + len(audit)
    epoch = f"{time.timestamp():.3f}"
    binary = command.split()[0]
    audit.append((time, len(audit), f"node=web01 type=USER_CMD msg=audit({epoch}:{serial}): pid={pid + 21} uid=1000 auid=1000 "
                  f"ses=41 subj=unconfined msg='cwd=\"/home/akeller\" cmd={command.encode().hex().upper()} exe=\"/usr/bin/sudo\" "
                  "terminal=pts/0 res=success'"))
    audit.append((time, len(audit), f"node=web01 type=SYSCALL msg=audit({epoch}:{serial + 1}): arch=c000003e syscall=59 success=yes "
                  f"exit=0 a0=55d0 a1=55d8 a2=55e0 a3=0 items=2 ppid={pid + 21} pid={pid + 22} auid=1000 uid=0 gid=0 euid=0 "
                  f"suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=41 comm=\"{binary.rsplit('/', 1)[-1]}\" exe=\"{binary}\" "
                  "subj=unconfined key=\"rootcmd\""))
    arguments = " ".join(f'a{n}="{part}"' for n, part in enumerate(command.split()))
    audit.append((time, len(audit), f"node=web01 type=EXECVE msg=audit({epoch}:{serial + 1}): argc={len(command.split())} {arguments}"))


# --- Zeek JSON of the DMZ sensor -----------------------------------------------------------------------------

zeek = []


def uid(prefix):
    return prefix + "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789", k=17))


def request(time, source, method, uri, agent, status, length):
    uid_, port = uid("C"), rng.randrange(32000, 61000)
    ends = {"id.orig_h": source, "id.orig_p": port, "id.resp_h": ADDRESS["WEB01"], "id.resp_p": 80}
    ts = round(time.timestamp(), 6)
    zeek.append((time, len(zeek), {
        "_path": "conn", "_system_name": "dmz", "ts": ts, "uid": uid_, **ends, "proto": "tcp", "service": "http",
        "duration": round(rng.uniform(0.004, 0.3), 6), "orig_bytes": 180 + len(uri), "resp_bytes": length + 240,
        "conn_state": "SF", "local_orig": source.startswith("192.168."), "local_resp": True, "missed_bytes": 0,
        "history": "ShADadFf", "orig_pkts": 6, "resp_pkts": 5}))
    zeek.append((time, len(zeek), {
        "_path": "http", "_system_name": "dmz", "ts": ts, "uid": uid_, **ends, "trans_depth": 1, "method": method,
        "host": "www.pandalab.com", "uri": uri, "version": "1.1", "user_agent": agent, "request_body_len": 0,
        "response_body_len": length, "status_code": status, "status_msg": "OK" if status == 200 else "Not Found",
        "tags": [], "resp_mime_types": ["text/html"]}))


def vulnerability_scan():
    """The security team's own scanner, every twelve hours."""
    agent = "Mozilla/5.0 [en] (X11, U; OpenVAS-VT 22.7.5)"
    paths = ["/", "/robots.txt", "/admin/", "/phpmyadmin/", "/.git/config", "/wp-login.php", "/server-status",
             "/cgi-bin/test.cgi", "/backup.zip", "/login?user=%27%20OR%201%3D1--", "/../../../../etc/passwd",
             "/manager/html", "/.env", "/api/v1/status", "/index.php?id=1"]
    for day in DAYS:
        for hour in (3, 15):
            time = day + timedelta(hours=hour, minutes=57, seconds=rng.uniform(0, 20))
            for path in paths:
                request(time, ADDRESS["SCAN01"], "GET", path, agent, 200 if path in ("/", "/robots.txt") else 404,
                        rng.randrange(150, 4000))
                time += timedelta(seconds=rng.uniform(0.1, 0.9))


def visitors():
    """Ordinary readers of the web site."""
    agents = ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/115.0 Safari/537.36",
              "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/116.0"]
    for day in DAYS:
        for _ in range(60):
            time = day + timedelta(hours=rng.uniform(0, 23.9))
            if time < END:
                request(time, f"198.51.100.{rng.randrange(2, 250)}", "GET",
                        rng.choice(["/", "/news", "/about", "/products", "/jobs", "/style.css"]), rng.choice(agents), 200,
                        rng.randrange(800, 30000))


# --- The recorded part ---------------------------------------------------------------------------------------

CAMPAIGN = "datasets/compound/LSASS_campaign_03/"
HOST_ZIP = CAMPAIGN + "metasploit_comsvcs_lsass_memory_dump.zip"
ZEEK_ZIP = CAMPAIGN + "metasploit_comsvcs_lsass_memory_dump_zeek_logs.zip"
# Before this the author emptied the event logs to record, after it he exported the data set.
FIRST = "2023-08-18T08:56:05"
LAST = "2023-08-18T09:02:40"
SHIFT = timedelta(hours=7)


def recorded(root):
    """Cuts and time-corrects the host log; copies the Zeek logs byte for byte."""
    with zipfile.ZipFile(root / HOST_ZIP) as archive:
        lines = archive.read(archive.namelist()[0]).decode().splitlines()
    kept, reset = [], 0
    for line in lines:
        written = json.loads(line)["@timestamp"]
        if not FIRST <= written < LAST:
            continue
        # The shipper wrote Pacific Daylight Time and called it UTC; Sysmon's UtcTime and Zeek have the real time.
        real = stamp(parse(written) + SHIFT)
        for key in ("TimeCreated", "@timestamp"):
            line = line.replace(f'"{key}":"{written}"', f'"{key}":"{real}"', 1)
        # Sysmon's network and DNS events take UtcTime from a clock that stood still while the machine slept.
        utc = json.loads(line).get("UtcTime")
        if utc and abs(parse(utc.replace(" ", "T") + "Z") - parse(real)) > timedelta(minutes=1):
            line = line.replace(utc, real.replace("T", " ").rstrip("Z"))
            reset += 1
        kept.append(line)
    write_zip("windows-prd01.zip", "windows.json", "\n".join(kept) + "\n")
    (LOGS / "zeek-prd01.zip").write_bytes((root / ZEEK_ZIP).read_bytes())
    print(f"windows-prd01.zip: {len(kept)} of {len(lines)} records, UtcTime of {reset} reset")


def parse(time):
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def write_zip(name, member, text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo(member, (2023, 8, 18, 16, 10, 0)), text, zipfile.ZIP_DEFLATED, 9)
    (LOGS / name).write_bytes(buffer.getvalue())


def write_gz(name, text):
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, buffer, mtime=0) as archive:
        archive.write(text.encode())
    (LOGS / name).write_bytes(buffer.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--otrf", type=pathlib.Path, help="checkout of OTRF/Security-Datasets")
    options = parser.parse_args()
    for part in (software_inventory, backup_rotation, forgotten_password, new_colleague, office_work,
                 ssh_guessing, linux_administration, vulnerability_scan, visitors):
        part()

    def in_order(items):
        return [item for time, _, item in sorted(items, key=lambda entry: entry[:2]) if time <= END]

    compact = {"separators": (",", ":"), "ensure_ascii": False}
    write_gz("windows-estate.json.gz", "".join(json.dumps(item, **compact) + "\n" for item in in_order(windows)))
    write_gz("zeek-dmz.json.gz", "".join(json.dumps(item, **compact) + "\n" for item in in_order(zeek)))
    (LOGS / "linux-syslog.log").write_text("\n".join(in_order(syslog)) + "\n")
    (LOGS / "linux-audit.log").write_text("\n".join(in_order(audit)) + "\n")
    for name, items in (("windows-estate", windows), ("zeek-dmz", zeek), ("syslog", syslog), ("audit", audit)):
        print(f"{name}: {len(in_order(items))} records")
    if options.otrf:
        recorded(options.otrf)


if __name__ == "__main__":
    main()
