//! A small mutation engine for fuzzing as an ordinary test: it takes a corpus, breaks and mixes its entries with a seeded
//! generator, and hands each result to a check. The same seed gives the same inputs.
//!
//! `OSIER_FUZZ_SECONDS` sets how long each target runs (default 10), `OSIER_FUZZ_SEED` which inputs it sees.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest input that is made, in bytes.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// An input that takes longer is a finding: far above what a busy machine adds.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// What parsers trip over.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n",
    b"\t",
    b" ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"<<",
    b">>",
    b"\"",
    b"'",
    b"\\",
    b"\\x{110000}",
    b"\\u0000",
    b"${",
    b"$${",
    b"}",
    b"%",
    b"#",
    b"#{",
    b"=>",
    b":",
    b": ",
    b"- ",
    b"? ",
    b"|",
    b">",
    b"&a ",
    b"*a",
    b"!!str ",
    b"---\n",
    b"...",
    b"<<: ",
    b".",
    b",",
    b"/",
    b"//",
    b"..",
    b"../",
    b"-",
    b"--",
    b"0",
    b"1",
    b"-1",
    b"16#FF",
    b"1_0",
    b"1e999",
    b"99999999999999999999",
    b"0x",
    b"nan",
    b"inf",
    b"true",
    b"null",
    b"undefined",
    b"@",
    b"%2e",
    b"%00",
    b"::",
    b"ext::",
    b"[::1]",
    b"\xf0\x9f\x8c\xb1",
    b"\xe2\x80\xae",
];

/// The files of `tests/data/corpus/NAME`, sorted by name.
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/corpus")
        .join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs `check` on every entry of the corpus `name`, then on mutations of them until the time is over. A panic, or an
/// input that takes too long, fails the test and shows the input.
pub fn run(name: &str, check: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seeds = corpus(name);
    let number = |variable: &str, default: u64| {
        std::env::var(variable)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let duration = Duration::from_secs(number("OSIER_FUZZ_SECONDS", 10));
    let mut random = fastrand::Rng::with_seed(number("OSIER_FUZZ_SEED", 0x05_1e_12));
    for seed in &seeds {
        checked(name, seed, &check);
    }
    let started = Instant::now();
    let mut count = seeds.len();
    while started.elapsed() < duration {
        let input = mutated(&seeds, &mut random);
        checked(name, &input, &check);
        count += 1;
    }
    println!("{name}: {count} inputs in {:?}", started.elapsed());
    assert!(count > seeds.len(), "no time to mutate anything");
}

fn checked(name: &str, input: &[u8], check: &(impl Fn(&[u8]) + std::panic::RefUnwindSafe)) {
    let started = Instant::now();
    let result = std::panic::catch_unwind(|| check(input));
    let took = started.elapsed();
    if result.is_err() || took > INPUT_TIME_MAX {
        let shown: String = input
            .iter()
            .flat_map(|byte| std::ascii::escape_default(*byte))
            .map(char::from)
            .collect();
        panic!("{name} fails after {took:?} on b\"{shown}\"");
    }
}

/// One to eight changes of an entry of the corpus.
pub fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(1..=8) {
        change(&mut input, seeds, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let length = random.usize(..=16).min(input.len() - at);
    match random.u8(..9) {
        // Flip a bit.
        0 if length > 0 => input[at] ^= 1 << random.u8(..8),
        // Any byte.
        1 if length > 0 => input[at] = random.u8(..),
        // Remove a piece.
        2 => drop(input.drain(at..at + length)),
        // Say a piece again, up to a hundred times.
        3 => {
            let piece = input[at..at + length].repeat(random.usize(1..100));
            splice(input, at, &piece);
        }
        // Cut it off.
        4 => input.truncate(at),
        // Go on with a piece of another.
        5 => {
            let other = &seeds[random.usize(..seeds.len())];
            let from = random.usize(..=other.len());
            let to = random.usize(from..=other.len());
            splice(input, at, &other[from..to]);
        }
        // Swap two pieces.
        6 if length > 0 => {
            let other = random.usize(..=input.len() - length);
            for offset in 0..length {
                input.swap(at + offset, other + offset);
            }
        }
        // Something that parsers trip over.
        _ => splice(input, at, TOKENS[random.usize(..TOKENS.len())]),
    }
}

fn splice(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}
