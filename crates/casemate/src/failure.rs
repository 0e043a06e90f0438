//! Which exit status does an error mean? 2 for what the caller can correct in the command, 1 for the rest.

use std::fmt;
use std::process::ExitCode;

/// An error with its exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// Bad usage or input: exit status 2.
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, error: error.into() }
    }

    /// Prints the error with its causes and returns the exit status.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("casemate: {}", describe(&self.error));
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.error))
    }
}

/// The error and those of its causes that say something it does not.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, error: error.into() }
    }
}

pub(crate) type Outcome<T = ExitCode> = Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let inner = std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(inner).context("cannot write: disk on fire").context("saving");
        assert_eq!(describe(&error), "saving: cannot write: disk on fire");
    }
}
