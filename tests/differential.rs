//! One core, twice: compiled into this process, and as a Windows driver in a `.sys`. They must not differ in a single
//! event, sites aside. This is the proof that the ABI, the wrappers of `real` and the loader are right.

#![cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]

#[path = "support/notice.rs"]
mod notice;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use lockstorm::device::model::Model;
use lockstorm::event::{Event, Kind};
use lockstorm::harness::{BuiltIn, Compiled, Harness, Target};
use lockstorm::storport::Irql;
use support::Inputs;

const SCENARIOS: usize = 10_000;

/// The driver, built anew; or why it cannot be.
fn build() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("scripts/build-sys"))
        .arg("-o")
        .arg(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(folder.join("nvme.sys")),
        // What is missing, a line each.
        Some(2) => Err(said.split_whitespace().collect::<Vec<_>>().join(" ")),
        _ => panic!("the driver does not build:\n{said}"),
    }
}

/// An event without its site: the one thing in which the two may differ.
fn but_for_the_site(event: &Event) -> (u64, u8, Irql, u8, Kind) {
    (event.time, event.processor, event.irql, event.depth, event.kind)
}

#[test]
fn the_compiled_driver_and_the_core_do_the_same() {
    let path = match build() {
        Ok(path) => path,
        Err(missing) => {
            let why = format!("nvme.sys cannot be built here: {missing}");
            return notice::left_out("the differential test", &why);
        }
    };
    let target = Target::Compiled(Compiled { path, device: Model::Nvme, pci: None });
    let mut compiled = Harness::open(&target, Box::leak(Box::default())).expect("nvme.sys loads");
    let mut core = Harness::alone(BuiltIn::Nvme);
    compiled.record(true);
    core.record(true);
    let mut inputs = Inputs::new(0xD1FF);
    let mut events = 0;
    for n in 0..SCENARIOS {
        let bytes = inputs.bytes(320);
        let ends = (compiled.run_bytes(&bytes).end, core.run_bytes(&bytes).end);
        let (left, right) = (compiled.events(), core.events());
        for (at, (left, right)) in left.iter().zip(right).enumerate() {
            let pair = (but_for_the_site(left), but_for_the_site(right));
            assert_eq!(
                pair.0, pair.1,
                "scenario {n}, event {at}: .sys at {}, core at {}",
                left.site, right.site
            );
        }
        assert_eq!((left.len(), ends.0), (right.len(), ends.1), "scenario {n}");
        events += left.len();
    }
    println!("{SCENARIOS} scenarios, {events} events, no difference");
}
