"""Which rules match which records? Answered by two engines that share no code with ours.

pysigma: each rule becomes SQL by pySigma's SQLite backend and runs in SQLite over flattened records, which is what
Zircolite is. rsigma: the command of that name over the same flattened records. Both take log sources for conditions on
Channel and EventID by pySigma's own pipelines: every rule once over Sysmon's events and once over those of the audit
log, process_creation being event 1 of the one and 4688 of the other.

usage: peer_sigma.py EVTX_DIR RULES_DIR SCRATCH_DIR RSIGMA|-
One line of JSON a hit: {"engine", "file", "record", "rule"}; at last {"events", "rules", "unusable": {reason: count}}.
"""

import json
import pathlib
import re
import sqlite3
import subprocess
import sys
from collections import Counter

import yaml
from evtx import PyEvtxParser
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.pipelines.common import windows_logsource_mapping
from sigma.pipelines.sysmon import sysmon_pipeline
from sigma.pipelines.sysmon.sysmon import sysmon_generic_logsource_eventid_mapping
from sigma.pipelines.windows import windows_audit_pipeline, windows_logsource_pipeline
from sigma.pipelines.windows.windows import (
    generic_logsource_to_windows_audit_event_mapping,
    windows_generic_category_channel_mapping,
)
from sigma.processing.transformations import (
    AddConditionTransformation,
    ChangeLogsourceTransformation,
    FieldMappingTransformation,
)

# Names that are not simply the last part of a path.
NAMES = {
    "System.Provider.#attributes.Name": "Provider_Name",
    "System.Provider.#attributes.Guid": "ProviderGuid",
    "System.EventID.#text": "EventID",
    "System.EventID.#attributes.Qualifiers": "Qualifiers",
    "System.Execution.#attributes.ProcessID": "ExecutionProcessID",
    "System.Execution.#attributes.ThreadID": "ExecutionThreadID",
    "System.TimeCreated.#attributes.SystemTime": "SystemTime",
    "EventData.Data.#text": "Data",
}


def flatten(value, path, flat):
    """Bare names, as Zircolite's: the last part of the path, letters and digits alone; nothing empty is kept."""
    if isinstance(value, dict):
        for name, inner in value.items():
            flatten(inner, f"{path}.{name}" if path else name, flat)
    elif "xmlns" not in path and value not in (None, "", []):
        name = NAMES.get(path) or re.sub(r"[^0-9A-Za-z]", "", path.rsplit(".", 1)[-1])
        if isinstance(value, list):
            value = "\n".join(str(item) for item in value)
        elif isinstance(value, bool):
            value = str(value).lower()
        flat.setdefault(name, value)


def read_events(directory):
    """(file, record number, fields) of every record that can be read."""
    for path in sorted(directory.rglob("*.evtx")):
        records = PyEvtxParser(str(path), number_of_threads=1).records_json()
        while True:
            try:
                event = json.loads(next(records)["data"])["Event"]
            except StopIteration:
                break
            except RuntimeError:
                continue
            flat = {}
            # The envelope first: event data must not pass for it.
            flatten({"System": event.pop("System", {})}, "", flat)
            flatten(event, "", flat)
            if "EventRecordID" in flat:
                yield str(path), int(flat["EventRecordID"]), flat


def read_rules(paths):
    """The rules, anew: conversion changes them in place."""
    rules = SigmaCollection.load_ruleset([str(path) for path in paths], collect_errors=True).rules
    return [rule for rule in rules if not rule.errors]


def in_sysmon(source):
    """Whether the pipelines for Sysmon and plain channels know a log source; without it a rule matches anything."""
    categories = sysmon_generic_logsource_eventid_mapping.keys() | windows_generic_category_channel_mapping.keys()
    by_category = source.category is None or source.category in categories
    return by_category and (source.category or source.service is None or source.service in windows_logsource_mapping)


def in_audit(source):
    """Whether the audit log has a log source's events under other names."""
    return source.category in generic_logsource_to_windows_audit_event_mapping


# Name, pipelines, and whether a rule's log source is theirs.
VIEWS = [
    ("sysmon", [sysmon_pipeline(), windows_logsource_pipeline()], in_sysmon),
    ("audit", [windows_audit_pipeline(), windows_logsource_pipeline()], in_audit),
]


