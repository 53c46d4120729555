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
        let waiting = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        !heard.is_err_and(|error| waiting.contains(&error.kind()))
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
            let hangs = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            );
            assert!(!hangs, "the connection was never closed");
        }
        heard
    }
}

/// Sends it, closes this half, and returns the statuses of all answers.
pub(super) fn exchange(address: &str, bytes: &[u8]) -> Vec<u16> {
    let mut wire = Wire::open(address);
    wire.write(bytes);
    wire.half_close();
    statuses(&wire.listen())
}

/// The status of every answer. Bodies of problems and receipts hold no status line.
pub(super) fn statuses(heard: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(heard);
    let lines = text.match_indices("HTTP/1.1 ");
    let numbers = lines.map(|(at, _)| text[at + 9..at + 12].parse().unwrap());
    numbers.collect()
}
