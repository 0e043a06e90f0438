//! Facts about one process reaching into another: memory, threads, modules, pipes and drivers.

use super::process::is_writable_folder;
use super::{Kind, Predicate, contains_any, pattern, quoted};
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::LsassRead, lsass_read),
    (Kind::DumpFileWritten, dump_file_written),
    (Kind::UnsignedLsassModule, module_in_lsass),
    (Kind::RemoteThread, remote_thread),
    (Kind::ProcessTampered, process_tampered),
    (Kind::UnknownCallTrace, unknown_call_trace),
    (Kind::DebuggerAttached, opened_for_injection),
    (Kind::ManagedCodeInOddProcess, managed_code),
    (Kind::SideLoading, side_loading),
    (Kind::SystemLibraryPlanted, system_library_planted),
    (Kind::DriverLoaded, driver_loaded),
    (Kind::PrintDriverPlanted, print_driver_planted),
    (Kind::ToolPipe, tool_pipe),
    (Kind::BrowserStoreRead, browser_store_read),
    (Kind::LsaSecretsRead, secrets_key_read),
    (Kind::PasswordFilterWritten, captured_passwords_file),
    (Kind::RemoteDesktopLibrary, remote_desktop_library),
    (Kind::HiveSaved, hive_file_written),
    (Kind::DirectoryDatabaseCopied, database_file_written),
];

