//! Shortens Windows paths and registry keys in templates: folders near the root and the names of programs
//! say what kind of thing happens, the rest varies.

/// Components kept of a file path, the drive included.
const FILE_COMPONENTS: usize = 4;
/// Components kept of a registry key, the hive included: `HKLM\Software\Microsoft\Windows\CurrentVersion\Run`.
const KEY_COMPONENTS: usize = 6;
/// Longest component that may contain spaces.
const MAX_COMPONENT: usize = 48;

const HIVES: [&str; 9] = [
    "HKLM",
    "HKU",
    "HKCR",
    "HKCU",
    "HKEY_LOCAL_MACHINE",
    "HKEY_USERS",
    "HKEY_CLASSES_ROOT",
    "HKEY_CURRENT_USER",
    "\\REGISTRY",
];
/// Extensions of what runs; its name is kept.
const PROGRAMS: [&str; 12] =
    ["exe", "bat", "cmd", "ps1", "vbs", "js", "hta", "msi", "scr", "com", "py", "jar"];

/// Appends the path that `text` starts with in short form; its length, or `None` if there is no path.
pub(super) fn shorten(text: &str, masked: &mut String, mask: fn(&str, &mut String)) -> Option<usize> {
    let (kept, first) = root(text)?;
    let is_key = kept == KEY_COMPONENTS;
    masked.push_str(text.get(..first)?);
    let mut at = first;
    let mut count = 1;
    let mut in_users = false;
    loop {
        // At a backslash.
        let rest = text.get(at + 1..)?;
        let Some(length) = inner_component(rest) else {
            let length = last_component(rest);
            if length > 0 {
                masked.push('\\');
                push_last(rest.get(..length)?, count < kept, is_key, masked, mask);
            }
            return Some(at + 1 + length);
        };
        let component = rest.get(..length)?;
        match count.cmp(&kept) {
            std::cmp::Ordering::Less if in_users => masked.push_str("\\<user>"),
            std::cmp::Ordering::Less => {
                masked.push('\\');
                mask(component, masked);
            }
            std::cmp::Ordering::Equal => masked.push_str("\\…"),
            std::cmp::Ordering::Greater => {}
        }
        in_users =
            count == 1 && (component.eq_ignore_ascii_case("Users") || component == "Documents and Settings");
        count += 1;
        at += 1 + length;
    }
}

/// How many components to keep, and the length of the first.
fn root(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    if bytes.first()?.is_ascii_alphabetic() && bytes.get(1) == Some(&b':') && bytes.get(2) == Some(&b'\\') {
        return Some((FILE_COMPONENTS, 2));
    }
    if let Some(hive) = HIVES.iter().find(|hive| {
        bytes.get(hive.len()) == Some(&b'\\')
            && text.get(..hive.len()).is_some_and(|head| head.eq_ignore_ascii_case(hive))
    }) {
        // Private hives of applications (`\REGISTRY\A\{…}\Root\…`) hold nothing that all machines share.
        let kept = if hive.starts_with('\\') { FILE_COMPONENTS } else { KEY_COMPONENTS };
        return Some((kept, hive.len()));
    }
    text.starts_with("\\Device\\").then_some((FILE_COMPONENTS + 1, "\\Device".len()))
}

/// Length of a component that another follows.
fn inner_component(rest: &str) -> Option<usize> {
    let length = rest.bytes().take(MAX_COMPONENT + 1).position(|byte| byte == b'\\')?;
    let component = rest.get(..length)?;
    let ends = component.contains(['"', '\'', ',', ';', ':', '=', '<', '>', '|']);
    // `cmd.exe /c dir \x`: the program was the last component.
    let program = component.split_once(' ').is_some_and(|(head, _)| head.contains('.'));
    (!ends && !program && !component.contains(" by ")).then_some(length)
}

/// Length of the last component.
fn last_component(rest: &str) -> usize {
    rest.bytes()
        .position(|byte| {
            matches!(byte, b' ' | b'"' | b'\'' | b',' | b';' | b'=' | b'<' | b'>' | b'|' | b'\\')
        })
        .unwrap_or(rest.len())
}

fn push_last(name: &str, shown: bool, is_key: bool, masked: &mut String, mask: fn(&str, &mut String)) {
    let extension =
        name.rsplit_once('.').map(|(_, extension)| extension).filter(|e| (1..=5).contains(&e.len()));
    match extension {
        Some(extension) if PROGRAMS.iter().any(|program| extension.eq_ignore_ascii_case(program)) => {
            mask(name, masked);
        }
        Some(extension) if !is_key => {
            masked.push_str("*.");
            mask(extension, masked);
        }
        _ if shown => mask(name, masked),
        _ => masked.push('*'),
    }
}
