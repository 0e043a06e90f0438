"""Validates what `casemate export` wrote, each file by the validator of its own format. Prints a line for each."""

import contextlib
import io
import json
import pathlib
import sys


def check(name, happy, why=""):
    print(("ok " if happy else "BAD ") + name + (f": {why}" if why and not happy else ""))
    return happy


def stix(path):
    import stix2
    from stix2validator import ValidationOptions, validate_file

    options = ValidationOptions(version="2.1", strict=True, strict_properties=True)
    with contextlib.redirect_stdout(io.StringIO()):
        result = validate_file(str(path), options)
    errors = [str(e) for r in result.object_results for e in (r.errors or []) + (r.warnings or [])]
    check("stix strict", result.is_valid and not errors, errors[:5])
    bundle = stix2.parse(path.read_text(), allow_custom=False)
    observables = [o for o in bundle.objects if isinstance(o, stix2.v21._Observable)]
    # Ids of observables are those that the properties make; processes have none of those.
    wrong = [o.id for o in observables if o.type != "process" and o._generate_id() != o.id]
    check("stix ids", not wrong, wrong[:3])
    ids = {o.id for o in bundle.objects}
    refs = {r for o in bundle.objects for r in list(o.get("object_refs", [])) + list(o.get("observed_data_refs", []))}
    check("stix refs", refs <= ids, list(refs - ids)[:3])
    kinds = {o.type for o in bundle.objects}
    check("stix objects", {"identity", "report", "observed-data", "attack-pattern", "note"} <= kinds, sorted(kinds))


def navigator(path):
    from mitreattack.navlayers import Layer

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        layer = Layer()
        layer.from_file(str(path))
        again = layer.to_dict()
    given = json.loads(path.read_text())
    check("navigator", not said.getvalue().strip(), said.getvalue())
    check("navigator techniques", len(again["techniques"]) == len(given["techniques"]) > 0)
    check("navigator version", again["versions"]["layer"] == "4.5", again["versions"])


def ocsf(path):
    from jsonschema import Draft202012Validator
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.6.0"))
    findings = json.loads(path.read_text())
    for finding in findings:
        name = schema.lookup_class_name_from_uid(class_uid=finding["class_uid"])
        profiles = finding["metadata"].get("profiles", [])
        validator = Draft202012Validator(schema.get_class_schema(name, profiles))
        errors = [f"{list(e.absolute_path)}: {e.message[:200]}" for e in validator.iter_errors(finding)]
        check(f"ocsf {name}", not errors, errors[:5])


