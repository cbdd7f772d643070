//! Microsoft's interlocked intrinsics in a compiled driver that tells of its memory: each does what it does on Windows.
//! They are tried in DriverEntry, which says by its status which of them did not.
#![cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]

#[path = "support/notice.rs"]
mod notice;

use std::path::{Path, PathBuf};
use std::process::Command;

use lockstorm::device::model::Model;
use lockstorm::harness::{Compiled, Harness, Target};

const SOURCE: &str = r"
static char Char;
static short Short;
static long Long = 5;
static __int64 Quad = -1;
static void *Pointer;

unsigned DriverEntry(void *driver, void *path) {
    unsigned tried = 0;
#define TRY(does) if (tried++, !(does)) return 0xC0000000u + tried
    TRY(_InterlockedIncrement(&Long) == 6 && Long == 6);
    TRY(_InterlockedDecrement(&Long) == 5 && Long == 5);
    TRY(_InterlockedExchange(&Long, 9) == 5 && Long == 9);
    TRY(_InterlockedExchangeAdd(&Long, -2) == 9 && Long == 7);
    TRY(_InterlockedCompareExchange(&Long, 1, 7) == 7 && Long == 1);
    TRY(_InterlockedCompareExchange(&Long, 3, 7) == 1 && Long == 1);
    TRY(_InterlockedOr(&Long, 6) == 1 && Long == 7);
    TRY(_InterlockedAnd(&Long, ~2L) == 7 && Long == 5);
    TRY(_InterlockedXor(&Long, -1) == 5 && Long == -6);
    TRY(_InterlockedExchange8(&Char, -3) == 0 && Char == -3);
    TRY(_InterlockedExchangeAdd8(&Char, 4) == -3 && Char == 1);
    TRY(_InterlockedDecrement16(&Short) == -1 && Short == -1);
    TRY(_InterlockedCompareExchange16(&Short, 2, -1) == -1 && Short == 2);
    TRY(_InterlockedIncrement64(&Quad) == 0 && Quad == 0);
    TRY(_InterlockedExchangeAdd64(&Quad, 1LL << 40) == 0 && Quad == 1LL << 40);
    TRY(_InterlockedCompareExchange64(&Quad, 4, 1LL << 40) == 1LL << 40 && Quad == 4);
    TRY(_InterlockedExchangePointer(&Pointer, &Long) == 0 && Pointer == &Long);
    TRY(_InterlockedCompareExchangePointer(&Pointer, 0, &Long) == &Long && Pointer == 0);
    __atomic_store_n(&Long, 8, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    TRY(__atomic_load_n(&Long, __ATOMIC_ACQUIRE) == 8);
    return 0xC0000000u + (driver == path);
}
";

/// Builds the driver; `None` on a machine without the tools, which is said.
fn build() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interlocked");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("entry.c"), SOURCE).expect("a file");
    let exports = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/lib/lockstorm.def");
    let exports = exports.to_str().expect("a path that is text");
    let library = ["-m", "i386:x86-64", "-d", exports, "-l", "lockstorm.lib"];
    let compile = "--target=x86_64-pc-windows-msvc -O1 -Xclang -fsanitize=thread -mllvm -tsan-distinguish-volatile \
                   -mllvm -tsan-instrument-func-entry-exit=0 -c entry.c -o entry.obj";
    let compile: Vec<&str> = compile.split(' ').collect();
    let link = "/driver /subsystem:native /entry:DriverEntry /nodefaultlib entry.obj lockstorm.lib /out:entry.sys";
    let link: Vec<&str> = link.split(' ').collect();
    for (tool, arguments) in
        [("llvm-dlltool", &library[..]), ("clang", &compile), ("lld-link", &link)]
    {
        match Command::new(tool).args(arguments).current_dir(&folder).output() {
            Ok(output) => assert!(output.status.success(), "{tool}: {output:?}"),
            Err(_) => {
                notice::left_out("interlocked", &format!("there is no {tool}"));
                return None;
            }
        }
    }
    Some(folder.join("entry.sys"))
}

#[test]
fn intrinsics_do_what_they_do_on_windows() {
    let Some(path) = build() else { return };
    let target = Target::Compiled(Compiled { path, device: Model::Bare, pci: None });
    let Err(error) = Harness::open(&target, Box::leak(Box::default())) else {
        panic!("DriverEntry fails always")
    };
    assert!(error.to_string().contains("DriverEntry returns 0xc0000000"), "{error}");
}
