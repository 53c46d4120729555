//! A disk that is full, and one that is read-only.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::storm::config;
use crate::storm::memory::Memory;
use crate::storm::provider::Provider;
use crate::support::consumer::Consumer;
use crate::support::disk::Disk;
use crate::support::http::Request;
use crate::support::server::{Server, assert_sound, cloakroom, doctor};
use crate::support::{files_below, wait_until};

const SENDERS: usize = 3;
/// More than what new webhooks must leave free (128 MiB), and little more.
const SIZE: &str = "200m";

fn serve(folder: &Path, data: &Path) -> Command {
    let mut command = cloakroom(folder);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(data);
    command
}

/// A large webhook; the status it is answered with, if it is, and when to come again.
fn send_large(address: &str, bytes: usize) -> Option<(u16, String)> {
    let body = vec![b'x'; bytes];
    let request = Request::post("/in/files").header("content-type", "application/octet-stream");
    let answer = request.chunked(&body, 256 * 1024).send(address).ok()?;
    Some((answer.status, answer.header("retry-after").to_owned()))
}

fn with_files(consumer: &Consumer) -> String {
    let sources =
        "sources:\n  files: { verify: { scheme: none }, key: const:all, type: const:number.0 }\n";
    config(consumer).replace("sources:\n", sources).replace(
        "sources: [\"*\"]",
        "sources: [transfers, impatient, messages]",
    )
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::mounted(SIZE, &folder.path().join("disk"));
    let data = disk.path().join("data");
    let consumer = Consumer::start();
    let server = Server::start_as(
        &mut disk.entered(&serve(folder.path(), &data)),
        folder.path(),
        &with_files(&consumer),
    );
    let mut memory = Memory::default();
    let provider = Arc::new(Provider::new(1, 200));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (provider, address) = (Arc::clone(&provider), server.address.clone());
            std::thread::spawn(move || provider.send(&address))
        })
        .collect();
    let acknowledged = |more: usize| {
        let enough = provider.answers().0 + more;
        wait_until("more is acknowledged", || provider.answers().0 >= enough);
    };
    acknowledged(100);

    // It begins with room to spare, and the disk is full in the middle of it.
    if let Some((status, wait)) = send_large(&server.address, 240 << 20) {
        assert_eq!(status, 503);
        assert!(wait.parse::<u64>().is_ok(), "no Retry-After: {wait:?}");
    }
    wait_until("nothing is left of it", || staged(&disk, &data) == 0);
    acknowledged(100);

    // Somebody else takes the last byte, while webhooks come in and cursors move.
    for _ in 0..3 {
        disk.leave_mib(0);
        let enough = provider.refused() + 50;
        wait_until("webhooks are refused", || provider.refused() >= enough);
        let health = Request::get("/healthz").send(&server.address).unwrap();
        assert_eq!(health.status, 200);
        // Room, but less than what new webhooks must leave.
        disk.leave_mib(60);
        let enough = provider.refused() + 20;
        wait_until("webhooks are refused still", || {
            provider.refused() >= enough
        });
        disk.free();
        acknowledged(100);
    }
    provider.close();
    for sender in senders {
        sender.join().unwrap();
    }
    let everything = provider.acknowledged();
    wait_until("everything acknowledged is delivered", || {
        take(&mut memory, &consumer);
        memory.effective() >= everything.len()
    });
    memory.check_all(&everything);
    memory.fetch_large();
    server.stop();
    assert_sound(disk.entered(&doctor(&data)));
    assert_eq!(staged(&disk, &data), 0);
    println!(
        "{} webhooks acknowledged, {} refused meanwhile, {} deliveries, {} of them repeats",
        everything.len(),
        provider.refused(),
        memory.known,
        memory.repeats
    );
}

/// A cursor that cannot be written does not keep a consumer from being sent the event, and then sent it again: the consumer
/// remembers.
fn take(memory: &mut Memory, consumer: &Consumer) {
    memory.take_repeats(&consumer.taken_after(memory.known));
}

