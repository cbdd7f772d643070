#!/usr/bin/env python3
"""ClusterFuzz's own parser on what the fuzz targets print.

The crash type must name the rule, and the crash state be made of the driver's frames and not of the harness's: one
bug under many schedules has one state, and no two rules have the same type and state.

    pip install clusterfuzz
    cargo run --quiet --example crash_reports | scripts/test_clusterfuzz.py
"""

import collections
import json
import sys
import unittest

from clusterfuzz.stacktraces import StackParser

# What libFuzzer prints after a report, when the target has aborted: none of it may reach the state.
LIBFUZZER = """\
==17== ERROR: libFuzzer: deadly signal
    #0 0x55d0c81f4a61 in __sanitizer_print_stack_trace /rustc/llvm/src/llvm-project/compiler-rt/lib/asan/asan_stack.cpp:87:3
    #1 0x55d0c85b2fba in fuzzer::PrintStackTrace() (/out/nvme+0x4b2fba)
    #2 0x55d0c8594a3c in fuzzer::Fuzzer::CrashCallback() (/out/nvme+0x494a3c)
    #3 0x7f3c1e45af8f  (/lib/x86_64-linux-gnu/libc.so.6+0x3bf8f)
    #4 0x7f3c1e4a9ffb  (/lib/x86_64-linux-gnu/libc.so.6+0x8affb)
    #5 0x7f3c1e45aefc in gsignal (/lib/x86_64-linux-gnu/libc.so.6+0x3befc)
    #6 0x7f3c1e445471 in abort (/lib/x86_64-linux-gnu/libc.so.6+0x26471)
    #7 0x55d0c85d1c99 in std::process::abort /rustc/library/std/src/process.rs:2500:5
    #8 0x55d0c82b9d30 in lockstorm::targets::end /src/lockstorm/src/targets/mod.rs:240:5
    #9 0x55d0c82b7c11 in lockstorm::targets::Runner::run_or_abort /src/lockstorm/src/targets/mod.rs:230:13
    #10 0x55d0c829f3aa in lockstorm_fuzz::libfuzzer::step /src/lockstorm/fuzz/src/libfuzzer.rs:50:20
    #11 0x55d0c829f3aa in __libfuzzer_sys_run /src/lockstorm/fuzz/fuzz_targets/nvme.rs:4:1
    #12 0x55d0c85a1b7e in rust_fuzzer_test_input /src/lockstorm/fuzz/fuzz_targets/nvme.rs:4:1

NOTE: libFuzzer has rudimentary signal handlers.
SUMMARY: libFuzzer: deadly signal
"""

SCHEDULES = 20


def parse(report):
    info = StackParser(fuzz_target="nvme").parse(report + LIBFUZZER)
    return info.crash_type, info.crash_state


class Deduplication(unittest.TestCase):
    reports = []

    @classmethod
    def setUpClass(cls):
        cls.by_file = collections.defaultdict(list)
        for line in cls.reports:
            report = json.loads(line)
            cls.by_file[report["file"]].append((report["rule"], parse(report["report"])))

    def test_there_are_reports_of_every_lock_rule(self):
        self.assertGreaterEqual(len(self.by_file), 25)
        for file, parsed in self.by_file.items():
            self.assertGreaterEqual(len(parsed), SCHEDULES, file)

    def test_the_type_names_the_rule(self):
        for file, parsed in self.by_file.items():
            for rule, (kind, _) in parsed:
                self.assertEqual(kind.lower(), rule, file)

    def test_the_state_is_the_drivers(self):
        for file, parsed in self.by_file.items():
            for _, (_, state) in parsed:
                frames = state.splitlines()
                self.assertEqual(len(frames), 3, f"{file}: {state}")
                self.assertNotRegex(state, r"lockstorm|fuzz|libFuzzer|targets", file)
                self.assertRegex(frames[0], r"^[a-z_]+\.rs:\d+$|^storport\.sys$", file)
                self.assertRegex(frames[1], r"^(HwStor|HwMSI|StorPort|HwSynch)", file)

    def test_one_bug_has_one_state_on_every_schedule(self):
        for file, parsed in self.by_file.items():
            self.assertEqual(len({crash for _, crash in parsed}), 1, f"{file}: {parsed}")

    def test_two_bugs_have_two_states(self):
        files = collections.defaultdict(set)
        for file, parsed in self.by_file.items():
            for _, crash in parsed:
                files[crash].add(file)
        for crash, same in files.items():
            self.assertEqual(len(same), 1, crash)


if __name__ == "__main__":
    Deduplication.reports = sys.stdin.read().splitlines()
    unittest.main()
