//! The loader of compiled drivers: any file is a driver or is refused, and nothing is written outside its image.
#![no_main]

lockstorm_fuzz::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // That it is refused is no finding; how, is for people.
    let _ = lockstorm::binary::image::rehearse(bytes);
});
