//! Files that are damaged: whatever the server still serves is what was accepted, and the doctor finds the damage.
//!
//! A directory is filled, its server is killed, and copies of it are damaged one after the other, in places and ways that
//! follow from a printed seed (`CLOAKROOM_DAMAGE_SEED`). `CLOAKROOM_DAMAGES` says how many, if not the usual few.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::support::http::Request;
use crate::support::server::{Server, cloakroom, doctor, examined};
use crate::support::webhook::now;
use crate::support::{files_below, sha256, wait_until};

const DAMAGES: usize = 24;
const EVENTS: usize = 40;
const PAGE: usize = 4096;
/// How often a damaged server is asked for what it has.
const LOOKS: usize = 10;
const CONFIG: &str = "\
claims: { above: 300B }
sources:
  things: { verify: { scheme: none }, key: query:key, type: header:x-type }
";

/// What was accepted: by type, the hash and the size.
type Accepted = BTreeMap<String, String>;

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Payloads for the ledger, for segments and for files of their own.
fn fill(server: &Server) -> Accepted {
    let mut accepted = Accepted::new();
    for number in 0..EVENTS {
        let size = [120, 900, 5_000, 90_000][number % 4];
        let body = format!("{{\"number\":{number},\"text\":\"{}\"}}", "y".repeat(size));
        let name = format!("number.{number}");
        let request = Request::post(&format!("/in/things?key=K{}", number % 3));
        let request = request.header("content-type", "application/json");
        let request = request.header("x-type", &name);
        let answer = request.body(body.as_bytes()).send(&server.address).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        accepted.insert(name, sha256(body.as_bytes()));
    }
    accepted
}

/// How a file is damaged. The end of a log is left alone: without its last commit, or cut off, it is what a crash leaves.
fn damage(path: &Path, random: &mut StdRng) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    let is_log = path.ends_with("ledger.db-wal");
    let (end, ways) = match is_log {
        true => (bytes.len() / 2, 2),
        false => (bytes.len(), 4),
    };
    let at = random.random_range(0..end);
    let what = match random.random_range(0..ways) {
        0 => {
            bytes[at] ^= 1 << random.random_range(0..8);
            format!("a bit flipped at {at}")
        }
        1 => {
            let page = at / PAGE * PAGE;
            let end = (page + PAGE).min(bytes.len());
            bytes[page..end].fill(0);
            format!("zeros from {page} to {end}")
        }
        2 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        _ => {
            // Where one thing ends and the next begins.
            let at = *[0, 16, 32, at / PAGE * PAGE, bytes.len() - 1]
                .choose(random)
                .unwrap();
            bytes.truncate(at);
            format!("cut off at {at}")
        }
    };
    std::fs::write(path, bytes).unwrap();
    format!("{}: {what}", path.display())
}

/// Everything that a server tells and hands out is what was accepted. How much of it there was.
fn serves_only_what_was_accepted(server: &Server, accepted: &Accepted) -> usize {
    let mut served = 0;
    for key in 0..3 {
        let path = format!("/v1/streams/things/K{key}/events?limit=100");
        let answer = Request::get(&path).send(&server.address).unwrap();
        if answer.status != 200 {
            assert!(
                matches!(answer.status, 404 | 500 | 503),
                "{}",
                answer.text()
            );
            continue;
        }
        for event in answer.json().as_array().unwrap() {
            served += usize::from(is_as_accepted(event, accepted));
        }
    }
    served
}

/// Whether an event could be fetched; what is fetched must be right.
fn is_as_accepted(event: &Value, accepted: &Accepted) -> bool {
    let name = event["type"].as_str().unwrap();
    let expected = accepted.get(name);
    let expected = expected.unwrap_or_else(|| panic!("{name} was never accepted"));
    assert_eq!(event["payloadsha256"], **expected, "{name}");
    let url = event["dataref"].as_str().unwrap();
    let (address, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let path = format!("/{path}");
    // A part first: it must not depend on the whole having been looked at.
    let part = Request::get(&path).header("range", "bytes=70000-70009");
    if let Ok(part) = part.send(address)
        && part.status == 206
    {
        assert_eq!(part.body, b"yyyyyyyyyy", "{name}");
    }
    match Request::get(&path).send(address) {
        Ok(whole) if whole.status == 200 => {
            let told = event["payloadsize"].as_str().unwrap();
            let is_whole = whole.body.len().to_string() == told;
            assert!(!is_whole || sha256(&whole.body) == *expected, "{name}");
            is_whole
        }
        _ => false,
    }
}

#[test]
fn what_is_damaged_is_found_and_never_served() {
    let seed = asked("CLOAKROOM_DAMAGE_SEED", now().as_micros().unsigned_abs());
    let damages = asked("CLOAKROOM_DAMAGES", DAMAGES as u64);
    println!("CLOAKROOM_DAMAGE_SEED={seed} CLOAKROOM_DAMAGES={damages}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG);
    let accepted = fill(&server);
    wait_until("everything is served", || {
        serves_only_what_was_accepted(&server, &accepted) == EVENTS
    });
    server.kill();
    let original = folder.path().join("cloakroom-data");
    let closed = folder.path().join("closed-data");
    copy(&original, &closed);
    let start = |data: &Path| {
        let mut command = cloakroom(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(data);
        command
    };
    Server::start_as(&mut start(&closed), folder.path(), CONFIG).stop();

    let (mut refused, mut partly, mut whole) = (0, 0, 0);
    for number in 0..damages {
        let data = folder.path().join("damaged-data");
        copy([&original, &closed][(number % 2) as usize], &data);
        let files = files_below(&data);
        let files: Vec<_> = files
            .iter()
            // The index of the log is made anew, and the rest holds no data.
            .filter(|(path, len)| {
                *len > 0 && (path.contains("/ledger.db") || path.contains("/claims/"))
            })
            .filter(|(path, _)| !path.ends_with("-shm"))
            .collect();
        let (path, _) = files.choose(&mut random).unwrap();
        let what = damage(Path::new(path.as_str()), &mut random);
        let (report, is_sound) = examined(&mut doctor(&data));
        let Some(served) = served(&mut start(&data), &accepted) else {
            refused += 1;
            assert!(
                !is_sound,
                "{what}: refused by the server, sound to the doctor"
            );
            continue;
        };
        match served == EVENTS {
            true => whole += 1,
            false => partly += 1,
        }
        assert!(
            served == EVENTS || !is_sound,
            "{what}: {served} of {EVENTS} are served, and the doctor says {report}"
        );
    }
    println!(
        "{damages} damages: {refused} refused at the start, {partly} served in part, {whole} in full"
    );
    assert!(refused + partly > 0, "nothing was damaged");
}

/// How many events a server over a damaged directory serves; nothing when it refuses to start, with a reason.
fn served(command: &mut Command, accepted: &Accepted) -> Option<usize> {
    match Server::attempt(command) {
        Ok(server) => {
            let mut served = 0;
            // What was not released yet is, in a moment; what is damaged never comes.
            for _ in 0..LOOKS {
                served = serves_only_what_was_accepted(&server, accepted);
                if served == EVENTS {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
            let told = server.ended();
            assert!(!told.contains("panicked"), "{told}");
            Some(served)
        }
        Err(told) => {
            assert!(told.contains("error: "), "{told}");
            assert!(!told.contains("panicked"), "{told}");
            None
        }
    }
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success());
}
