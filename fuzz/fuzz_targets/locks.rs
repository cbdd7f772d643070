//! Scripts of lock calls, judged by the rules and by their reference: the rules are under test.
#![cfg_attr(feature = "libfuzzer", no_main)]

lockstorm_fuzz::target!(Locks);
