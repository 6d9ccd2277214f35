//! Archives as `reference/fixtures/mk_fixtures.py` makes them, and those that are as they should be.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

const LIMITS: UnpackLimits = UnpackLimits {
    bytes: 64 << 20,
    entries: 100,
    ratio: 200,
};

/// One entry of a tar, written byte by byte: libraries refuse to write most of these.
struct Entry {
    name: Vec<u8>,
    kind: u8,
    mode: u32,
    link: &'static str,
    content: Vec<u8>,
}

fn entry(name: impl AsRef<[u8]>, kind: u8) -> Entry {
    Entry {
        name: name.as_ref().to_vec(),
        kind,
        mode: 0o644,
        link: "",
        content: Vec::new(),
    }
}

fn file(name: impl AsRef<[u8]>, content: &str) -> Entry {
    Entry {
        content: content.into(),
        ..entry(name, b'0')
    }
}

fn program(name: &str) -> Entry {
    Entry {
        mode: 0o755,
        ..file(name, "#!/bin/sh\n")
    }
}

fn link(name: &str, target: &'static str) -> Entry {
    Entry {
        link: target,
        ..entry(name, b'2')
    }
}

fn hard_link(name: &str, target: &'static str) -> Entry {
    Entry {
        link: target,
        ..entry(name, b'1')
    }
}

fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        if entry.name.len() > 100 {
            // GNU's long name.
            let mut long = entry.name.clone();
            long.push(0);
            bytes.extend(block(b"././@LongLink", b'L', 0, "", long.len()));
            bytes.extend(padded(&long));
        }
        let short = &entry.name[..entry.name.len().min(100)];
        bytes.extend(block(
            short,
            entry.kind,
            entry.mode,
            entry.link,
            entry.content.len(),
        ));
        bytes.extend(padded(&entry.content));
    }
    bytes.extend([0; 1024]);
    bytes
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().div_ceil(512) * 512, 0);
    bytes
}

