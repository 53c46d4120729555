//! A sender of HTTP/1.1 requests that has every byte in its own hands: chunks, pauses, and breaking off.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::PATIENCE;

/// How the body travels.
enum Body<'a> {
    Whole(&'a [u8]),
    Chunked(&'a [u8], usize),
}

/// A request on a connection of its own.
pub(crate) struct Request<'a> {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Body<'a>,
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    pub(crate) fn put(path: &str) -> Self {
        Self::new("PUT", path)
    }

    fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Body::Whole(&[]),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn headers(mut self, headers: &[(String, String)]) -> Self {
        self.headers.extend_from_slice(headers);
        self
    }

    /// A body whose length is told first.
    pub(crate) fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Body::Whole(body);
        self
    }

    /// A body in chunks of this size, whose length nobody tells.
    pub(crate) fn chunked(mut self, body: &'a [u8], size: usize) -> Self {
        self.body = Body::Chunked(body, size);
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) fn send(&self, address: &str) -> io::Result<Answer> {
        let mut answer = self.open(address)?;
        let mut body = Vec::new();
        answer.body.read_to_end(&mut body)?;
        Ok(Answer {
            status: answer.status,
            headers: answer.headers,
            body,
        })
    }

    /// Sends it and reads the head of the answer.
    pub(crate) fn open(&self, address: &str) -> io::Result<Opened> {
        let mut stream = connect(address)?;
        let written = self
            .write_head(&mut stream, address)
            .and_then(|()| self.write_body(&mut stream));
        // A server may refuse before it has read everything: what counts is its answer, if there is one.
        match (Opened::read(stream), written) {
            (Err(_), Err(error)) => Err(error),
            (answer, _) => answer,
        }
    }

    /// Sends the first part of it, and leaves the rest to the caller.
    pub(crate) fn begin(&self, address: &str, length: usize) -> io::Result<TcpStream> {
        let mut stream = connect(address)?;
        self.write_head(&mut stream, address)?;
        match self.body {
            Body::Whole(bytes) => stream.write_all(&bytes[..length])?,
            Body::Chunked(bytes, size) => write_chunks(&mut stream, &bytes[..length], size)?,
        }
        stream.flush()?;
        Ok(stream)
    }

    fn write_head(&self, stream: &mut TcpStream, address: &str) -> io::Result<()> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {address}\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.body {
            Body::Whole(bytes) => head.push_str(&format!("content-length: {}\r\n", bytes.len())),
            Body::Chunked(..) => head.push_str("transfer-encoding: chunked\r\n"),
        }
        head.push_str("connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())
    }

    fn write_body(&self, stream: &mut TcpStream) -> io::Result<()> {
        match self.body {
            Body::Whole(bytes) => stream.write_all(bytes),
            Body::Chunked(bytes, size) => {
                write_chunks(stream, bytes, size)?;
                stream.write_all(b"0\r\n\r\n")
            }
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn write_chunks(stream: &mut TcpStream, bytes: &[u8], size: usize) -> io::Result<()> {
    for chunk in bytes.chunks(size) {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }
}

/// An answer whose body is still to come.
pub(crate) struct Opened {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: BodyReader,
}

impl Opened {
    /// Reads the head.
    pub(crate) fn read(stream: TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let head = read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut slots);
        parsed.parse(&head).map_err(io::Error::other)?;
        let status = parsed.code.unwrap();
        let headers = owned(parsed.headers);
        if status == 100 {
            return Self::read_after(reader);
        }
        Ok(Self {
            status,
            body: BodyReader::new(reader, &headers),
            headers,
        })
    }

    fn read_after(reader: BufReader<TcpStream>) -> io::Result<Self> {
        assert!(reader.buffer().is_empty(), "the final answer came along");
        Self::read(reader.into_inner())
    }
}

/// Headers with their names in lower case.
pub(crate) fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let pairs = headers.iter();
    pairs
        .map(|one| (one.name.to_ascii_lowercase(), text(one.value)))
        .collect()
}

/// Everything up to the empty line; `None` when nothing comes any more.
pub(crate) fn read_head(reader: &mut impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return match head.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
    Ok(Some(head))
}

/// A body as the headers announce it.
pub(crate) struct BodyReader {
    reader: BufReader<TcpStream>,
    left: u64,
    chunked: bool,
    ended: bool,
}

impl BodyReader {
    pub(crate) fn new(reader: BufReader<TcpStream>, headers: &[(String, String)]) -> Self {
        let value = |name: &str| headers.iter().find(|(key, _)| key == name);
        let length = value("content-length").map(|(_, value)| value.parse().unwrap());
        Self {
            reader,
            left: length.unwrap_or(0),
            chunked: value("transfer-encoding").is_some(),
            ended: false,
        }
    }

    /// The connection, when the body was read to its end.
    pub(crate) fn into_inner(self) -> BufReader<TcpStream> {
        self.reader
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        self.left = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        if self.left == 0 {
            self.reader.read_line(&mut line)?;
            self.ended = true;
        }
        Ok(())
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.chunked && !self.ended {
            self.next_chunk()?;
        }
        let most = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if self.left == 0 && self.chunked {
            self.reader.read_line(&mut String::new())?;
        }
        Ok(read)
    }
}
