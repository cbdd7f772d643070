//! Accesses to the window of trapped registers: what the machine sees of them.

use super::*;

/// Runs code that has the window's start in RBX; the machine's view, and the registers after it.
fn accesses(code: &[u8]) -> (Vec<Asked>, State) {
    let bench = Bench::with(code);
    bench.board.memory.borrow_mut()[..16].copy_from_slice(&[
        0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7,
        0xF8,
    ]);
    let mut state = bench.state();
    assert_eq!(bench.go(&mut state), None, "{code:02X?}");
    (bench.board.asked(), state)
}

#[test]
fn loads_have_the_width_of_the_operand_and_extend_as_they_say() {
    for (code, offset, bytes, rcx) in [
        (&[0x8A, 0x4B, 0x01][..], 1, 1, 0x1111_1111_1111_1182), // mov cl, [rbx + 1]
        (&[0x66, 0x8B, 0x4B, 0x02], 2, 2, 0x1111_1111_1111_8483), // mov cx, [rbx + 2]
        (&[0x8B, 0x4B, 0x08], 8, 4, 0xF4F3_F2F1),               // mov ecx, [rbx + 8]
        (&[0x48, 0x8B, 0x0B], 0, 8, 0x8887_8685_8483_8281),     // mov rcx, [rbx]
        (&[0x0F, 0xB6, 0x0B], 0, 1, 0x81),                      // movzx ecx, byte [rbx]
        (&[0x0F, 0xBE, 0x0B], 0, 1, 0xFFFF_FF81),               // movsx ecx, byte [rbx]
        (&[0x48, 0x0F, 0xBF, 0x0B], 0, 2, 0xFFFF_FFFF_FFFF_8281), // movsx rcx, word [rbx]
        (&[0x48, 0x63, 0x0B], 0, 4, 0xFFFF_FFFF_8483_8281),     // movsxd rcx, dword [rbx]
    ] {
        let (asked, state) = accesses(code);
        assert_eq!(
            (asked, state.general[RCX]),
            (vec![Asked::Read(offset, bytes)], rcx),
            "{code:02X?}"
        );
    }
}

#[test]
fn stores_have_the_width_of_the_operand_and_only_its_bits() {
    for (code, write) in [
        (&[0x88, 0x53, 0x07][..], Asked::Write(7, 1, 0x22)), // mov [rbx + 7], dl
        (&[0x88, 0x73, 0x07], Asked::Write(7, 1, 0x22)),     // mov [rbx + 7], dh
        (&[0x66, 0x89, 0x13], Asked::Write(0, 2, 0x2222)),   // mov [rbx], dx
        (&[0x89, 0x53, 0x10], Asked::Write(16, 4, 0x2222_2222)), // mov [rbx + 10h], edx
        (&[0x48, 0x89, 0x13], Asked::Write(0, 8, 0x2222_2222_2222_2222)), // mov [rbx], rdx
        // mov qword [rbx], -2: the immediate is sign-extended
        (&[0x48, 0xC7, 0x03, 0xFE, 0xFF, 0xFF, 0xFF], Asked::Write(0, 8, !1)),
        (&[0xC7, 0x03, 0xFE, 0xFF, 0xFF, 0xFF], Asked::Write(0, 4, 0xFFFF_FFFE)),
    ] {
        assert_eq!(accesses(code).0, [write], "{code:02X?}");
    }
}

#[test]
fn a_read_modify_write_reads_once_and_writes_once() {
    // or dword [rbx], 4; lock and byte [rbx], 7Fh; xchg [rbx], ecx
    let dword = Asked::Read(0, 4);
    for (code, asked) in [
        (&[0x83, 0x0B, 0x04][..], [dword, Asked::Write(0, 4, 0x8483_8285)]),
        (&[0xF0, 0x80, 0x23, 0x7F], [Asked::Read(0, 1), Asked::Write(0, 1, 0x01)]),
        (&[0x87, 0x0B], [dword, Asked::Write(0, 4, 0x1111_1111)]),
    ] {
        assert_eq!(accesses(code).0, asked, "{code:02X?}");
    }
}

#[test]
fn a_comparison_for_an_exchange_writes_in_any_case() {
    // cmpxchg [rbx], ecx: RAX is not what the register holds, so that this stays
    let (asked, state) = accesses(&[0x0F, 0xB1, 0x0B]);
    assert_eq!(asked, [Asked::Read(0, 4), Asked::Write(0, 4, 0x8483_8281)]);
    assert_eq!(state.general[RAX], 0x8483_8281);
}

#[test]
fn comparisons_only_read() {
    // test byte [rbx], 80h; cmp dword [rbx], 0; bt dword [rbx], 31; cmp ecx, [rbx]
    for (code, bytes) in [
        (&[0xF6, 0x03, 0x80][..], 1),
        (&[0x83, 0x3B, 0x00], 4),
        (&[0x0F, 0xBA, 0x23, 0x1F], 4),
        (&[0x3B, 0x0B], 4),
    ] {
        assert_eq!(accesses(code).0, [Asked::Read(0, bytes)], "{code:02X?}");
    }
}

#[test]
fn strings_access_one_element_after_another() {
    // mov rdi, rbx; mov ecx, 3; rep stosw
    let code = [0x48, 0x89, 0xDF, 0xB9, 3, 0, 0, 0, 0x66, 0xF3, 0xAB];
    let (asked, state) = accesses(&code);
    assert_eq!(asked, [0, 2, 4].map(|offset| Asked::Write(offset, 2, 0)));
    assert_eq!(state.general[RCX], 0);
    // mov rsi, rbx; lea rdi, [rsp - 40h]; mov ecx, 2; rep movsd; mov rax, [rsp - 40h]
    let code = [
        0x48, 0x89, 0xDE, 0x48, 0x8D, 0x7C, 0x24, 0xC0, 0xB9, 2, 0, 0, 0, 0xF3, 0xA5, 0x48, 0x8B,
        0x44, 0x24, 0xC0,
    ];
    let (asked, state) = accesses(&code);
    assert_eq!(asked, [Asked::Read(0, 4), Asked::Read(4, 4)]);
    assert_eq!(state.general[RAX], 0x8887_8685_8483_8281);
}

#[test]
fn the_window_ends_where_it_ends() {
    // mov ecx, [rbx + disp32]
    let end = WINDOW_BYTES as u32;
    for (offset, inside) in [(end - 4, true), (end - 3, false)] {
        let mut code = vec![0x8B, 0x8B];
        code.extend(offset.to_le_bytes());
        let bench = Bench::with(&code);
        let fault = bench.go(&mut bench.state());
        assert_eq!(fault.is_none(), inside);
        assert_eq!(bench.board.asked().len(), usize::from(inside));
    }
}

#[test]
fn an_access_knows_the_offset_of_its_instruction() {
    // nop; mov ecx, [rbx]; mov [rbx + 8], ecx
    let bench = Bench::with(&[0x90, 0x8B, 0x0B, 0x89, 0x4B, 0x08]);
    assert_eq!(bench.go(&mut bench.state()), None);
    let at: Vec<_> = bench.board.asked.borrow().iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [1, 3]);
}