def sql_hits(paths, events, unusable):
    """(event number, rule id) by SQLite."""
    queries = []
    for _, pipelines, is_theirs in VIEWS:
        backend = sqliteBackend(sum(pipelines[1:], pipelines[0]))
        for rule in (rule for rule in read_rules(paths) if is_theirs(rule.logsource)):
            try:
                for query in json.loads(backend.convert(SigmaCollection([rule]), "zircolite")):
                    queries.append((str(rule.id), query["rule"], query["required_fields"]))
            except (SigmaError, NotImplementedError) as error:
                unusable[f"pysigma: {type(error).__name__}"] += 1
    database = sqlite3.connect(":memory:")
    database.create_function(
        "regexp", 2, lambda pattern, text: text is not None and re.search(pattern, str(text)) is not None
    )
    wanted = {}
    for name in [name for _, _, fields in queries for name in fields] + ["Channel", "EventID"]:
        wanted.setdefault(name.lower(), name)
    of_type = {}
    for _, _, flat in events:
        for name, value in flat.items():
            of_type.setdefault(name.lower(), set()).add(type(value))
    columns = [
        f"`{name}` " + ("INTEGER" if of_type.get(lower) == {int} else "TEXT COLLATE NOCASE")
        for lower, name in wanted.items()
    ]
    database.execute(f"CREATE TABLE logs (row_number INTEGER, {', '.join(columns)})")
    slots = ", ".join("?" * (len(columns) + 1))
    for number, (_, _, flat) in enumerate(events):
        lower = {name.lower(): value for name, value in flat.items()}
        database.execute(f"INSERT INTO logs VALUES ({slots})", [number] + [lower.get(name) for name in wanted])
    database.execute("CREATE INDEX by_source ON logs (Channel, EventID)")
    for rule, statements, _ in queries:
        for statement in statements:
            try:
                for (number,) in database.execute(statement.replace("SELECT *", "SELECT row_number", 1)):
                    yield number, rule
            except sqlite3.Error as error:
                unusable[f"pysigma: {error}"] += 1


def as_yaml(name, pipelines):
    """pySigma's pipelines for rsigma, which reads the same language."""
    items = []
    for pipeline in pipelines:
        for item in pipeline.items:
            transformation = item.transformation
            if isinstance(transformation, AddConditionTransformation):
                out = {"type": "add_condition", "conditions": dict(transformation.conditions)}
            elif isinstance(transformation, ChangeLogsourceTransformation):
                out = {"type": "change_logsource"}
                out |= {key: getattr(transformation, key) for key in ("category", "product", "service")}
            elif isinstance(transformation, FieldMappingTransformation):
                out = {"type": "field_name_mapping", "mapping": dict(transformation.mapping)}
            else:
                continue
            conditions = item.rule_conditions if isinstance(item.rule_conditions, list) else []
            if not conditions or not all(hasattr(one, "product") for one in conditions):
                continue
            out["rule_conditions"] = [
                {"type": "logsource"}
                | {key: getattr(one, key) for key in ("category", "product", "service") if getattr(one, key)}
                for one in conditions
            ]
            items.append({key: value for key, value in out.items() if value is not None})
    return yaml.safe_dump({"name": name, "priority": 10, "transformations": items}, sort_keys=False)


def rsigma_hits(command, directory, rules, scratch, events):
    """(event number, rule id) by the rsigma command."""
    numbered = scratch / "events.ndjson"
    with numbered.open("w", encoding="utf-8") as out:
        for number, (_, _, flat) in enumerate(events):
            out.write(json.dumps(flat | {"casemate_row": number}) + "\n")
    for name, pipelines, is_theirs in VIEWS:
        theirs = {str(rule.id) for rule in rules if is_theirs(rule.logsource)}
        path = scratch / f"{name}.yml"
        path.write_text(as_yaml(name, pipelines), encoding="utf-8")
        arguments = ["engine", "eval", "--output-format", "ndjson", "--include-event", "--input-format", "json"]
        arguments += ["--rules", str(directory), "--pipeline", str(path), "--event", f"@{numbered}"]
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"rsigma failed: {done.stderr[-500:]}")
        for line in done.stdout.splitlines():
            hit = json.loads(line)
            if hit["rule_id"] in theirs:
                yield hit["event"]["casemate_row"], hit["rule_id"]


def main():
    evtx, directory, scratch = (pathlib.Path(argument) for argument in sys.argv[1:4])
    rsigma = sys.argv[4]
    paths = sorted(directory.rglob("*.yml"))
    rules = read_rules(paths)
    events = list(read_events(evtx))
    unusable = Counter()
    for rule in rules:
        if not in_sysmon(rule.logsource) and not in_audit(rule.logsource):
            unusable["no pipeline knows the log source"] += 1
    engines = {"pysigma": sql_hits(paths, events, unusable)}
    if rsigma != "-":
        engines["rsigma"] = rsigma_hits(rsigma, directory, rules, scratch, events)
    for engine, hits in engines.items():
        for number, rule in sorted(set(hits)):
            file, record, _ = events[number]
            print(json.dumps({"engine": engine, "file": file, "record": record, "rule": rule}))
    print(json.dumps({"events": len(events), "rules": len(rules), "unusable": dict(unusable)}))


main()
