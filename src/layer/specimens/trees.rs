//! Awkward trees: each drives another corner of the tar. `tests/buildkit_tar.rs` has BuildKit write them too.

use super::sketch::{Sketch, TIME, directory, file};
use super::{noise, prose, zeros};
use crate::layer::{Entry, Tree};

/// Trees that `ADD` of a Dockerfile can carry into BuildKit unchanged.
pub fn trees() -> Family {
    let families =
        [plain(), names(), splits(), other_alphabets(), symlinks(), hard_links(), modes_and_owners(), times(), capabilities(), sizes(), together()];
    families.into_iter().flatten().collect()
}

/// Trees with times that `ADD` makes to 1970 (before that year, and after 2262): BuildKit gets them as the work of a build's steps.
pub fn far_times() -> Family {
    vec![
        (
            "times after 2262",
            Sketch::new().put("a", at(9_223_372_037)).put("b", at(15_032_385_535)).put("d", Entry { mtime: 12_000_000_000, ..directory() }).tree(),
        ),
        ("times before 1970", Sketch::new().put("a", at(-2)).put("b", at(-2_000_000_000)).put("d", Entry { mtime: -86_400, ..directory() }).tree()),
    ]
}

/// Deletions. Docker's classic layer store writes them in another way; docker with containerd's store, and BuildKit itself, as we do.
pub fn whiteouts() -> Family {
    let gone = |path: &str| Sketch::new().put(path, Entry::whiteout());
    vec![
        ("whiteouts", gone("opt/old").put("opt/a", Entry::whiteout()).file("opt/b").put("top", Entry::whiteout()).tree()),
        (
            "whiteouts with long names",
            gone(&["w".repeat(100), "x".repeat(97)].join("/")).put("y".repeat(96), Entry::whiteout()).put("y".repeat(97), Entry::whiteout()).tree(),
        ),
    ]
}

/// A file whose size takes a PAX record: 8 GiB and a bit, all zeros. Not among the others for what it costs.
pub fn big_file() -> (&'static str, Tree) {
    ("a file over 8 GiB", Sketch::new().put("big", Entry::file(zeros((8 << 30) + 5), 0o644, 0, 0, TIME)).put("small", file()).tree())
}

