//! A small driver written byte by byte, so that every field can be wrong in a test.
//!
//! Its addresses are fixed: the tests know each of them without asking the code under test.

/// Where the headers' parts lie in the file.
pub(crate) const FILE_HEADER: usize = 0x84;
pub(crate) const OPTIONAL_HEADER: usize = 0x98;
pub(crate) const DIRECTORIES: usize = OPTIONAL_HEADER + 112;
pub(crate) const SECTION_TABLE: usize = DIRECTORIES + 16 * 8;

/// The numbers of the directories.
pub(crate) const EXPORTS: usize = 0;
pub(crate) const IMPORTS: usize = 1;
pub(crate) const CERTIFICATES: usize = 4;
pub(crate) const RELOCATIONS: usize = 5;
pub(crate) const DEBUG: usize = 6;
pub(crate) const THREAD_LOCAL: usize = 9;
pub(crate) const CONFIG: usize = 10;
pub(crate) const DELAY_IMPORTS: usize = 13;
pub(crate) const MANAGED: usize = 14;

/// What the driver is linked for.
pub(crate) const PREFERRED_BASE: u64 = 0x1_4000_0000;
pub(crate) const IMAGE_SIZE: u32 = 0xd000;

/// The sections in order: name, address, bytes in memory, characteristics.
pub(crate) const SECTIONS: [(&str, u32, u32, u32); 8] = [
    (".text", 0x1000, 0x20, 0x6000_0020),
    (".rdata", 0x2000, 0x400, 0x4000_0040),
    (".data", 0x3000, 0x5000, 0xc000_0040),
    (".SCOV", 0x8000, 0x0b, 0xc000_0040),
    (".SCOVP", 0x9000, 0x38, 0x4000_0040),
    (".CRT", 0xa000, 0x10, 0x4000_0040),
    ("INIT", 0xb000, 0x10, 0x6200_0020),
    (".reloc", 0xc000, 0x40, 0x4200_0040),
];

/// What is where in memory.
pub(crate) const ENTRY: u32 = 0x1000;
pub(crate) const HELPER: u32 = 0x1008;
pub(crate) const IMPORT_TABLE: u32 = 0x2000;
pub(crate) const LOOKUP: u32 = 0x2040;
pub(crate) const SLOTS: u32 = 0x2080;
pub(crate) const NAMES: u32 = 0x20c0;
pub(crate) const CONFIG_TABLE: u32 = 0x2100;
pub(crate) const EXPORT_TABLE: u32 = 0x2280;
pub(crate) const DEBUG_TABLE: u32 = 0x2300;
pub(crate) const COOKIE: u32 = 0x3000;
pub(crate) const POINTERS: [u32; 3] = [0x3008, 0x3010, 0x3101];
pub(crate) const POINTS: [u32; 3] = [0x9008, 0x9018, 0x9028];
pub(crate) const INITIALISER: u32 = 0xa008;
pub(crate) const RELOCATION_TABLE: u32 = 0xc000;

/// Every address that moves with the image, in the order of the relocation table.
pub(crate) fn moving() -> Vec<u32> {
    let mut sites = vec![CONFIG_TABLE + 0x58, CONFIG_TABLE + 0x70, CONFIG_TABLE + 0x78];
    sites.extend(POINTERS);
    sites.extend(POINTS);
    sites.push(INITIALISER);
    sites
}

/// A driver's file, and where in it each address of the image is.
#[derive(Clone)]
pub(crate) struct Driver(pub(crate) Vec<u8>);

impl Driver {
    /// A driver with nothing wrong.
    pub(crate) fn sound() -> Self {
        let mut driver = Driver(vec![0; 0x400 + SECTIONS.len() * 0x400]);
        driver.write_headers();
        driver.write_code();
        driver.write_imports();
        driver.write_config();
        driver.write_exports();
        driver.write_debug();
        driver.write_addresses();
        driver.write_relocations();
        driver
    }

