//! Bytes on a connection, as nobody's library would send them.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::support::PATIENCE;

/// A connection with every byte in the test's own hands.
pub(super) struct Wire(TcpStream);

impl Wire {
    pub(super) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Writes all of it. `false` when the server has hung up.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Whether the server has said something, or hung up, before the pause is over.
    pub(super) fn heard_within(&mut self, pause: std::time::Duration) -> bool {
        self.0.set_read_timeout(Some(pause)).unwrap();
        let heard = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        !heard.is_err_and(|error| is_silence(&error))
    }

    /// Says that nothing more comes, and still listens.
    pub(super) fn half_close(&mut self) {
        // Who was hung up on has nothing left to close.
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Everything that is said until the connection ends.
    pub(super) fn listen(mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut heard) {
            assert!(!is_silence(&error), "the connection was never closed");
        }
        heard
    }
}

/// Sends it, waits for so many answers, closes this half, and returns the statuses of all answers there were. Who closes it earlier
/// counts as gone and may get no answer.
pub(super) fn exchange(address: &str, bytes: &[u8], answers: usize) -> Vec<u16> {
    let mut wire = Wire::open(address);
    wire.write(bytes);
    let mut heard = Vec::new();
    while statuses(&heard).len() < answers {
        let mut some = [0; 4096];
        match wire.0.read(&mut some) {
            Ok(0) => break,
            Ok(read) => heard.extend_from_slice(&some[..read]),
            Err(error) => {
                assert!(
                    !is_silence(&error),
                    "no {answers} answers: {:?}",
                    statuses(&heard)
                );
                break;
            }
        }
    }
    wire.half_close();
    heard.extend(wire.listen());
    statuses(&heard)
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// The status of every answer. Bodies of problems and receipts hold no status line.
pub(super) fn statuses(heard: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(heard);
    let lines = text.match_indices("HTTP/1.1 ");
    let numbers = lines.map(|(at, _)| text[at + 9..at + 12].parse().unwrap());
    numbers.collect()
}
