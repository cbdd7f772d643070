//! A compiled driver, from its file to a [`Driver`] that the machine runs.
//!
//! Reading and starting are two steps, so that whoever starts it can lock itself up in between: from DriverEntry on,
//! the code that runs is the file's. A driver is started once; every run begins with its variables as DriverEntry left
//! them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Once;

use super::error::{EntryError, LoadError};
use super::hooks::MachineHooks;
use super::image::{CoveragePoint, Image, Placement};
use super::imports::{self, Unmodelled};
use super::load::{self, Failure, Initialized};
use super::pe::{Import, Pe, Symbol};
use super::ranges::Registered;
use super::symbols::Symbols;
use super::watch::{Region, Stacks, Watch};
use crate::event::Sink;
use crate::machine::{Abi, Driver, LIMITS, Machine, REGISTERS, Run};
use crate::scenario::Scenario;
use crate::storport::HwInitializationData;

/// A driver's file, read and checked; nothing of it has run.
#[derive(Debug)]
pub struct DriverFile {
    path: PathBuf,
    pe: Pe,
}

impl DriverFile {
    /// Reads a driver's file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or it is not a driver that can run here.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        Ok(DriverFile { path: path.to_owned(), pe: Pe::open(path)? })
    }

    /// What its addresses are called.
    #[must_use]
    pub fn symbols(&self) -> Symbols {
        Symbols::new(&self.path, &self.pe)
    }
}

/// A compiled driver, started, for machines that tell an `S`.
pub struct Compiled<S: Sink + 'static> {
    // In the order in which they must go: what refers to something before that.
    watch: Option<(Stacks, Watch<'static>)>,
    hooks: Pinned<MachineHooks<S>>,
    _registered: Registered,
    image: Pinned<Image>,
    _unmodelled: Unmodelled,
    initialized: Initialized,
}

/// A value at one place in memory as long as this lives, however often this is moved.
struct Pinned<T>(NonNull<T>);

impl<T> Pinned<T> {
    fn new(value: T) -> Self {
        Pinned(NonNull::from(Box::leak(Box::new(value))))
    }

