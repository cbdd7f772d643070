//! Text both ways.

use super::*;
use crate::event::Routine;
use crate::miniport::puppet::{Call, LockName, Op, When};
use crate::scenario::codec::tests::Bytes;
use crate::scenario::{At, Io, IoKind, Perf, ResetTier};

#[test]
fn every_scenario_survives_its_text() {
    let mut random = Bytes(11);
    for _ in 0..3_000 {
        let scenario = codec::decode(&random.input());
        let text = write(&scenario);
        assert!(text.len() < TEXT_BYTES_MAX / 4, "{} bytes", text.len());
        match read(text.as_bytes()) {
            Ok(again) => assert_eq!(again, scenario, "{text}"),
            Err(error) => panic!("{error}\n{text}"),
        }
    }
}

fn told(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_text_says_what_is_special() {
    let mut scenario = Scenario::default();
    scenario.setup.processors = 1;
    scenario.setup.perf = Perf(Perf::DPC_REDIRECTION | Perf::NO_SGL);
    scenario.setup.failures.device_base = true;
    let at = At { processor: 1, gap: 3 };
    let io = Io { kind: IoKind::Write, blocks: 8, ..Io::default() };
    scenario.steps = vec![
        Step::Script(Call::new(Routine::Dpc, Op::Acquire).lock(LockName::Interrupt)),
        Step::Script(Call::new(Routine::StartIo, Op::IssueDpc).when(When::First).argument(2)),
        Step::Io(at, io),
        Step::Io(At::default(), Io { kind: IoKind::Flush, ..Io::default() }),
        Step::Reset(at, ResetTier::Bus),
        Step::Interrupt(At::default(), 0),
        Step::FailAllocation(At::default(), 255),
        Step::Wait(At { processor: 0, gap: 9 }),
    ];
    scenario.schedule = vec![Decision { after: 3, choice: 1 }; 5];
    let text = "(
    version: 1,
    setup: (
        processors: 1,
        perf: [DpcRedirection, NoSgl],
        failures: (
            device_base: true,
        ),
    ),
    steps: [
        Script(routine: Dpc, op: Acquire, lock: Interrupt),
        Script(routine: StartIo, when: First, op: IssueDpc, argument: 2),
        Write(blocks: 8, processor: 1, gap: 3),
        Flush(),
        Reset(what: Bus, processor: 1, gap: 3),
        Interrupt(message: 0),
        FailAllocation(nth: 255),
        Wait(gap: 9),
    ],
    schedule: [
        (after: 3, choice: 1), (after: 3, choice: 1), (after: 3, choice: 1), (after: 3, choice: 1),
        (after: 3, choice: 1),
    ],
)
";
    assert_eq!(write(&scenario), text);
    assert_eq!(read(text.as_bytes()), Ok(scenario));
}

#[test]
fn the_default_is_a_line() {
    assert_eq!(write(&Scenario::default()), "(\n    version: 1,\n)\n");
    assert_eq!(read(b"(version: 1)"), Ok(Scenario::default()));
    assert_eq!(read(b"\xEF\xBB\xBF// why\n(version: 1)"), Ok(Scenario::default()));
}

#[test]
fn numbers_out_of_range_are_brought_into_it() {
    let scenario = read(b"(version: 1, setup: (processors: 200), steps: [Wait(gap: 99)])").unwrap();
    assert_eq!(scenario.setup.processors, 8);
    assert_eq!(scenario.steps, [Step::Wait(At { processor: 0, gap: 24 })]);
}

#[test]
fn errors_say_what_and_where() {
    for (text, error) in [
        (
            "(\n    version: 1,\n    setup: (proccessors: 2),\n)",
            "line 3, column 13: Setup has no `proccessors`; the nearest name is `processors`",
        ),
        (
            "(version: 1, steps: [Flush(), Reed()])",
            "line 1, column 31: Step has no `Reed`; the nearest name is `Read`",
        ),
        (
            "(version: 1, steps: [Script(routine: Dpc, op: Aquire)])",
            "line 1, column 47: Op has no `Aquire`; the nearest name is `Acquire`",
        ),
        (
            "(version: 1, steps: [Script(op: Acquire)])",
            "line 1, column 40: Script has no `routine`, which it needs",
        ),
        ("(version: 3)", "line 1, column 11: format version 3, expected 1 or 2"),
        ("(setup: ())", "line 1, column 11: Scenario has no `version`, which it needs"),
        ("(version: 1", "line 1, column 11: Expected comma"),
        ("(version: 1, setup: (processors: 256))", "line 1, column 34: Integer is out of bounds"),
        ("(version: 1) and more", "line 1, column 13: Non-whitespace trailing characters"),
        ("", "line 1, column 1: Expected opening `(` for struct `Scenario`"),
    ] {
        assert_eq!(told(text), error, "{text}");
    }
    let many = format!("(version: 1, steps: [{}])", "Flush(),".repeat(65));
    assert_eq!(told(&many), "65 steps, a scenario has at most 64");
    assert_eq!(read(b"(version: \xFF)").unwrap_err().to_string(), "byte 10: not UTF-8");
    let long = " ".repeat(TEXT_BYTES_MAX + 1);
    assert_eq!(told(&long), "262145 bytes of text, a scenario has at most 262144");
}

#[test]
fn either_form_is_recognised() {
    let scenario = codec::decode(&Bytes(12).take(300));
    let mut bytes = Vec::new();
    codec::encode(&scenario, &mut bytes);
    assert_eq!(read_either(&bytes).as_ref(), Ok(&scenario));
    assert_eq!(read_either(write(&scenario).as_bytes()), Ok(scenario));
    assert_eq!(read_either(b""), Err(ReadError::Bytes(FormatError::Empty)));
    assert!(matches!(
        read_either(b"(what)"),
        Err(ReadError::Text(TextError::Wrong { line: 1, .. }))
    ));
}

/// The parser's recursion follows the text's nesting, so deep nesting must be refused and not overflow the stack.
#[test]
fn deep_nesting_is_refused() {
    assert!(matches!(read("(".repeat(100_000).as_bytes()), Err(TextError::Wrong { .. })));
    let nested = format!("(version: 1, steps: {})", "[".repeat(100_000));
    assert!(matches!(read(nested.as_bytes()), Err(TextError::Wrong { .. })));
}
