//! How do a site's files become a [`Site`]? Read in order of their names, checked, put together.

use super::when::{self, Period, Window};
use super::written::{self, Lined, MAX_BYTES, MAX_ENTRIES, lined, list};
use super::{Administrator, Asset, Maintenance, Place, Scanner, ServiceAccount, Site, Ticket, Tool};
use crate::Error;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// A TOML file as written. Any file may hold any table.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    #[serde(default)]
    name: String,
    time_zone: Option<String>,
    #[serde(default)]
    asset: Vec<Spanned<Asset>>,
    #[serde(default)]
    administrator: Vec<Spanned<Administrator>>,
    #[serde(default)]
    tool: Vec<Spanned<Tool>>,
    #[serde(default)]
    scanner: Vec<Spanned<Scanner>>,
    #[serde(default)]
    service_account: Vec<Spanned<ServiceAccount>>,
    #[serde(default)]
    ticket: Vec<Spanned<WrittenTicket>>,
    #[serde(default)]
    maintenance: Vec<Spanned<WrittenMaintenance>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTicket {
    ticket: String,
    #[serde(deserialize_with = "list")]
    hosts: Vec<String>,
    #[serde(deserialize_with = "list")]
    accounts: Vec<String>,
    from: String,
    to: String,
    #[serde(default, deserialize_with = "list")]
    programs: Vec<String>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMaintenance {
    name: String,
    #[serde(deserialize_with = "list")]
    hosts: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    days: Vec<String>,
    from: String,
    to: String,
    #[serde(default)]
    note: String,
}

/// Everything that was written in one file.
#[derive(Default)]
struct Written {
    name: String,
    time_zone: Option<String>,
    assets: Vec<Lined<Asset>>,
    administrators: Vec<Lined<Administrator>>,
    tools: Vec<Lined<Tool>>,
    scanners: Vec<Lined<Scanner>>,
    service_accounts: Vec<Lined<ServiceAccount>>,
    tickets: Vec<Lined<WrittenTicket>>,
    maintenance: Vec<Lined<WrittenMaintenance>>,
}

/// The CSV files that mean something.
const CSV_FILES: &str = "assets.csv, administrators.csv, tools.csv, scanners.csv, service_accounts.csv, tickets.csv, \
                         maintenance.csv";

impl Site {
    /// Reads what a site has written: one TOML file, or all `*.toml` and `*.csv` files of a directory.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Site`] with the file, the line, what is wrong there and what to write instead.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let files = if path.is_dir() { files_of(path)? } else { vec![path.to_path_buf()] };
        let mut all = Vec::new();
        for file in files {
            let written = read(&file)?;
            all.push((file, written));
        }
        Self::of(all).map_err(|(path, reason)| Error::Site { path, reason })
    }

    /// Reads the text of a single TOML file.
    ///
    /// # Errors
    /// Which line and key is wrong, why, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written = toml_text(text)?;
        Self::of(vec![(PathBuf::from("site.toml"), written)]).map_err(|(_, reason)| reason)
    }

    /// Checks and puts together. An error names its file.
    fn of(files: Vec<(PathBuf, Written)>) -> Result<Self, (PathBuf, String)> {
        let mut site = Self::default();
        let mut zone: Option<TimeZone> = None;
        for (path, written) in &files {
            if let Some(name) = &written.time_zone {
                if zone.is_some() {
                    return Err((
                        path.clone(),
                        "time_zone is written in another file, too; keep one".to_owned(),
                    ));
                }
                zone = Some(when::zone(name).map_err(|reason| (path.clone(), reason))?);
            }
        }
        for (path, written) in files {
            site.take(&path, written, zone.as_ref()).map_err(|reason| (path, reason))?;
        }
        Ok(site)
    }

    fn take(&mut self, path: &Path, written: Written, zone: Option<&TimeZone>) -> Result<(), String> {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = |line: usize| Place { file: file.clone(), line };
        if !written.name.is_empty() {
            self.name = written.name;
        }
        for (line, asset) in written.assets {
            self.assets.push(Asset { place: place(line), ..asset });
        }
        for (line, administrator) in written.administrators {
            self.administrators.push(Administrator { place: place(line), ..administrator });
        }
        for (line, tool) in written.tools {
            check_tool(&tool).map_err(|reason| format!("line {line}: {reason}"))?;
            self.tools.push(Tool { place: place(line), ..tool });
        }
        for (line, scanner) in written.scanners {
            self.scanners.push(Scanner { place: place(line), ..scanner });
        }
        for (line, account) in written.service_accounts {
            needed("hosts", &account.hosts, "it is used on")
                .map_err(|reason| format!("line {line}: {reason}"))?;
            self.service_accounts.push(ServiceAccount { place: place(line), ..account });
        }
        for (line, ticket) in written.tickets {
            let ticket =
                ticket.resolved(place(line), zone).map_err(|reason| format!("line {line}: {reason}"))?;
            self.tickets.push(ticket);
        }
        for (line, planned) in written.maintenance {
            let planned =
                planned.resolved(place(line), zone).map_err(|reason| format!("line {line}: {reason}"))?;
            self.maintenance.push(planned);
        }
        if self.entries() > MAX_ENTRIES {
            return Err(format!(
                "with it there are more than {MAX_ENTRIES} entries; remove those that are over"
            ));
        }
        Ok(())
    }

    /// How many entries there are in all.
    pub fn entries(&self) -> usize {
        self.assets.len()
            + self.administrators.len()
            + self.tools.len()
            + self.scanners.len()
            + self.service_accounts.len()
            + self.tickets.len()
            + self.maintenance.len()
    }
}