    /// The file offset of an address of the image.
    pub(crate) fn place(address: u32) -> usize {
        let index = SECTIONS
            .iter()
            .rposition(|section| section.1 <= address)
            .expect("an address in a section");
        0x400 + index * 0x400 + (address - SECTIONS[index].1) as usize
    }

    /// Becomes another file altogether.
    pub(crate) fn replace(&mut self, bytes: &[u8]) -> &mut Self {
        self.0 = bytes.to_vec();
        self
    }

    pub(crate) fn put(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn put16(&mut self, offset: usize, value: u16) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub(crate) fn put32(&mut self, offset: usize, value: u32) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub(crate) fn put64(&mut self, offset: usize, value: u64) -> &mut Self {
        self.put(offset, &value.to_le_bytes())
    }

    /// Writes to an address of the image.
    pub(crate) fn at(&mut self, address: u32, bytes: &[u8]) -> &mut Self {
        self.put(Self::place(address), bytes)
    }

    pub(crate) fn directory(&mut self, index: usize, address: u32, size: u32) -> &mut Self {
        self.put32(DIRECTORIES + index * 8, address).put32(DIRECTORIES + index * 8 + 4, size)
    }

    /// Writes a field of the section header `index`.
    pub(crate) fn section(&mut self, index: usize, field: usize, value: u32) -> &mut Self {
        self.put32(SECTION_TABLE + index * 40 + field, value)
    }

    /// The image as it must lie in memory at `base`, before imports, cookie and guards are filled in.
    pub(crate) fn reference(&self, base: u64) -> Vec<u8> {
        let mut image = vec![0; IMAGE_SIZE as usize];
        image[..0x400].copy_from_slice(&self.0[..0x400]);
        for (_, address, size, _) in SECTIONS {
            let length = size.min(0x400) as usize;
            let start = Self::place(address);
            image[address as usize..][..length].copy_from_slice(&self.0[start..start + length]);
        }
        for site in moving() {
            let field = &mut image[site as usize..][..8];
            let linked = u64::from_le_bytes(field.try_into().expect("eight bytes"));
            field.copy_from_slice(&(linked - PREFERRED_BASE + base).to_le_bytes());
        }
        image
    }

    fn write_headers(&mut self) {
        self.put(0, b"MZ").put32(0x3c, 0x80).put(0x80, b"PE\0\0");
        self.put16(FILE_HEADER, 0x8664).put16(FILE_HEADER + 2, SECTIONS.len() as u16);
        self.put16(FILE_HEADER + 16, 240).put16(FILE_HEADER + 18, 0x22);
        let optional = OPTIONAL_HEADER;
        self.put16(optional, 0x20b)
            .put32(optional + 16, ENTRY)
            .put64(optional + 24, PREFERRED_BASE);
        self.put32(optional + 32, 0x1000).put32(optional + 36, 0x200);
        self.put32(optional + 56, IMAGE_SIZE).put32(optional + 60, 0x400).put16(optional + 68, 1);
        self.put32(optional + 108, 16);
        for (index, (name, address, size, characteristics)) in SECTIONS.into_iter().enumerate() {
            self.put(SECTION_TABLE + index * 40, name.as_bytes());
            self.section(index, 8, size).section(index, 12, address);
            self.section(index, 16, 0x400).section(index, 20, 0x400 + index as u32 * 0x400);
            self.section(index, 36, characteristics);
        }
    }

    fn write_code(&mut self) {
        // mov eax, 42; ret. Then a routine that adds one to the variable at 0x7000: inc dword [rip + ...]; ret.
        self.at(ENTRY, &[0xb8, 42, 0, 0, 0, 0xc3]);
        self.at(HELPER, &[0xff, 0x05])
            .at(HELPER + 2, &(0x7000 - (HELPER + 6)).to_le_bytes())
            .at(HELPER + 6, &[0xc3]);
        self.at(0xb000, &[0xc3]);
    }

    fn write_imports(&mut self) {
        self.directory(IMPORTS, IMPORT_TABLE, 0x3c);
        let modules = [(LOOKUP, NAMES, SLOTS), (LOOKUP + 0x18, NAMES + 0x10, SLOTS + 0x18)];
        for (index, (lookup, name, slots)) in modules.into_iter().enumerate() {
            let descriptor = IMPORT_TABLE + index as u32 * 20;
            self.at(descriptor, &lookup.to_le_bytes()).at(descriptor + 12, &name.to_le_bytes());
            self.at(descriptor + 16, &slots.to_le_bytes());
        }
        self.at(NAMES, b"storport.sys\0").at(NAMES + 0x10, b"ntoskrnl.exe\0");
        self.at(NAMES + 0x22, b"StorPortInitialize\0");
        for table in [LOOKUP, SLOTS] {
            self.at(table, &u64::from(NAMES + 0x20).to_le_bytes())
                .at(table + 8, &(1u64 << 63 | 7).to_le_bytes());
            self.at(table + 0x18, &u64::from(NAMES + 0x20).to_le_bytes());
        }
    }

    fn write_config(&mut self) {
        self.directory(CONFIG, CONFIG_TABLE, 0x140).at(CONFIG_TABLE, &0x140u32.to_le_bytes());
        for (field, slot) in [(0x58, COOKIE), (0x70, 0x2380), (0x78, 0x2388)] {
            self.at(CONFIG_TABLE + field, &(PREFERRED_BASE + u64::from(slot)).to_le_bytes());
        }
        self.at(COOKIE, &0x2b99_2ddf_a232u64.to_le_bytes());
    }

    fn write_exports(&mut self) {
        self.directory(EXPORTS, EXPORT_TABLE, 0x60);
        let table = [(12, EXPORT_TABLE + 0x50), (16, 1), (20, 2), (24, 1)];
        for (field, value) in table {
            self.at(EXPORT_TABLE + field, &value.to_le_bytes());
        }
        for (field, value) in
            [(28, 0x28), (32, 0x30), (36, 0x34), (0x28, 0), (0x2c, 0), (0x30, 0x40)]
        {
            self.at(EXPORT_TABLE + field, &(EXPORT_TABLE + value).to_le_bytes());
        }
        self.at(EXPORT_TABLE + 0x28, &ENTRY.to_le_bytes())
            .at(EXPORT_TABLE + 0x2c, &HELPER.to_le_bytes());
        self.at(EXPORT_TABLE + 0x34, &1u16.to_le_bytes()).at(EXPORT_TABLE + 0x40, b"Helper\0");
        self.at(EXPORT_TABLE + 0x50, b"small.sys\0");
    }

    fn write_debug(&mut self) {
        self.directory(DEBUG, DEBUG_TABLE, 28).at(DEBUG_TABLE + 12, &2u32.to_le_bytes());
        self.at(DEBUG_TABLE + 16, &0x25u32.to_le_bytes())
            .at(DEBUG_TABLE + 20, &(DEBUG_TABLE + 0x20).to_le_bytes());
        self.at(DEBUG_TABLE + 0x20, b"RSDS0123456789abcdef\x03\0\0\0c:\\small.pdb\0");
    }

    fn write_addresses(&mut self) {
        for site in POINTERS.into_iter().chain(POINTS).chain([INITIALISER]) {
            self.at(site, &(PREFERRED_BASE + u64::from(HELPER)).to_le_bytes());
        }
    }

    fn write_relocations(&mut self) {
        let mut table = Vec::new();
        for page in [0x2000u32, 0x3000, 0x9000, 0xa000] {
            let mut entries: Vec<u16> = Vec::new();
            for site in moving().into_iter().filter(|site| site & !0xfff == page) {
                entries.push(0xa000 | (site & 0xfff) as u16);
            }
            entries.resize(entries.len().next_multiple_of(2), 0);
            table.extend(page.to_le_bytes());
            table.extend((8 + entries.len() as u32 * 2).to_le_bytes());
            table.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
        }
        assert!(table.len() <= 0x40);
        self.directory(RELOCATIONS, RELOCATION_TABLE, table.len() as u32)
            .at(RELOCATION_TABLE, &table);
    }
}