/// Right to read another process's memory (`PROCESS_VM_READ`).
const VM_READ: u32 = 0x0010;
/// Rights to write into a process and start a thread there (`PROCESS_VM_WRITE`, `PROCESS_CREATE_THREAD`).
const INJECTION: u32 = 0x0020 | 0x0002;
/// Rights LSASS's own neighbours and Windows Error Reporting use; full paths, because anybody can choose a name.
const LSASS_READERS: [&str; 12] = [
    r"c:\windows\system32\csrss.exe",
    r"c:\windows\system32\wininit.exe",
    r"c:\windows\system32\winlogon.exe",
    r"c:\windows\system32\services.exe",
    r"c:\windows\system32\lsass.exe",
    r"c:\windows\system32\lsm.exe",
    r"c:\windows\system32\svchost.exe",
    r"c:\windows\system32\wbem\wmiprvse.exe",
    r"c:\windows\system32\lsaiso.exe",
    r"c:\windows\system32\mrt.exe",
    r"c:\windows\system32\msiexec.exe",
    r"c:\windows\sysmon64.exe",
];
const PROTECTION_FOLDERS: [&str; 2] =
    [r"c:\programdata\microsoft\windows defender\", r"c:\program files\windows defender\"];
/// Modules that bring managed code into a process.
const MANAGED_RUNTIME: [&str; 4] = ["clr.dll", "mscoree.dll", "clrjit.dll", "mscorwks.dll"];
/// Programs that have no use for managed code.
const NATIVE_PROGRAMS: [&str; 17] = [
    "notepad.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "mshta.exe",
    "wscript.exe",
    "cscript.exe",
    "cmstp.exe",
    "svchost.exe",
    "lsass.exe",
    "spoolsv.exe",
    "winlogon.exe",
    "calc.exe",
    "werfault.exe",
    "dllhost.exe",
    "control.exe",
    "odbcconf.exe",
    "msxsl.exe",
];
/// Libraries that system programs look for beside themselves, and that are planted there.
const PLANTED_LIBRARIES: [&str; 24] = [
    "wlbsctrl.dll",
    "tsmsisrv.dll",
    "tsvipsrv.dll",
    "fxsst.dll",
    "wptsextensions.dll",
    "edgegdi.dll",
    "wow64log.dll",
    "phoneinfo.dll",
    "ualapi.dll",
    "ntwdblib.dll",
    "cryptbase.dll",
    "dbghelp.dll",
    "version.dll",
    "profapi.dll",
    "wbemcomn.dll",
    "oci.dll",
    "msfte.dll",
    "dismcore.dll",
    "propsys.dll",
    "linkinfo.dll",
    "windowscoredeviceinfo.dll",
    "srrstr.dll",
    "uxtheme.dll",
    "duser.dll",
];

fn is_protection(lower_path: &str) -> bool {
    PROTECTION_FOLDERS.iter().any(|folder| lower_path.starts_with(folder)) && !lower_path.contains(r"\..")
}

pub(super) fn lsass_read(view: View<'_>) -> Option<String> {
    let target = view.process_name();
    let object = view.native("ObjectName").unwrap_or_default().to_lowercase();
    let aims_at_lsass = (target == "lsass.exe" && !view.is_launch()) || object.ends_with("\\lsass.exe");
    let mask = view.access_mask().filter(|mask| mask & VM_READ != 0)?;
    let reader =
        view.actor_path().or_else(|| view.native("SourceImage")).or_else(|| view.native("ProcessName"))?;
    let lower = reader.to_lowercase();
    let expected = LSASS_READERS.contains(&lower.as_str()) || is_protection(&lower);
    (aims_at_lsass && !expected).then(|| {
        format!(
            "{} on {} opened lsass.exe with the right to read its memory (0x{mask:x})",
            quoted(reader),
            view.host()
        )
    })
}

fn dump_file_written(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let dump = pattern(&lower, r"\.(dmp|mdmp|dump)$|lsass[^\\]*\.(zip|bin|tmp|txt)$");
    let reporting = contains_any(
        &lower,
        &[
            r"\windows\livekernelreports\",
            r"\microsoft\windows\wer\",
            r"\crashdumps\",
            r"\windows\minidump\",
            r"\crashpad\",
        ],
    );
    (dump && !reporting).then(|| format!("a memory dump was written on {}: {}", view.host(), quoted(path)))
}

fn hive_file_written(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let hive = pattern(
        &lower,
        r"\\(sam|security|system)(\.(save|hiv|hive|bak|bkp|dat|tmp|sav|out|reg))$|\\config\\(sam|security)$|\\(sam|security)$",
    );
    let at_home = lower.contains(r"\windows\system32\config\");
    (hive && !at_home)
        .then(|| format!("a copy of a registry hive was written on {}: {}", view.host(), quoted(path)))
}

fn database_file_written(view: View<'_>) -> Option<String> {
    let data = view.native("Data").unwrap_or_default().to_lowercase();
    // The database engine says which database it made a copy of, attached or detached.
    if matches!(view.code(), "216" | "325" | "326" | "327")
        && data.contains("ntds.dit")
        && !data.contains(r"\windows\ntds\ntds.dit")
    {
        return Some(format!(
            "a copy of the directory database was opened on {}: {}",
            view.host(),
            quoted(&data)
        ));
    }
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let by = view.actor_name();
    (pattern(&lower, r"\\ntds\.(dit|jfm)$|\\ntds\.dit\.") && by != "lsass.exe" && by != "dcpromo.exe")
        .then(|| format!("the directory database was written on {} by {by}: {}", view.host(), quoted(path)))
}

fn module_in_lsass(view: View<'_>) -> Option<String> {
    if view.0.class != Class::ModuleActivity || view.actor_name() != "lsass.exe" {
        return None;
    }
    let module = view.0.field(field::MODULE_PATH)?;
    let lower = module.to_lowercase();
    let signed = view.native("SignatureStatus").is_some_and(|status| status.eq_ignore_ascii_case("valid"));
    let at_home = lower.starts_with(r"c:\windows\system32\")
        || lower.starts_with(r"c:\windows\winsxs\")
        || lower.starts_with(r"c:\program files");
    let unsigned = view.native("Signed").is_some_and(|signed| signed.eq_ignore_ascii_case("false"));
    (!at_home && !signed || unsigned)
        .then(|| format!("lsass.exe on {} loaded {}", view.host(), quoted(module)))
}

fn remote_thread(view: View<'_>) -> Option<String> {
    let (source, target) = (view.actor_name(), view.process_name());
    let ordinary = matches!(
        source.as_str(),
        "csrss.exe"
            | "wininit.exe"
            | "winlogon.exe"
            | "services.exe"
            | "svchost.exe"
            | "dwm.exe"
            | "vboxtray.exe"
            | "vmtoolsd.exe"
            | ""
    );
    (view.is_injection() && view.code() != "25" && !ordinary && source != target)
        .then(|| format!("{source} on {} started a thread inside {target}", view.host()))
}

fn process_tampered(view: View<'_>) -> Option<String> {
    let browser =
        contains_any(&view.process_name(), &["chrome", "msedge", "firefox", "teams", "slack", "webview"]);
    (view.is_sysmon() && view.code() == "25" && !browser)
        .then(|| format!("the image of {} on {} was replaced in memory", view.process_name(), view.host()))
}

/// A process opened by code that no file on disk accounts for.
fn unknown_call_trace(view: View<'_>) -> Option<String> {
    let trace = view.native("CallTrace")?.to_lowercase();
    let strong = view.access_mask().is_some_and(|mask| mask & (VM_READ | INJECTION) != 0);
    let source = view.actor_path().unwrap_or_default().to_lowercase();
    // Managed code is compiled at run time and shows as unknown too.
    let managed = contains_any(
        &trace,
        &[
            "clr.dll",
            "mscorlib",
            ".ni.dll",
            "system.management.automation",
            "jscript",
            "vbscript",
            "java",
            "coreclr",
        ],
    );
    (view.is_sysmon() && trace.contains("unknown") && strong && !managed && !is_protection(&source)).then(
        || {
            format!(
                "{} on {} opened {} from code that belongs to no file",
                view.actor_name(),
                view.host(),
                view.process_name()
            )
        },
    )
}

fn opened_for_injection(view: View<'_>) -> Option<String> {
    let mask = view.access_mask()?;
    let source = view.actor_path()?.to_lowercase();
    let own = view.actor_name() == view.process_name();
    let system = source.starts_with(r"c:\windows\")
        && !contains_any(&source, &["powershell", "rundll32", "regsvr32", "mshta", r"\temp\"]);
    let all = mask & INJECTION == INJECTION;
    (view.is_sysmon()
        && view.code() == "10"
        && all
        && !own
        && !system
        && !is_protection(&source)
        && !source.starts_with(r"c:\program files"))
    .then(|| {
        format!("{} on {} may write to the memory of {}", quoted(&source), view.host(), view.process_name())
    })
}

fn managed_code(view: View<'_>) -> Option<String> {
    let module = view.0.field(field::MODULE_PATH).map(crate::view::base_name)?;
    let program = view.actor_name();
    (view.0.class == Class::ModuleActivity
        && MANAGED_RUNTIME.contains(&module.as_str())
        && NATIVE_PROGRAMS.contains(&program.as_str()))
    .then(|| format!("{program} on {} loaded {module}, the runtime of managed code", view.host()))
}

/// A program of the system or of a vendor that loads an unsigned library from where users may write.
fn side_loading(view: View<'_>) -> Option<String> {
    if view.0.class != Class::ModuleActivity || view.code() == "6" {
        return None;
    }
    let module = view.0.field(field::MODULE_PATH)?;
    let lower = module.to_lowercase();
    let program = view.actor_path().unwrap_or_default().to_lowercase();
    let unsigned = view.native("Signed").is_some_and(|signed| signed.eq_ignore_ascii_case("false"))
        || view.native("SignatureStatus").is_some_and(|status| !status.eq_ignore_ascii_case("valid"));
    let library = pattern(&lower, r"\.(dll|cpl|ocx|wll|xll|tmp|dat)$") && !lower.ends_with(".ni.dll");
    let trusted = program.starts_with(r"c:\windows\") || program.starts_with(r"c:\program files");
    let beside = is_writable_folder(&lower) || lower.starts_with(r"\\");
    (unsigned && library && trusted && beside && !is_protection(&lower)).then(|| {
        format!("{} on {} loaded the unsigned library {}", view.actor_name(), view.host(), quoted(module))
    })
}

fn system_library_planted(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let name = crate::view::base_name(&lower);
    let by = view.actor_name();
    let installer = matches!(
        by.as_str(),
        "tiworker.exe"
            | "trustedinstaller.exe"
            | "msiexec.exe"
            | "poqexec.exe"
            | "svchost.exe"
            | "wuauclt.exe"
            | "dismhost.exe"
            | "drvinst.exe"
            | "setup.exe"
    );
    let place =
        contains_any(
            &lower,
            &[r"\windows\system32\", r"\windows\syswow64\", r"\windows\system32\wbem\", r"\windows\"],
        ) && !contains_any(&lower, &[r"\winsxs\", r"\softwaredistribution\", r"\assembly\", r"\temp\"]);
    (place && PLANTED_LIBRARIES.contains(&name.as_str()) && !installer)
        .then(|| format!("{by} on {} wrote {}, which system programs load", view.host(), quoted(path)))
}

fn driver_loaded(view: View<'_>) -> Option<String> {
    if !(view.is_sysmon() && view.code() == "6") {
        return None;
    }
    let driver = view.0.field(field::MODULE_PATH)?;
    let lower = driver.to_lowercase();
    let unsigned = view.native("Signed").is_some_and(|signed| signed.eq_ignore_ascii_case("false"))
        || view
            .native("SignatureStatus")
            .is_some_and(|status| !contains_any(&status.to_lowercase(), &["valid"]));
    let odd = is_writable_folder(&lower)
        || contains_any(
            &lower,
            &[
                "rtcore64",
                "gdrv",
                "capcom",
                "mimidrv",
                "dbutil",
                "procexp",
                "winring0",
                "zemana",
                "aswarpot",
                "mhyprot",
                "kprocesshacker",
            ],
        );
    (unsigned || odd).then(|| format!("the driver {} was loaded on {}", quoted(driver), view.host()))
}

fn print_driver_planted(view: View<'_>) -> Option<String> {
    let file =
        view.0.field(field::FILE_PATH).or_else(|| view.0.field(field::MODULE_PATH)).unwrap_or_default();
    let lower = file.to_lowercase();
    let by = view.actor_name();
    let planted = (view.is_file_write() || view.0.class == Class::ModuleActivity)
        && by == "spoolsv.exe"
        && pattern(&lower, r"\\spool\\drivers\\(x64|w32x86)\\(3|4)\\(new\\|old\\)?\S*\.dll$")
        && !pattern(
            &lower,
            r"\\(unidrv|unidrvui|ps5ui|pscript5|mxdwdrv|printconfig|tsprint|pjlmon|unires|xpssvcs|fxs\w+)\.dll$",
        );
    let event = matches!(view.code(), "316" | "808" | "354" | "821")
        && view.native("Channel").is_some_and(|channel| channel.to_lowercase().contains("printservice"));
    (planted || event)
        .then(|| format!("the print service on {} took in a driver: {}", view.host(), quoted(file)))
}

fn tool_pipe(view: View<'_>) -> Option<String> {
    let pipe = view.native("PipeName").or_else(|| view.native("RelativeTargetName"))?.to_lowercase();
    let named = pattern(
        &pipe,
        r"^\\?(msagent_[0-9a-f]+|postex_(ssh_)?[0-9a-f]+|mojo\.5688\.8052\.\S+|msse-[0-9a-f]+-server|status_[0-9a-f]+|win_svc\S*|interprocess\S*|lsadump|cachedump|wceservicepipe|gruntsvc|583da945-62af-10e8-4902-a8f205c72b2e|jaccdpqnvbrrxlaf|remcom_\S+|csexec\S*|paexec\S+|psexesvc\S*|efs\S*potato|spoolss_\S+|atsvc_\S+|dserv|demoagent_\S+|ahexec|isapi_\S+|sdlrpc|pipe_0x[0-9a-f]+|roguepotato\S*|[0-9a-f-]{8,}\\pipe\\(spoolss|srvsvc|epmapper))|-(stdin|stdout|stderr)$",
    ) || pattern(&pipe, r"\\pipe\\(spoolss|srvsvc|epmapper|lsarpc)$")
        && pipe.matches('\\').count() > 2;
    let event = matches!(view.code(), "17" | "18" | "5145");
    (event && named).then(|| {
        format!(
            "the pipe {} on {} is one that attack or remote execution tools use",
            quoted(&pipe),
            view.host()
        )
    })
}

/// The log that a planted security package writes passwords to.
fn captured_passwords_file(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    pattern(&path.to_lowercase(), r"\\(mimilsa|kiwissp|kiwifilter|kiwidns|kiwisub|kiwinp)\.log$")
        .then(|| format!("a file of captured passwords was written on {}: {}", view.host(), quoted(path)))
}

/// The client's library of remote desktop in a program that shows no desktop: how tools drive one unseen.
fn remote_desktop_library(view: View<'_>) -> Option<String> {
    let module = view.0.field(field::MODULE_PATH).map(crate::view::base_name)?;
    let program = view.actor_name();
    let usual = matches!(
        program.as_str(),
        "mstsc.exe"
            | "msrdc.exe"
            | "mmc.exe"
            | "rdcman.exe"
            | "explorer.exe"
            | "vmconnect.exe"
            | "wksprt.exe"
            | ""
    );
    (view.0.class == Class::ModuleActivity && module == "mstscax.dll" && !usual)
        .then(|| format!("{program} on {} loaded the remote desktop client {module}", view.host()))
}

fn browser_store_read(view: View<'_>) -> Option<String> {
    let object = view.native("ObjectName").or_else(|| view.0.field(field::FILE_PATH))?.to_lowercase();
    let store = pattern(
        &object,
        r"\\(login data|logins\.json|key[34]\.db|signons\.sqlite|web data)$|\\vault\\.*\.(vcrd|vpol)$|\\microsoft\\credentials\\[0-9a-f]{16,}",
    );
    let reader = view.actor_path().or_else(|| view.native("ProcessName")).unwrap_or_default().to_lowercase();
    let browser = contains_any(
        &reader,
        &[
            "chrome",
            "firefox",
            "msedge",
            "opera",
            "brave",
            "iexplore",
            r"\explorer.exe",
            r"\lsass.exe",
            r"\svchost.exe",
            r"\taskhost",
            r"\searchprotocolhost",
        ],
    );
    (store && !browser && !reader.is_empty()).then(|| {
        format!("{} on {} reached for stored credentials: {}", quoted(&reader), view.host(), quoted(&object))
    })
}

fn secrets_key_read(view: View<'_>) -> Option<String> {
    let object = view.native("ObjectName").or_else(|| view.0.field(field::REGISTRY_KEY))?.to_lowercase();
    let secrets = pattern(
        &object,
        r"\\security\\policy\\secrets|\\sam\\domains\\account\\users|\\security\\cache$|\\control\\lsa\\(jd|skew1|gbg|data)$",
    );
    let reader = view.actor_path().or_else(|| view.native("ProcessName")).unwrap_or_default().to_lowercase();
    let system = contains_any(&reader, &[r"\lsass.exe", r"\svchost.exe", r"\services.exe", r"\wininit.exe"]);
    (secrets && !system && !reader.is_empty() && matches!(view.code(), "4656" | "4663" | "12" | "13"))
        .then(|| format!("{} on {} opened the keys of local secrets", quoted(&reader), view.host()))
}
