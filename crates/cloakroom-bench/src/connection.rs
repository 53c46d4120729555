//! One keep-alive HTTP/1.1 connection that costs next to nothing: requests come as prepared bytes.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How much is asked of the socket at a time, in bytes.
const READ: usize = 16 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: BytesMut,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::with_capacity(READ),
        })
    }

    /// Writes prepared bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream
            .write_all(bytes)
            .await
            .context("the server closed the connection on a request")
    }

    /// Sends a whole request and reads the answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.send(request).await?;
        self.answer().await
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self) -> anyhow::Result<Answer> {
        loop {
            if let Some((status, head, length)) = parse(&self.buffer)?
                && self.buffer.len() >= head + length
            {
                self.buffer.advance(head);
                let body = self.buffer.split_to(length);
                return Ok(Answer { status, body });
            }
            self.buffer.reserve(READ);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection without an answer");
            }
        }
    }
}

/// The status, the length of the head and that of the body, once the head is complete.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.context("the answer has no status")?;
    Ok(Some((status, head, content_length(response.headers)?)))
}

/// The length of a body that is not chunked.
pub(crate) fn content_length(headers: &[httparse::Header<'_>]) -> anyhow::Result<usize> {
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            return Ok(std::str::from_utf8(header.value)?.trim().parse()?);
        }
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a chunked body, which this program does not read");
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whole_or_not_at_all() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(answer).unwrap(), Some((202, 44, 2)));
        assert_eq!(parse(&answer[..40]).unwrap(), None);
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
