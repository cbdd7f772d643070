//! The whole life of the adapter, under the NVMe core.
#![cfg_attr(feature = "libfuzzer", no_main)]

lockstorm_fuzz::target!(Nvme);
lockstorm_fuzz::ignore_compares!();