/// The same command, told to stop after so many seconds.
fn within(seconds: &str, command: &mut Command) -> Command {
    let mut timed = Command::new("timeout");
    timed.args(["--preserve-status", "-s", "TERM", seconds]);
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    timed
}

/// How many files lie half-written.
fn staged(disk: &Disk, data: &Path) -> usize {
    files_below(&disk.outside_path(&data.join("claims/staging"))).len()
}

#[test]
fn a_server_that_was_stopped_with_a_full_disk_starts_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::mounted(SIZE, &folder.path().join("disk"));
    let data = disk.path().join("data");
    let consumer = Consumer::start();
    let config = config(&consumer);
    let start = |disk: &Disk| {
        let mut command = disk.entered(&serve(folder.path(), &data));
        Server::start_as(&mut command, folder.path(), &config)
    };
    let server = start(&disk);
    let provider = Provider::new(2, 200);
    provider.close_after_one_stretch();
    provider.send(&server.address);
    disk.leave_mib(0);
    server.kill();
    consumer.quiesce();

    // It may start or say that it cannot: it must not panic, nor harm what is there.
    let mut attempt = disk.entered(&serve(folder.path(), &data));
    let output = within("5", &mut attempt).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("panicked"), "{told}");
    if !output.status.success() {
        assert!(told.contains("disk"), "no hint at the disk: {told}");
    }
    consumer.quiesce();
    disk.free();
    let server = start(&disk);
    let everything = provider.acknowledged();
    let mut memory = Memory::default();
    wait_until("everything acknowledged is delivered", || {
        take(&mut memory, &consumer);
        memory.effective() >= everything.len()
    });
    memory.check_all(&everything);
    server.stop();
    assert_sound(disk.entered(&doctor(&data)));
}

#[test]
fn a_read_only_directory_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::mounted("160m", &folder.path().join("disk"));
    let data = disk.path().join("data");
    let consumer = Consumer::start();
    let config = config(&consumer);
    let start = |disk: &Disk| {
        let mut command = disk.entered(&serve(folder.path(), &data));
        Server::start_as(&mut command, folder.path(), &config)
    };
    start(&disk).stop();
    assert!(disk.tell("mount -o remount,ro ."));
    let output = disk.entered(&serve(folder.path(), &data)).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(
        told.contains("read-only") && told.contains("--data-dir"),
        "{told}"
    );
    // Looking needs no writing.
    assert_sound(disk.entered(&doctor(&data)));
    assert!(disk.tell("mount -o remount,rw ."));
    start(&disk).stop();
}

#[test]
fn a_claim_directory_that_becomes_read_only_refuses_only_what_it_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::mounted("400m", &folder.path().join("disk"));
    let data = disk.path().join("data");
    let consumer = Consumer::start();
    let server = Server::start_as(
        &mut disk.entered(&serve(folder.path(), &data)),
        folder.path(),
        &with_files(&consumer),
    );
    let large = |bytes| send_large(&server.address, bytes).unwrap();
    assert_eq!(large(200_000).0, 202);
    assert!(disk.tell("mount --bind data/claims/staging data/claims/staging"));
    assert!(disk.tell("mount -o remount,bind,ro data/claims/staging"));
    let (status, wait) = large(200_001);
    assert_eq!(status, 503);
    assert!(wait.parse::<u64>().is_ok(), "no Retry-After: {wait:?}");
    // What goes into the open segment is taken all the same.
    assert_eq!(send_large(&server.address, 1000).unwrap().0, 202);
    assert!(disk.tell("umount data/claims/staging"));
    assert_eq!(large(200_001).0, 202);
    server.stop();
    assert_sound(disk.entered(&doctor(&data)));
}

#[test]
fn a_second_server_on_one_directory_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    let data = folder.path().join("cloakroom-data");
    for mut second in [serve(folder.path(), &data), doctor(&data)] {
        let output = second.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{told}");
        assert!(told.contains("in use by"), "{told}");
    }
    let health = Request::get("/healthz").send(&server.address).unwrap();
    assert_eq!(health.status, 200);
    server.stop();
}
