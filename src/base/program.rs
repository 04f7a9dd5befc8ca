//! What the kernel looks at when it starts a file: the first line of a script, the header of an ELF file.

use std::io::{self, Read};

/// Bytes that are looked at. The program headers of ELF files and the interpreter that they name lie within.
const HEAD: u64 = 4096;
/// Longest first line of a script, the kernel's own limit.
const MAX_LINE: usize = 256;

/// How a file is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A script: what follows `#!` on its first line, the interpreter and at most one argument.
    Script(Box<[u8]>),
    /// An ELF file.
    Elf {
        /// `e_machine`: 62 is x86-64, 183 is AArch64.
        machine: u16,
        /// The dynamic linker that it asks for; none for static ones and for libraries.
        interpreter: Option<Box<[u8]>>,
    },
}

impl Program {
    /// What a file is that begins with these bytes; none for what the kernel does not start.
    pub fn of_head(head: &[u8]) -> Option<Self> {
        if let Some(rest) = head.strip_prefix(b"#!") {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Some(Program::Script(line[..line.len().min(MAX_LINE)].trim_ascii().into()));
        }
        Elf::read(head).map(|elf| Program::Elf { machine: elf.machine, interpreter: elf.interpreter(head) })
    }

    /// Whether it is a script for a shell.
    pub fn is_shell_script(&self) -> bool {
        let Program::Script(line) = self else { return false };
        line.split(|byte| byte.is_ascii_whitespace()).any(|word| {
            let name = word.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            [&b"sh"[..], b"bash", b"dash", b"ash", b"ksh", b"zsh"].contains(&name)
        })
    }
}

/// The first bytes of a file.
pub(super) fn head(content: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    content.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Where an ELF file has its program headers.
struct Elf {
    wide: bool,
    big: bool,
    machine: u16,
}

impl Elf {
    fn read(head: &[u8]) -> Option<Self> {
        let [0x7f, b'E', b'L', b'F', class, data, ..] = head else { return None };
        let mut elf = Elf { wide: *class == 2, big: *data == 2, machine: 0 };
        elf.machine = elf.number(head, 18, 2)? as u16;
        Some(elf)
    }

    fn interpreter(&self, head: &[u8]) -> Option<Box<[u8]>> {
        const INTERPRETER: u64 = 3;
        let (table, size, count) = match self.wide {
            true => (self.number(head, 32, 8)?, self.number(head, 54, 2)?, self.number(head, 56, 2)?),
            false => (self.number(head, 28, 4)?, self.number(head, 42, 2)?, self.number(head, 44, 2)?),
        };
        for number in 0..count {
            let at = usize::try_from(table.checked_add(number * size)?).ok()?;
            if self.number(head, at, 4)? != INTERPRETER {
                continue;
            }
            let (offset, length) = match self.wide {
                true => (self.number(head, at.checked_add(8)?, 8)?, self.number(head, at.checked_add(32)?, 8)?),
                false => (self.number(head, at.checked_add(4)?, 4)?, self.number(head, at.checked_add(16)?, 4)?),
            };
            let end = usize::try_from(offset.checked_add(length)?).ok()?;
            let path = head.get(usize::try_from(offset).ok()?..end)?;
            return Some(path.split(|byte| *byte == 0).next().unwrap_or_default().into());
        }
        None
    }

    fn number(&self, head: &[u8], at: usize, size: usize) -> Option<u64> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_own_programs_are_read() {
        let shell = std::fs::read("/bin/sh").unwrap();
        let Some(Program::Elf { machine, interpreter }) = Program::of_head(&shell[..4096]) else { panic!("/bin/sh is no ELF file") };
        assert_eq!(machine, if cfg!(target_arch = "x86_64") { 62 } else { 183 });
        assert!(interpreter.is_some_and(|path| path.starts_with(b"/lib")));
    }

    #[test]
    fn scripts_are_told_by_their_first_line() {
        let of = |text: &str| Program::of_head(text.as_bytes());
        assert_eq!(of("#! /bin/sh -e\nexit\n"), Some(Program::Script(b"/bin/sh -e"[..].into())));
        for (text, shell) in [("#!/bin/sh", true), ("#!/usr/bin/env bash\n", true), ("#!/usr/bin/python3\n", false), ("#!/bin/fish", false)] {
            assert_eq!(of(text).unwrap().is_shell_script(), shell, "{text}");
        }
        assert_eq!(of("exit"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn damaged_headers_are_no_panic() {
        let shell = std::fs::read("/bin/sh").unwrap();
        for length in 0..600 {
            let _ = Program::of_head(&shell[..length]);
        }
        for at in 0..200 {
            let mut head = shell[..4096].to_vec();
            head[at] = 0xff;
            let _ = Program::of_head(&head);
        }
    }
}