fn block(name: &[u8], kind: u8, mode: u32, link: &str, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Unpacks `bytes` below a folder of its own, beside which nothing may appear.
fn unpacked(
    bytes: &[u8],
    packing: Packing,
    limits: UnpackLimits,
) -> (tempfile::TempDir, Result<(), UnpackError>) {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("archive"), bytes).unwrap();
    let result = unpack(
        &room.path().join("archive"),
        packing,
        "tool",
        &room.path().join("out"),
        limits,
    );
    let mut beside: Vec<_> = std::fs::read_dir(room.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    beside.sort();
    assert!(
        beside.iter().all(|name| name == "archive" || name == "out"),
        "{beside:?}"
    );
    (room, result)
}

fn refusal_of(entries: &[Entry]) -> String {
    let (_room, result) = unpacked(&tar_of(entries), Packing::Tar, LIMITS);
    result.unwrap_err().to_string()
}

#[test]
fn an_honest_archive_is_there_with_its_modes_and_links() {
    let archive = tar_of(&[
        entry("app-1.0/", b'5'),
        program("app-1.0/bin/web"),
        file("./app-1.0/etc/web.toml", "x = 1\n"),
        link("app-1.0/current", "bin/web"),
        hard_link("app-1.0/bin/alias", "app-1.0/bin/web"),
        file(format!("app-1.0/{}", "long/".repeat(25) + "name"), "deep"),
    ]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&archive).unwrap();
    let gz = gz.finish().unwrap();
    let zst = ruzstd::encoding::compress_to_vec(&*archive, ruzstd::encoding::CompressionLevel::Fastest);
    for (bytes, packing) in [
        (&archive, Packing::Tar),
        (&gz, Packing::TarGz),
        (&zst, Packing::TarZst),
    ] {
        let (room, result) = unpacked(bytes, packing, LIMITS);
        result.unwrap();
        let app = room.path().join("out/app-1.0");
        let mode = |path: &str| std::fs::metadata(app.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("bin/web"), 0o555);
        assert_eq!(mode("bin/alias"), 0o555);
        assert_eq!(mode("etc/web.toml"), 0o444);
        assert_eq!(mode("."), 0o755);
        assert_eq!(std::fs::read(app.join("current")).unwrap(), b"#!/bin/sh\n");
    }
}

#[test]
fn a_zip_is_there_with_its_modes_and_a_hostile_one_is_refused() {
    let options = |mode| ::zip::write::SimpleFileOptions::default().unix_permissions(mode);
    let zip_of = |name: &str, mode: u32| {
        let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(name, options(mode)).unwrap();
        zip.write_all(b"#!/bin/sh\n").unwrap();
        zip.finish().unwrap().into_inner()
    };
    let (room, result) = unpacked(&zip_of("bin/web", 0o755), Packing::Zip, LIMITS);
    result.unwrap();
    let mode = std::fs::metadata(room.path().join("out/bin/web"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o555);
    for (name, mode) in [("../escape", 0o644), ("/tmp/escape", 0o644), ("a\\..\\b", 0o644)] {
        let (_room, result) = unpacked(&zip_of(name, mode), Packing::Zip, LIMITS);
        assert!(
            matches!(result, Err(UnpackError::Entry { .. })),
            "{name}: {result:?}"
        );
    }
    let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.add_symlink("out", "../..", options(0o777)).unwrap();
    let (_room, result) = unpacked(&zip.finish().unwrap().into_inner(), Packing::Zip, LIMITS);
    assert!(result.unwrap_err().to_string().contains("leads out"));
}

#[test]
fn a_bare_executable_is_there_under_its_name() {
    let (room, result) = unpacked(b"\x7fELF", Packing::Executable, LIMITS);
    result.unwrap();
    let tool = std::fs::metadata(room.path().join("out/tool")).unwrap();
    assert_eq!(tool.permissions().mode() & 0o777, 0o555);
}

#[test]
fn what_would_reach_beyond_the_folder_is_refused() {
    for (entries, why) in [
        (vec![file("../escape", "x")], "has `..`"),
        (vec![file("a/../../escape", "x")], "has `..`"),
        (vec![file("/tmp/escape-abs", "x")], "absolute"),
        (vec![link("d", "../.."), file("d/escape", "x")], "behind a link"),
        (
            vec![link("a", "."), link("a/b", ".."), file("b/escape", "x")],
            "behind a link",
        ),
        (vec![link("v", "../victim"), entry("v", b'5')], "something else"),
        (vec![hard_link("h", "../victim/file")], "hard link"),
        (
            vec![link("l", "f"), file("f", "x"), hard_link("h", "l")],
            "hard link",
        ),
        (vec![file("f", "x"), link("l", "..")], "leads out"),
        (vec![file("f", "x"), link("l", "/etc/passwd")], "absolute"),
        (vec![file("f", "x"), link("l", "nobody")], "leads nowhere"),
        (vec![file("f", "x"), link("l", "l")], "leads nowhere"),
        // Each step is harmless by its text; together they leave.
        (
            vec![
                file("s/t/u/f", "x"),
                link("s/t/u/l", "../../.."),
                link("m", "s/t/u/l/.."),
            ],
            "leads out",
        ),
    ] {
        let told = refusal_of(&entries);
        assert!(told.contains(why), "{told}, not: {why}");
    }
}

#[test]
fn what_is_no_file_folder_or_link_or_stands_there_twice_is_refused() {
    for (entries, why) in [
        (vec![entry("dev", b'3')], "a device"),
        (vec![entry("p", b'6')], "a named pipe"),
        (
            vec![Entry {
                mode: 0o4755,
                ..program("su")
            }],
            "set-user-id",
        ),
        (
            vec![Entry {
                mode: 0o2755,
                ..program("sg")
            }],
            "set-user-id",
        ),
        (vec![file("run", "good"), file("run", "evil")], "twice"),
        (vec![file("run", "good"), file("./run", "evil")], "twice"),
        (vec![file("x", "1"), file("x/y", "2")], "below a file"),
        (vec![file("a\nb\x1b]0;x\x07", "1")], "bytes in its name"),
        (vec![file(b"bad-\xff", "1")], "bytes in its name"),
        (vec![file("d/".repeat(200) + "f", "1")], "too deep"),
        (vec![file("d".repeat(2000), "1")], "too long"),
        (vec![entry("only/", b'5')], "no file in it"),
        (vec![], "no file in it"),
    ] {
        let told = refusal_of(&entries);
        assert!(told.contains(why), "{told}, not: {why}");
        assert!(!told.contains('\x1b') && !told.contains('\n'), "{told:?}");
    }
}

#[test]
fn too_much_is_refused_before_it_is_written() {
    let many: Vec<Entry> = (0..=LIMITS.entries).map(|n| file(format!("e/{n}"), "")).collect();
    assert!(refusal_of(&many).contains("more than 100 entries"));

    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = file("zeros", &"\0".repeat(32 << 20));
    gz.write_all(&tar_of(&[zeros])).unwrap();
    let bomb = gz.finish().unwrap();
    let (room, result) = unpacked(&bomb, Packing::TarGz, LIMITS);
    assert!(
        matches!(result, Err(UnpackError::Bomb { limit: 200 })),
        "{result:?}"
    );
    let written = std::fs::metadata(room.path().join("out/zeros")).unwrap().len();
    assert!(written <= 16 << 20, "{written}");

    let small = UnpackLimits {
        bytes: 1 << 20,
        ..LIMITS
    };
    let (_room, result) = unpacked(&bomb, Packing::TarGz, small);
    assert!(
        matches!(result, Err(UnpackError::TooLarge { unit: "bytes", .. })),
        "{result:?}"
    );
}

#[test]
fn a_name_as_long_as_the_archive_likes_is_not_held_in_memory() {
    let mut archive = block(b"././@LongLink", b'L', 0, "", 1 << 30).to_vec();
    archive.extend(vec![b'n'; 20 << 20]);
    let (_room, result) = unpacked(&archive, Packing::Tar, LIMITS);
    let told = result.unwrap_err().to_string();
    assert!(told.contains("too long"), "{told}");
}

#[test]
fn a_cut_or_mistaken_archive_is_refused() {
    let archive = tar_of(&[file("f", &"content ".repeat(1000))]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&archive).unwrap();
    let gz = gz.finish().unwrap();
    for (bytes, packing) in [
        (&gz[..gz.len() / 2], Packing::TarGz),
        (&archive[..700], Packing::Tar),
        (&archive[..], Packing::TarGz),
        (&archive[..], Packing::TarZst),
        (&archive[..], Packing::Zip),
        (&b"<html>404</html>"[..], Packing::Tar),
        (&b""[..], Packing::Tar),
        (&b""[..], Packing::Zip),
    ] {
        let (_room, result) = unpacked(bytes, packing, LIMITS);
        assert!(result.is_err(), "{packing:?}");
    }
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let archive = tar_of(&[program("bin/web"), link("l", "bin/web"), file("f", "x")]);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut bytes = archive.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        for packing in [Packing::Tar, Packing::Zip, Packing::TarZst, Packing::TarGz] {
            // Whatever is said of them; that nothing is beside is looked at there.
            let _ = unpacked(&bytes, packing, LIMITS);
        }
    }
}