impl WrittenTicket {
    fn resolved(self, place: Place, zone: Option<&TimeZone>) -> Result<Ticket, String> {
        needed("hosts", &self.hosts, "it is about")?;
        needed("accounts", &self.accounts, "that carry it out")?;
        for program in &self.programs {
            if !program.contains(['\\', '/']) && !program.trim().contains(' ') {
                return Err(format!(
                    "programs: {program:?} is a bare name; write the full path or the whole command line, because \
                     anybody can choose a name"
                ));
            }
        }
        let period = Period::parse(&self.from, &self.to, zone)?;
        let Self { ticket, hosts, accounts, programs, note, .. } = self;
        Ok(Ticket { ticket, hosts, accounts, period, programs, note, place })
    }
}

impl WrittenMaintenance {
    fn resolved(self, place: Place, zone: Option<&TimeZone>) -> Result<Maintenance, String> {
        needed("hosts", &self.hosts, "it is about, or * for all")?;
        let window = Window::parse(&self.days, &self.from, &self.to, zone)?;
        let Self { name, hosts, note, .. } = self;
        Ok(Maintenance { name, hosts, window, note, place })
    }
}

fn needed(key: &str, values: &[String], which: &str) -> Result<(), String> {
    if values.is_empty() { Err(format!("{key} is empty; name those {which}")) } else { Ok(()) }
}

fn check_tool(tool: &Tool) -> Result<(), String> {
    for (key, path) in [("path", &tool.path), ("parent", &tool.parent)] {
        if !path.contains(['\\', '/']) {
            return Err(format!(
                "tool {:?}: {key} {path:?} is a bare name; write the full path, because anybody can choose a name",
                tool.name
            ));
        }
    }
    needed("accounts", &tool.accounts, "it runs under")
        .map_err(|reason| format!("tool {:?}: {reason}", tool.name))
}

/// Files of a directory that say something of the site, in order of their names.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: dir.to_path_buf(), source };
    let mut files = Vec::new();
    for entry in fs_err::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && matches!(extension(&path), "toml" | "csv") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default()
}

fn read(path: &Path) -> Result<Written, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let refused = |reason: String| Error::Site { path: path.to_path_buf(), reason };
    let size = fs_err::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(refused(format!("it has {size} bytes and the limit is {MAX_BYTES}; split it")));
    }
    let bytes = fs_err::read(path).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        refused(format!("line {line}: it is not UTF-8; save it as \"CSV UTF-8\""))
    })?;
    let stem = path.file_stem().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let written = if extension(path) == "csv" { csv_text(stem, text) } else { toml_text(text) };
    written.map_err(refused)
}

fn toml_text(text: &str) -> Result<Written, String> {
    let file: Toml = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok(Written {
        name: file.name,
        time_zone: file.time_zone,
        assets: lined(text, file.asset),
        administrators: lined(text, file.administrator),
        tools: lined(text, file.tool),
        scanners: lined(text, file.scanner),
        service_accounts: lined(text, file.service_account),
        tickets: lined(text, file.ticket),
        maintenance: lined(text, file.maintenance),
    })
}

fn csv_text(name: &str, text: &str) -> Result<Written, String> {
    let mut file = Written::default();
    match name {
        "assets" => file.assets = written::rows(text)?,
        "administrators" => file.administrators = written::rows(text)?,
        "tools" => file.tools = written::rows(text)?,
        "scanners" => file.scanners = written::rows(text)?,
        "service_accounts" => file.service_accounts = written::rows(text)?,
        "tickets" => file.tickets = written::rows(text)?,
        "maintenance" => file.maintenance = written::rows(text)?,
        _ => return Err(format!("a CSV file is known by its name, one of {CSV_FILES}")),
    }
    Ok(file)
}
