//! How a command ends: exit codes, and errors that say what to do.

use std::fmt;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// Why the process ended. Scripts rely on the numbers: they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for was done.
    Ok,
    /// It did not work: the message says why.
    Failure,
    /// The command line was not understood.
    Usage,
    /// The configuration, or a secret it refers to, is wrong.
    Config,
    /// The server, or the address to send to, does not answer.
    Unreachable,
    /// A check found something wrong: `demo`, `doctor`, `config check`.
    CheckFailed,
    /// The data directory or the address to listen on cannot be used.
    Unusable,
    /// Stopped by a second signal before everything was drained.
    Aborted,
}

impl Exit {
    /// Every way to end, as documented in the help text.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Config,
        Self::Unreachable,
        Self::CheckFailed,
        Self::Unusable,
        Self::Aborted,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Unreachable => 4,
            Self::CheckFailed => 5,
            Self::Unusable => 6,
            Self::Aborted => 130,
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failure => "it did not work; the message says why",
            Self::Usage => "the command line was not understood",
            Self::Config => "the configuration, or a secret it refers to, is wrong",
            Self::Unreachable => "the server, or the address to send to, does not answer",
            Self::CheckFailed => "a check found something wrong (demo, doctor, config check)",
            Self::Unusable => "the data directory or the address to listen on cannot be used",
            Self::Aborted => "stopped by a second signal before everything was drained",
        }
    }

    /// The table of exit codes for the help text.
    pub(crate) fn table() -> String {
        let line = |exit: Self| format!("  {:>3}  {}", exit.code(), exit.meaning());
        let lines: Vec<String> = Self::ALL.into_iter().map(line).collect();
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what was asked: what happened, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened, each as a fragment with its own remedy. Never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What, and where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with nothing to be said about its remedy.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        let problems = vec![Problem {
            message,
            hint: None,
        }];
        Self { exit, problems }
    }

    /// The same with the remedy of the last problem.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(problem) = self.problems.last_mut() {
            problem.hint = Some(hint.into());
        }
        self
    }

    /// A failure from an error whose text may carry its remedy behind `; `.
    pub fn from_text(exit: Exit, text: &str) -> Self {
        match text.rsplit_once("; ") {
            Some((message, hint)) => Self::new(exit, message).hint(hint),
            None => Self::new(exit, text),
        }
    }

    /// Prints the failure for people, on standard error.
    pub(crate) fn report(&self) {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
        for problem in &self.problems {
            anstream::eprintln!("{red}error{red:#}: {}", problem.message);
            if let Some(hint) = &problem.hint {
                anstream::eprintln!("  {cyan}hint{cyan:#}: {hint}");
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "; {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// What every command returns.
pub type Outcome = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told_apart_and_documented() {
        let mut codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(codes.is_sorted());
        for exit in Exit::ALL {
            assert!(Exit::table().contains(exit.meaning()));
        }
    }

    #[test]
    fn the_remedy_of_an_error_becomes_its_hint() {
        let failure = Failure::from_text(Exit::Unusable, "it is taken; choose another");
        assert_eq!(failure.problems[0].message, "it is taken");
        assert_eq!(failure.problems[0].hint.as_deref(), Some("choose another"));
    }
}