    fn get(&self) -> &T {
        // SAFETY: from a box; exclusive references are made through `&mut self` only.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // SAFETY: leaked in `new`.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// SanitizerCoverage's counters in a driver, which live as long as the driver does.
#[derive(Clone, Copy, Debug)]
pub struct DriverCounters {
    /// How often each place was passed in the last run.
    pub counts: NonNull<[u8]>,
    /// The places, one for each counter; absent if the driver was built without the table.
    pub points: Option<NonNull<[CoveragePoint]>>,
}

impl<S: Sink + 'static> Compiled<S> {
    /// Maps and binds a driver and runs its DriverEntry.
    ///
    /// # Errors
    ///
    /// There is no room for it, imports have no counterpart here, or DriverEntry fails.
    ///
    /// # Safety
    ///
    /// The file's code runs in this process, and can do there whatever it likes. Every machine that runs on this
    /// thread while the result lives tells an `S`.
    pub unsafe fn start(file: &DriverFile) -> Result<Self, LoadError> {
        reserve_registers();
        let mut image = Image::map(&file.pe, Placement::Fixed)?;
        let unmodelled = bind::<S>(&mut image, &file.pe)?;
        let image = Pinned::new(image);
        // SAFETY: the image stays where it is until both are gone.
        let (registered, hooks) =
            unsafe { (Registered::new(image.0), MachineHooks::<S>::new(image.0, REGISTERS)) };
        let registered = registered.ok_or(LoadError::Immovable(file.pe.preferred_base))?;
        let mut compiled = Compiled {
            watch: None,
            hooks: Pinned::new(hooks),
            _registered: registered,
            image,
            _unmodelled: unmodelled,
            initialized: Initialized {
                data: HwInitializationData::default(),
                context: std::ptr::null_mut(),
            },
        };
        compiled.enter(file)?;
        Ok(compiled)
    }

    /// What the compiler's instrumentation counts, if the driver was built with it.
    #[must_use]
    pub fn counters(&self) -> Option<DriverCounters> {
        let (counts, points) = (self.image().counters()?, self.image().points());
        let points = points.filter(|points| points.len() == counts.len());
        Some(DriverCounters { counts, points })
    }

    /// Runs DriverEntry, checks what it says, and remembers the variables as it leaves them.
    fn enter(&mut self, file: &DriverFile) -> Result<(), LoadError> {
        let (entry, range) = (self.image().entry(), self.image().range());
        // SAFETY: mapped and bound; `start`'s caller answers for what the code does.
        let entered = unsafe { load::start(entry, range, self.hooks.get()) }
            .map_err(|error| LoadError::Memory("DriverEntry's stack", error))?;
        self.initialized = entered.map_err(|failure| self.entry_error(failure, file))?;
        self.check(&self.initialized.data).map_err(LoadError::Entry)?;
        // SAFETY: nothing of the driver runs, and no reference to the image is alive; handlers ask for it only while
        // something runs.
        unsafe { self.image.0.as_mut() }.snapshot()
    }

    /// A failure of DriverEntry's in words.
    fn entry_error(&self, failure: Failure, file: &DriverFile) -> LoadError {
        let place = |address: usize| {
            let symbols = file.symbols();
            self.image()
                .offset(address)
                .map_or_else(|| format!("{address:#x}"), |offset| symbols.describe_call(offset))
        };
        LoadError::Entry(match failure {
            Failure::Status(status) => EntryError::Status(status),
            Failure::NeverInitialized => EntryError::NeverInitialized,
            Failure::NeedsMachine(address) => EntryError::NeedsAdapter(place(address)),
            Failure::Crashed(cause, address) => EntryError::Crashed {
                cause,
                place: place(address),
                routine: self.unmodelled(address),
            },
        })
    }

    /// Whether the machine can run what StorPortInitialize was told.
    fn check(&self, data: &HwInitializationData) -> Result<(), EntryError> {
        let sizes = [
            ("DeviceExtensionSize", data.device_extension_size, LIMITS.device_extension),
            (
                "SpecificLuExtensionSize",
                data.specific_lu_extension_size,
                LIMITS.logical_unit_extension,
            ),
            ("SrbExtensionSize", data.srb_extension_size, LIMITS.srb_extension),
        ];
        for (field, bytes, most) in sizes {
            if bytes > most {
                return Err(EntryError::TooLarge { field, bytes, most });
            }
        }
        let address = |routine: Option<usize>| routine.unwrap_or(0);
        let required = [
            ("HwFindAdapter", address(data.hw_find_adapter.map(|f| f as usize))),
            ("HwInitialize", address(data.hw_initialize.map(|f| f as usize))),
            ("HwStartIo", address(data.hw_start_io.map(|f| f as usize))),
            ("HwResetBus", address(data.hw_reset_bus.map(|f| f as usize))),
        ];
        let optional = [
            ("HwInterrupt", address(data.hw_interrupt.map(|f| f as usize))),
            ("HwAdapterControl", address(data.hw_adapter_control.map(|f| f as usize))),
            ("HwBuildIo", address(data.hw_build_io.map(|f| f as usize))),
            ("HwTracingEnabled", address(data.hw_tracing_enabled.map(|f| f as usize))),
            ("HwUnitControl", address(data.hw_unit_control.map(|f| f as usize))),
        ];
        let given = optional.into_iter().filter(|&(_, address)| address != 0);
        match required.into_iter().chain(given).find(|&(_, at)| !self.image().executable(at)) {
            Some((routine, _)) => Err(EntryError::NoRoutine(routine)),
            None => Ok(()),
        }
    }

    /// The driver, for the machine.
    #[must_use]
    pub fn driver(&self) -> Driver {
        let Initialized { data, context } = self.initialized;
        Driver { data, context, abi: Abi::Win64 }
    }

    /// The routine without a model by which the last run on this thread ended that ended so.
    #[must_use]
    pub fn last_unmodelled(&self) -> Option<&'static str> {
        imports::last_unmodelled()
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &Image {
        self.image.get()
    }

    /// The routine without a model whose call returns to `offset` and has ended a run.
    #[must_use]
    pub fn routine_without_model(&self, offset: u32) -> Option<&'static str> {
        self.unmodelled(self.image().base() + offset as usize)
    }

