//! What the system counts: CPU time and memory of a process, and how busy the machine was beside it.

use std::io;
use std::time::Instant;

/// What an ended process used, as the system counted it for its parent.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// User and system time of all its threads.
    pub cpu_seconds: f64,
    /// The most memory it had resident at once.
    pub rss_mib: f64,
    pub success: bool,
}

/// What a child used, if it has ended; it is reaped then.
pub fn reap(pid: u32) -> io::Result<Option<Used>> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage, and wait4 writes to the two places it is given.
    let (reaped, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid as libc::pid_t, &mut status, libc::WNOHANG, &mut usage), usage)
    };
    match reaped {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some(Used {
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            rss_mib: resident_mib(usage.ru_maxrss as f64),
            success: libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        })),
    }
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// Linux counts it in KiB, macOS in bytes.
fn resident_mib(maxrss: f64) -> f64 {
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    maxrss * unit / (1 << 20) as f64
}

/// CPU seconds of this process so far.
pub fn process_cpu() -> f64 {
    // SAFETY: all zeroes is a valid rusage, and getrusage writes to the place it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// CPU seconds of this thread.
pub fn thread_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec to a valid place.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How busy the whole machine is from now on.
pub struct Machine {
    started: Instant,
    busy: Option<f64>,
}

impl Machine {
    pub fn watch() -> Machine {
        Machine { started: Instant::now(), busy: busy_seconds() }
    }

    /// How many cores, on average, worked for others than a process that used so much.
    pub fn others(&self, cpu_seconds: f64) -> Option<f64> {
        let all = busy_seconds()? - self.busy?;
        Some(((all - cpu_seconds) / self.started.elapsed().as_secs_f64()).max(0.0))
    }
}

/// CPU seconds that all cores were not idle since the machine started; where it has a /proc.
fn busy_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let mut times = stat.lines().next()?.split_whitespace().skip(1).map(|t| t.parse::<f64>());
    let mut next = || times.next()?.ok();
    let (user, nice, system, _idle, _waits) = (next()?, next()?, next()?, next()?, next()?);
    let (irq, softirq, steal) = (next()?, next()?, next()?);
    // SAFETY: asks for a number and touches no memory.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Some((user + nice + system + irq + softirq + steal) / ticks_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    // The function under test does the waiting.
    #[allow(clippy::zombie_processes)]
    #[test]
    fn a_child_is_reaped_with_what_it_used() {
        for (code, success) in [("exit 0", true), ("exit 3", false), ("kill -9 $$", false)] {
            let child = Command::new("sh").args(["-c", code]).spawn().unwrap();
            let used = loop {
                if let Some(used) = reap(child.id()).unwrap() {
                    break used;
                }
                std::thread::yield_now();
            };
            assert_eq!(used.success, success, "{code}");
            assert!(used.cpu_seconds >= 0.0 && used.rss_mib > 0.0, "{used:?}");
        }
    }

    #[test]
    fn the_machine_is_at_least_as_busy_as_this_thread() {
        let before = thread_cpu();
        while thread_cpu() < before + 0.02 {}
        assert!(thread_cpu() >= before + 0.02);
        if let Some(others) = Machine::watch().others(0.0) {
            assert!(others >= 0.0);
        }
    }
}
