//! The cage of a worker that runs a compiled driver: untrusted machine code in our own process.
//!
//! From [`enter`] on the kernel grants this process no file, no network, no other process and no program: it
//! may compute, use memory, read its standard input, write to its standard output and error, look at clocks, and
//! end. Everything else fails with EPERM. What a worker needs of files it has opened before; what it finds, its
//! parent writes down.
//!
//! The cage guards the machine against the driver, not the worker: a driver can still spoil the memory of its own
//! process, and say anything to the parent, which believes nothing that it cannot check.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// Allowed whatever their arguments.
const PLAIN: &[libc::c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Time, and waiting for it or for another thread of this process.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_futex,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_setitimer,
    // What a thread does first, which was started before and may run only now.
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    // Signals, and what the process knows of itself.
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // The end.
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Locks the whole process up, for good.
///
/// # Errors
///
/// The kernel has no seccomp, or the host's processor is none that the filter's library knows.
pub(super) fn enter() -> Result<(), Error> {
    let rules: BTreeMap<_, _> = PLAIN
        .iter()
        .map(|&call| Ok((call, Vec::new())))
        .chain([
            only(libc::SYS_read, 0, &[0]),
            only(libc::SYS_write, 0, &[1, 2]),
            only(libc::SYS_writev, 0, &[1, 2]),
            // Memory that is no file's.
            only(libc::SYS_mmap, 4, &[u64::from(u32::MAX)]),
            // A signal to oneself, as `abort` sends it.
            only(libc::SYS_tgkill, 0, &[u64::from(std::process::id())]),
        ])
        .collect::<Result<_, Error>>()?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)
}

/// A call that is allowed if its argument number `argument`, 32 bits of it, is one of `values`.
fn only(
    call: libc::c_long,
    argument: u8,
    values: &[u64],
) -> Result<(libc::c_long, Vec<SeccompRule>), Error> {
    let rule = |&value| {
        let (width, equal) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        Ok(SeccompRule::new(vec![SeccompCondition::new(argument, width, equal, value)?])?)
    };
    Ok((call, values.iter().map(rule).collect::<Result<_, Error>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the child of the test tries; bit n of its exit status says that attempt n was allowed.
    fn attempts() -> i32 {
        let allowed = |result: i64| i32::from(result >= 0);
        // SAFETY: plain system calls with valid arguments, in a child that does nothing else.
        unsafe {
            let path = c"/etc/hostname".as_ptr();
            let null = std::ptr::null_mut();
            let file = libc::open(path, libc::O_RDONLY);
            let made = libc::mkdir(c"/tmp/lockstorm-was-not-caged".as_ptr(), 0o700);
            let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            let program = libc::execv(path, [path, std::ptr::null()].as_ptr());
            let other = libc::kill(libc::getppid(), 0);
            let (access, kind) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let memory = libc::mmap(null, 4096, access, kind, -1, 0);
            let said = libc::write(2, b"".as_ptr().cast(), 0);
            allowed(file.into())
                | allowed(made.into()) << 1
                | allowed(socket.into()) << 2
                | allowed(program.into()) << 3
                | allowed(other.into()) << 4
                | i32::from(memory != libc::MAP_FAILED) << 5
                | allowed(said as i64) << 6
        }
    }

    #[test]
    fn a_caged_process_has_memory_and_its_pipes_and_nothing_else() {
        // SAFETY: the child makes system calls only, builds its filter with the allocator of a process in which no
        // other thread can hold it (glibc guards its own across a fork), and ends with _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = if enter().is_ok() { attempts() } else { 0x7F };
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) }
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status), "{status:#x}");
        assert_eq!(libc::WEXITSTATUS(status), 0b110_0000);
    }
}
