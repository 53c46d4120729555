//! Payloads of a gigabyte and more: the time they take as a ratio to the least anybody must do, and the memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock;
use crate::connection::Connection;
use crate::disk;
use crate::report::{Aim, Report};
use crate::server::{Place, Server, Setup};
use crate::webhook::{SECRET, head};

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The size of the payload that is timed, in MiB.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..))]
    mib: u64,
    /// Rounds, each of one upload and one plain write.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// The size of the payload during which memory is watched, in MiB.
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u64).range(1..))]
    memory_mib: u64,
}

const BLOCK: usize = 1 << 20;

/// A transfer with a very long last field, made of the same block over and over.
struct Payload {
    begin: Vec<u8>,
    block: Vec<u8>,
    blocks: u64,
    end: &'static [u8],
}

impl Payload {
    fn new(sequence: u64, mib: u64) -> Self {
        let begin = format!(
            r#"{{"type":"balancePlatform.transfer.updated","environment":"test","data":{{"id":"LARGE00000000001","sequenceNumber":{sequence},"status":"booked","attachment":""#
        );
        // Looks like base64, and no two neighbouring pages are alike.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let block = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            alphabet[(state >> 58) as usize]
        });
        Self {
            begin: begin.into_bytes(),
            block: block.take(BLOCK).collect(),
            blocks: mib,
            end: br#""}}"#,
        }
    }

    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.begin.as_slice())
            .chain((0..self.blocks).map(|_| self.block.as_slice()))
            .chain(std::iter::once(self.end))
    }

    fn len(&self) -> u64 {
        (self.begin.len() + self.end.len()) as u64 + self.blocks * BLOCK as u64
    }

    /// The head of the request, signed. The signer of `cloakroom-core` wants the whole body in memory, this one does not.
    fn head(&self) -> anyhow::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&decode_hex(SECRET)?)?;
        for chunk in self.chunks() {
            mac.update(chunk);
        }
        let signature = BASE64.encode(mac.finalize().into_bytes());
        Ok(head(&[("hmacsignature".to_owned(), signature)], self.len()))
    }
}

fn decode_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("large");
    let scratch = place.scratch()?;
    let server = Server::cloakroom(place, &Setup::default()).await?;
    let before = server.usage()?;
    let (mut ours, mut plain) = (0.0, 0.0);
    for round in 1..=args.rounds {
        let payload = Payload::new(round, args.mib);
        let uploaded = upload(&server, &payload).await?;
        let written = disk::hash_and_keep(scratch.path(), payload.chunks())?.as_secs_f64();
        report.add(format!("round {round}: ratio"), uploaded / written, "");
        ours += uploaded;
        plain += written;
    }
    let cpu = server.usage()?.cpu() - before.cpu();
    let rounds = args.rounds as f64;
    let name = format!("{} MiB: ratio to SHA-256, write and fsync", args.mib);
    report.aim(name, ours / plain, "", Aim::AtMost(1.5));
    report.add("upload, mean", ours / rounds, "s");
    report.add("SHA-256, write and fsync, mean", plain / rounds, "s");
    report.add("server CPU per upload", cpu / rounds, "s");
    server.stop().await?;

    let server = Server::cloakroom(place, &Setup::default()).await?;
    upload(&server, &Payload::new(1, args.memory_mib)).await?;
    let name = format!("most memory while {} MiB came in", args.memory_mib);
    let peak = server.usage()?.resident_peak as f64 / 1e6;
    report.aim(name, peak, "MB", Aim::AtMost(100.0));
    server.stop().await?;
    Ok(report)
}

/// Sends it; the time until it was acknowledged, in seconds.
async fn upload(server: &Server, payload: &Payload) -> anyhow::Result<f64> {
    let head = payload.head()?;
    let mut connection = Connection::open(server.address).await?;
    let start = clock::now();
    connection.send(head.as_bytes()).await?;
    for chunk in payload.chunks() {
        connection.send(chunk).await?;
    }
    let answer = connection.answer().await?;
    let elapsed = clock::now() - start;
    anyhow::ensure!(
        answer.status == 202,
        "the payload was answered {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_the_length_it_tells() {
        let payload = Payload::new(3, 2);
        let bytes = payload.chunks().collect::<Vec<_>>().concat();
        assert_eq!(bytes.len() as u64, payload.len());
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["data"]["sequenceNumber"], 3);
    }
}