/// Trees by name.
pub type Family = Vec<(&'static str, Tree)>;

fn plain() -> Family {
    vec![
        ("one empty file", Sketch::new().text("empty", *b"").tree()),
        ("one text", Sketch::new().file("etc/motd").tree()),
        ("empty directories", Sketch::new().directory("a/b/c").directory("a/d").directory("z").tree()),
        ("names that sort apart from their paths", {
            let names = ["a/x", "a/x/y", "a-b", "a.b", "a b", "a0", "aa", "a", "A", "a+/x", "a-b/x"];
            names.into_iter().fold(Sketch::new(), Sketch::directory).file("a/x-y").file("a/x.y").tree()
        }),
        ("many entries", (0..700).fold(Sketch::new(), |sketch, n| sketch.text(format!("d{}/f{n}", n % 7), n.to_string().into_bytes())).tree()),
        ("deep directories", Sketch::new().file(["deeper"; 30].join("/")).tree()),
        ("very deep directories", Sketch::new().file(["down"; 300].join("/")).tree()),
    ]
}

/// A path of `length` bytes whose last component has `last` bytes; components before it have 40 at most.
fn path(length: usize, last: usize) -> String {
    let mut above = "p".repeat(length - last - 1);
    for slash in (40..above.len().saturating_sub(1)).step_by(41) {
        above.replace_range(slash..=slash, "/");
    }
    format!("{above}/{}", "n".repeat(last))
}

fn names() -> Family {
    let strange = [
        "with space",
        " leading",
        "trailing ",
        "new\nline",
        "tab\t",
        "bell\x07",
        "\x01",
        "\x7f",
        "quote'\"",
        "back\\slash",
        "*?[a]{b}",
        "-rf",
        ".hidden",
    ];
    let strange = strange.into_iter().chain(["...", "a=b", "12 path=x", "$HOME", "PaxHeaders.0", "%41", "#", "~", "a:b", "@", "c,d;e"]);
    vec![
        ("strange characters", strange.fold(Sketch::new(), |sketch, name| sketch.file(name).symlink(format!("links/{name}"), name)).tree()),
        ("strange characters in long names", {
            let long = "x".repeat(100);
            Sketch::new().file(format!("{long} \n")).file(format!("{long}\n7 a=b\n")).file(format!("{long}=\t")).tree()
        }),
        ("name of 99, 100 and 101 bytes", [99, 100, 101].into_iter().fold(Sketch::new(), |sketch, n| sketch.file("n".repeat(n))).tree()),
        (
            "directory of 98 to 101 bytes",
            (98..=101).fold(Sketch::new(), |sketch, n| sketch.directory("d".repeat(n)).file(format!("{}/x", "d".repeat(n)))).tree(),
        ),
        ("name of 255 bytes", Sketch::new().file(["n".repeat(255), "m".repeat(255)].join("/")).directory("e".repeat(255)).tree()),
    ]
}

/// Around the limits of the prefix field: 100, 155, 156, 256, for files and directories.
fn splits() -> Family {
    let files = |paths: Vec<String>| paths.into_iter().fold(Sketch::new(), Sketch::file).tree();
    let directories = |paths: Vec<String>| paths.into_iter().fold(Sketch::new(), Sketch::directory).tree();
    let lengths = [100, 101, 102, 154, 155, 156, 157, 158, 199, 200, 201, 255, 256, 257, 258, 300];
    vec![
        ("long paths with a short name", files(lengths.iter().map(|&n| path(n, 7)).collect())),
        ("long paths with a name of 99 bytes", files(lengths[3..].iter().map(|&n| path(n, 99)).collect())),
        ("long paths with a name of 100 bytes", files(lengths[2..].iter().map(|&n| path(n, 100)).collect())),
        ("long paths with a name of 101 bytes", files(lengths[3..].iter().map(|&n| path(n, 101)).collect())),
        ("long directories", directories(lengths.iter().map(|&n| path(n - 1, 7)).collect())),
        ("long directories with a name of 99 bytes", directories(lengths[3..].iter().map(|&n| path(n - 1, 99)).collect())),
        ("long directories with a name of 100 bytes", directories(lengths[3..].iter().map(|&n| path(n - 1, 100)).collect())),
        ("a prefix of 155 bytes and of 156", {
            let prefix = |n: usize| format!("{}/{}", "a".repeat(100), "b".repeat(n - 101));
            Sketch::new().file(format!("{}/{}", prefix(155), "c".repeat(100))).file(format!("{}/{}", prefix(156), "c".repeat(100))).tree()
        }),
        ("a slash only at the start", Sketch::new().file(format!("a/{}", "b".repeat(99))).file(format!("a/{}", "b".repeat(100))).tree()),
    ]
}

fn other_alphabets() -> Family {
    let long = "ä".repeat(60);
    vec![
        ("non-ASCII names", ["é", "e\u{301}", "日本語", "Ω/ж", "🙂", "a/ü/b", "\u{200b}"].into_iter().fold(Sketch::new(), Sketch::file).tree()),
        ("long non-ASCII names", Sketch::new().file(&long).file(format!("{}{long}", "x".repeat(90))).file(format!("{long}x/{long}/{long}")).tree()),
        ("non-ASCII directories", Sketch::new().directory("ö/ß").directory(&long).file(format!("{}/ö", path(150, 7))).tree()),
        ("a cut at a slash", {
            // Without its `é`, the name has a slash as its 100th byte; a reader must not take the file for a directory.
            Sketch::new().file(format!("é{}/{}", "a".repeat(99), "b".repeat(20))).file(format!("é{}/ü/x", "c".repeat(99))).tree()
        }),
        (
            "names that are not UTF-8",
            Sketch::new().file(*b"latin-\xe9").file([&[0xff, 0xfe][..], &[b'a'; 120]].concat()).symlink("link", *b"\xe9/\x80").tree(),
        ),
    ]
}

fn symlinks() -> Family {
    let lengths = [99, 100, 101, 150, 255, 256, 1000, 4000];
    let long = |n: usize| "t/".repeat(n / 2) + if n % 2 == 1 { "t" } else { "" };
    vec![
        ("symbolic links", {
            let targets = ["x", "/x", "../x", ".", "/", "no/such", "a//b", "./a/", "a b", "dangling\n"];
            targets.iter().enumerate().fold(Sketch::new(), |sketch, (n, target)| sketch.symlink(format!("dir/{n}"), target)).tree()
        }),
        ("long symbolic links", lengths.iter().fold(Sketch::new(), |sketch, &n| sketch.symlink(format!("l{n}"), long(n))).tree()),
        ("non-ASCII symbolic links", Sketch::new().symlink("a", "ä").symlink("ö", "x").symlink("ü", "ß".repeat(70)).symlink("b", "/é/").tree()),
        ("targets cut at slashes", Sketch::new().symlink("a", "t".repeat(99) + "/" + "u").symlink("b", "t".repeat(90) + &"/".repeat(30)).tree()),
        ("long symbolic links with long names", {
            // The name alone would fit the prefix; beside a record for the link it gets one too.
            Sketch::new().symlink(path(150, 20), long(120)).symlink(path(156, 7), "short").symlink(path(220, 99), "ä").tree()
        }),
        (
            "owned symbolic links",
            Sketch::new().put("a", Entry::symlink(*b"b", 1000, 100, 86_400)).put("b", Entry::symlink(*b"c", 2_097_152, 0, 0)).tree(),
        ),
    ]
}

fn hard_links() -> Family {
    let long = path(130, 20);
    vec![
        ("hard links in one directory", Sketch::new().file("a").hard_link("b", "a").hard_link("c", "a").tree()),
        ("hard links across directories", Sketch::new().file("m/file").hard_link("a/link", "m/file").hard_link("z/link", "a/link").tree()),
        ("hard links in the walk's order, not the paths'", Sketch::new().file("a-b").hard_link("a/x", "a-b").hard_link("a.b", "a-b").tree()),
        ("interleaved hard links", {
            let files = Sketch::new().text("1", *b"one").text("2", *b"two").text("d/3", *b"three");
            files.hard_link("d/1", "1").hard_link("d/2", "2").hard_link("0", "d/3").hard_link("e", "1").tree()
        }),
        ("long hard links", Sketch::new().file(&long).hard_link("q", &long).hard_link(path(150, 30), &long).hard_link("aé", "é").file("é").tree()),
        ("hard links of an empty file", Sketch::new().text("a", *b"").hard_link("b", "a").tree()),
        ("hard links of a symbolic link", Sketch::new().symlink("b", "somewhere").hard_link("a", "b").hard_link("d/c", "b").tree()),
        ("owned hard links", {
            let owned = Entry { mode: 0o4711, uid: 3_000_000, gid: 100, mtime: 9_000_000_000, ..file() };
            Sketch::new().put("b", owned).hard_link("a", "b").hard_link("c", "b").tree()
        }),
    ]
}

fn modes_and_owners() -> Family {
    let mode = |mode: u16| Entry { mode, ..file() };
    let modes = [0, 0o1, 0o400, 0o600, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o6755, 0o1644, 0o7777, 0o4000, 0o2000, 0o1000];
    let ids = [1, 100, 1000, 65_534, 2_097_151, 2_097_152, 2_097_153, 16_777_216, 2_147_483_647, 2_147_483_648, 4_294_967_294];
    let owned = |uid, gid, entry: Entry| Entry { uid, gid, ..entry };
    vec![
        ("modes of files", modes.iter().fold(Sketch::new(), |sketch, &bits| sketch.put(format!("f{bits:04o}"), mode(bits))).tree()),
        ("modes of directories", {
            let each =
                |sketch: Sketch, &bits: &u16| sketch.put(format!("d{bits:04o}"), Entry { mode: bits, ..directory() }).file(format!("d{bits:04o}/x"));
            modes.iter().fold(Sketch::new(), each).tree()
        }),
        (
            "owners of files",
            ids.iter()
                .fold(Sketch::new(), |sketch, &id| sketch.put(format!("u{id}"), owned(id, 0, file())).put(format!("g{id}"), owned(0, id, file())))
                .tree(),
        ),
        (
            "owners of directories",
            ids.iter().fold(Sketch::new(), |sketch, &id| sketch.put(format!("d{id}"), owned(id, id, directory())).file(format!("d{id}/x"))).tree(),
        ),
        ("a big owner and a long name", {
            Sketch::new()
                .put(path(130, 20), owned(2_097_152, 5, file()))
                .put(path(256, 100), owned(5, 4_000_000_000, file()))
                .put("é", owned(1 << 30, 1 << 30, file()))
                .tree()
        }),
        (
            "setuid with an owner",
            Sketch::new()
                .put("sudo", Entry { mode: 0o4755, uid: 1000, gid: 100, ..file() })
                .put("mail", Entry { mode: 0o2775, gid: 8, ..directory() })
                .tree(),
        ),
    ]
}

fn at(mtime: i64) -> Entry {
    Entry { mtime, ..file() }
}

fn times() -> Family {
    // `ADD` makes times after the last one, where nanoseconds leave 63 bits, to 1970.
    let seconds =
        [0, 1, 315_532_799, 1_700_000_000, 2_147_483_647, 2_147_483_648, 4_294_967_295, 4_294_967_296, 8_589_934_591, 8_589_934_592, 9_223_372_036];
    vec![
        ("times of files", seconds.iter().fold(Sketch::new(), |sketch, &second| sketch.put(format!("t{second}"), at(second))).tree()),
        ("times of directories", {
            let each =
                |sketch: Sketch, &second: &i64| sketch.put(format!("d{second}"), Entry { mtime: second, ..directory() }).file(format!("d{second}/x"));
            seconds.iter().fold(Sketch::new(), each).tree()
        }),
        ("times of symbolic links", {
            let each = |sketch: Sketch, &second: &i64| sketch.put(format!("l{second}"), Entry { mtime: second, ..Entry::symlink(*b"x", 0, 0, 0) });
            seconds.iter().fold(Sketch::new(), each).tree()
        }),
        ("a far time and a long name", Sketch::new().put(path(140, 30), at(9_000_000_000)).put("ä", at(8_589_934_592)).tree()),
    ]
}

/// `cap_net_bind_service=ep` and others, as `setcap` writes them (`struct vfs_cap_data`, version 2).
fn capable(permitted: u64) -> Entry {
    let words = [0x0200_0001, permitted as u32, 0, (permitted >> 32) as u32, 0];
    let value: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    Entry { mode: 0o755, capability: Some(value.into()), ..file() }
}

fn capabilities() -> Family {
    vec![
        (
            "capabilities",
            Sketch::new().put("bin/ping", capable(1 << 13)).put("bin/serve", capable(1 << 10)).put("bin/all", capable((1 << 40) - 1)).tree(),
        ),
        ("a capability that holds a newline", Sketch::new().put("ping", capable(0x0a0a)).tree()),
        ("a capability, a long name, a big owner and a far time", {
            Sketch::new().put(path(140, 40), Entry { uid: 1 << 22, mtime: 8_999_999_999, ..capable(1 << 12) }).put("é", capable(1)).tree()
        }),
        ("a capability on hard links", Sketch::new().put("b", capable(1 << 13)).hard_link("a", "b").hard_link("c", "b").tree()),
        ("a setuid file with a capability", Sketch::new().put("both", Entry { mode: 0o4755, uid: 7, ..capable(1 << 13) }).tree()),
    ]
}

fn sizes() -> Family {
    let sizes = [0, 1, 511, 512, 513, 1023, 1024, 1025, 4096, 65_535, 65_536, 131_071, 131_073];
    let block: u64 = 1 << 20;
    vec![
        (
            "sizes around a block of tar",
            sizes.iter().fold(Sketch::new(), |sketch, &n| sketch.put(format!("s{n}"), Entry::file(prose(n), 0o644, 0, 0, TIME))).tree(),
        ),
        ("exactly one block of gzip", Sketch::new().put("file", Entry::file(prose(block - 1536), 0o644, 0, 0, TIME)).tree()),
        ("one byte more than a block of gzip", Sketch::new().put("file", Entry::file(prose(block - 1535), 0o644, 0, 0, TIME)).tree()),
        (
            "several blocks of gzip",
            Sketch::new()
                .put("a", Entry::file(prose(3 * block), 0o644, 0, 0, TIME))
                .put("b", Entry::file(noise(2 * block), 0o644, 0, 0, TIME))
                .tree(),
        ),
    ]
}

fn together() -> Family {
    vec![("everything at once", {
        let sketch = Sketch::new().directory("opt/ö/empty").put("opt/ö/bin/ping", capable(1 << 13)).hard_link("bin/ping", "opt/ö/bin/ping");
        let sketch = sketch.symlink("bin/long", "../".repeat(40) + "x").put("opt/tmp", Entry { mode: 0o1777, ..directory() });
        let sketch = sketch.put("opt/ö", Entry { uid: 3_000_000, gid: 100, mode: 0o2750, mtime: 9_000_000_000, ..directory() });
        sketch.file(path(256, 100)).file(path(257, 101)).text("a-b", *b"").file("a/x").hard_link("a.b", "a-b").tree()
    })]
}
