//! What a process used, as the kernel counts it.

use anyhow::Context as _;
use procfs::WithCurrentSystemInfo as _;
use procfs::process::Process;

/// One look at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// CPU time in user mode, in seconds.
    pub(crate) user: f64,
    /// CPU time in the kernel, in seconds.
    pub(crate) system: f64,
    /// Resident memory now, in bytes.
    pub(crate) resident: u64,
    /// The most resident memory so far, in bytes.
    pub(crate) resident_peak: u64,
    /// Open file handles.
    pub(crate) files: usize,
}

impl Usage {
    /// Looks at a process (and nothing it may have started).
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let process = Process::new(i32::try_from(pid)?).context("the process is gone")?;
        let stat = process.stat()?;
        let status = process.status()?;
        let ticks = procfs::ticks_per_second() as f64;
        Ok(Self {
            user: stat.utime as f64 / ticks,
            system: stat.stime as f64 / ticks,
            resident: status
                .vmrss
                .unwrap_or_else(|| stat.rss_bytes().get() / 1_024)
                * 1_024,
            resident_peak: status.vmhwm.unwrap_or_default() * 1_024,
            files: process.fd_count()?,
        })
    }

    /// Looks at this process.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Self::of(std::process::id())
    }

    /// CPU time, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.user + self.system
    }
}