def timeline(path):
    import pandas
    from timesketch_import_client.importer import ImportStreamer

    frame = pandas.read_csv(path, dtype=str, keep_default_na=False)
    missing = {"message", "datetime", "timestamp", "timestamp_desc"} - set(frame.columns)
    check("timesketch columns", not missing, missing)
    given = pandas.to_datetime(frame["datetime"], utc=True)
    stamps = (given.astype("int64") // 1000 if given.dtype.unit == "ns" else given.astype("int64")).astype(str)
    check("timesketch timestamps", (stamps == frame["timestamp"]).all())
    fixed = ImportStreamer()._fix_data_frame(frame.copy())
    check("timesketch importer", len(fixed) == len(frame) > 0 and fixed["datetime"].notna().all())
    formulas = [c for c in frame.to_numpy().ravel() if c[:1] in ("=", "+", "-", "@", "\t", "\r")]
    check("csv formulas", not formulas, formulas[:3])


def thehive(path):
    import typing

    import typing_extensions
    from pydantic import TypeAdapter

    # What pydantic can look into before Python 3.12.
    typing.TypedDict = typing_extensions.TypedDict
    from thehive4py.types.alert import InputAlert
    from thehive4py.types.case import InputCase
    from thehive4py.types.observable import InputObservable
    from thehive4py.types.procedure import InputProcedure

    def strict(kind, value, name):
        try:
            adapter = TypeAdapter(kind)
            adapter.validate_python(value, strict=True)
            unknown = set(value) - set(kind.__annotations__)
            check(name, not unknown, unknown)
        except ValueError as error:
            check(name, False, str(error)[:500])

    file = json.loads(path.read_text())
    if "case" in file:
        strict(InputCase, file["case"], "thehive case")
    else:
        strict(InputAlert, file, "thehive alert")
    for kind, name in ((InputObservable, "observables"), (InputProcedure, "procedures")):
        for row in file[name]:
            strict(kind, row, f"thehive {name}")


def iris(path):
    # What IRIS's own schema of an alert names and wants; its client has no model of it.
    wanted = {"alert_title", "alert_severity_id", "alert_status_id", "alert_customer_id", "alert_source"}
    known = wanted | {
        "alert_description", "alert_source_ref", "alert_source_link", "alert_source_event_time", "alert_note",
        "alert_source_content", "alert_tags", "alert_context", "alert_iocs", "alert_assets", "alert_classification_id",
    }
    file = json.loads(path.read_text())
    check("iris alert", wanted <= set(file) <= known, set(file) ^ known)
    for name, fields in (("alert_iocs", ("ioc_value", "ioc_type_id", "ioc_tlp_id")), ("alert_assets", ("asset_name", "asset_type_id"))):
        check(f"iris {name}", all(row.get(field) for row in file[name] for field in fields))


def markdown(path):
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(path.read_text())
    inner = [child for token in tokens for child in token.children or []]
    active = [t.type for t in tokens + inner if t.type in ("link_open", "image", "html_inline", "html_block", "fence", "code_block")]
    check("markdown", not active and any(t.type == "table_open" for t in tokens), active[:3])


def html(path):
    import html5lib

    parser = html5lib.HTMLParser(strict=False)
    tree = parser.parse(path.read_text())
    check("html", not parser.errors, parser.errors[:3])
    tags = {e.tag.split("}")[-1] for e in tree.iter() if isinstance(e.tag, str)}
    check("html loads nothing", not tags & {"script", "img", "link", "iframe", "object", "embed", "form"}, tags)
    ids = {e.get("id") for e in tree.iter()}
    targets = {e.get("href")[1:] for e in tree.iter() if e.get("href")}
    check("html links", targets <= ids, list(targets - ids)[:3])


def pdf(path):
    import pikepdf
    import pypdf

    with pikepdf.open(path) as file:
        problems = file.check_pdf_syntax()
        about = file.open_metadata()
        check("pdf syntax", not problems, problems[:3])
        check("pdf standards", (about.pdfa_status, about.get("pdfuaid:part")) == ("2A", "1"), about.pdfa_status)
        check("pdf tagged", bool(file.Root.MarkInfo.Marked) and "/StructTreeRoot" in file.Root and str(file.Root.Lang) == "en")
        # It starts nothing and leads nowhere but into itself.
        active = [name for name in ("/OpenAction", "/AA", "/AcroForm") if name in file.Root]
        links = [link for page in file.pages for link in page.get("/Annots", [])]
        away = [link for link in links if link.Subtype != "/Link" or "/Dest" not in link and "/D" not in link.get("/A", {})]
        check("pdf links", bool(links) and not away and not active, (away[:3], active))
    reader = pypdf.PdfReader(path)
    said = path.with_suffix(".json").read_text()
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    check("pdf bookmarks", len(reader.outline) > 1)
    people = [name for name in ("mira",) if f'"{name}"' in said]
    check("pdf text", "What happened" in text and all(name in text for name in people), text[:200])


def main(directory):
    for path in sorted(pathlib.Path(directory).iterdir()):
        for ending, validate in (
            (".stix.json", stix), (".navigator.json", navigator), (".ocsf.json", ocsf), (".timeline.csv", timeline),
            (".thehive.json", thehive), (".iris.json", iris), (".md", markdown), (".html", html), (".pdf", pdf),
        ):
            if path.name.endswith(ending):
                validate(path)


main(sys.argv[1])