    fn unmodelled(&self, address: usize) -> Option<&'static str> {
        imports::unmodelled_name(address)
    }

    /// Runs the driver on `machine`, as it was when DriverEntry had returned.
    pub fn run(&mut self, machine: &mut Machine<S>, scenario: &Scenario) -> Run {
        // SAFETY: no run is under way, and none goes on that has ended.
        unsafe { self.image().restore() };
        let driver = self.driver();
        let counters = self.image().counters().map_or(0..0, |counters| {
            let start = counters.addr().get();
            start..start + counters.len()
        });
        machine.watch_image(self.image().range(), counters);
        let _watching = self.watch(machine).on();
        // SAFETY: the entry points are functions of the image, which its imports bind to a machine that tells an `S`;
        // `start`'s caller answers for what they do.
        unsafe { machine.run(&driver, scenario) }
    }

    /// The watch for the machine's stacks.
    fn watch(&mut self, machine: &Machine<S>) -> &Watch<'static> {
        let layout = machine.stacks();
        let stacks = Stacks {
            start: layout.start,
            count: layout.count,
            bytes: layout.bytes,
            guard: layout.guard,
        };
        if self.watch.as_ref().is_none_or(|(known, _)| known.start != stacks.start) {
            let window = REGISTERS..REGISTERS + machine.register_bytes();
            let region = Region { image: self.image().range(), stacks: vec![stacks], window };
            // SAFETY: the hooks are dropped after the watch.
            let hooks = unsafe { self.hooks.0.as_ref() };
            let watch = Watch::new(region, hooks).expect("DriverEntry was watched in the same way");
            self.watch = Some((stacks, watch));
        }
        &self.watch.as_ref().expect("made above").1
    }
}

impl<S: Sink + 'static> fmt::Debug for Compiled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").field("base", &self.image().base()).finish_non_exhaustive()
    }
}

/// Binds every import: to its model, or to what ends the run when it is called.
fn bind<S: Sink + 'static>(image: &mut Image, pe: &Pe) -> Result<Unmodelled, LoadError> {
    let memory = || LoadError::Memory("entry points", std::io::Error::last_os_error());
    let mut unmodelled = Unmodelled::new(pe.imports.len()).ok_or_else(memory)?;
    image.bind(|Import { library, symbol, .. }| {
        let Symbol::Name(name) = symbol else { return None };
        if !imports::is_known_module(library) {
            return None;
        }
        imports::routine::<S>(library, name).or_else(|| unmodelled.add::<S>(name))
    })?;
    if !unmodelled.seal() {
        return Err(memory());
    }
    Ok(unmodelled)
}

/// Keeps the addresses of device registers free of anything that could be read or written: an access must fault.
fn reserve_registers() {
    static RESERVED: Once = Once::new();
    RESERVED.call_once(|| {
        let flags =
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        let wanted = std::ptr::without_provenance_mut(REGISTERS);
        // SAFETY: NOREPLACE maps where nothing is, or not at all; nothing is ever read or written there. Where it
        // fails something else lies there, and an access that does not fault reads that.
        unsafe { libc::mmap(wanted, RESERVED_BYTES, libc::PROT_NONE, flags, -1, 0) };
    });
}

/// More than any device model's register range.
const RESERVED_BYTES: usize = 0x10_0000;
