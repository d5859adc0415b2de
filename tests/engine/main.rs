//! One fuzz target under libFuzzer: the one that `KEYGRESS_TARGET` names.
#![no_main]

use std::sync::OnceLock;

use keygress_tests::fuzz::{self, Target};

static TARGET: OnceLock<Option<&'static Target>> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| fuzz::target(&std::env::var("KEYGRESS_TARGET").unwrap_or_default()));
    let Some(target) = target else { panic!("KEYGRESS_TARGET names no target") };
    if let Err(why) = (target.run)(bytes) {
        panic!("{why:#}");
    }
});
