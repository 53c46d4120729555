//! Every payload: those the ledger names, and those that are there.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use cloakroom_core::event::{ClaimName, Payload, Sha256};
use sha2::Digest as _;

use super::report::Findings;
use super::{Depth, DoctorError, Progress, Severity, Step, Totals, io_error};
use crate::claims::{self, Folders, Packed, Place, object_info, object_path, packed, segment_path};

/// How many segments stay open.
const OPEN_MAX: usize = 64;

/// The claims that the ledger names, checked as they come up.
pub(super) struct Referenced<'a> {
    folders: &'a Folders,
    depth: Depth,
    places: HashSet<Place>,
    open: HashMap<u64, Arc<File>>,
}

enum State {
    Sound,
    Missing,
    Damaged,
    Differs,
}

impl<'a> Referenced<'a> {
    pub(super) fn new(folders: &'a Folders, depth: Depth) -> Self {
        Self {
            folders,
            depth,
            places: HashSet::new(),
            open: HashMap::new(),
        }
    }

    /// Checks the claim of a payload, if it has one.
    pub(super) fn check(
        &mut self,
        place: &str,
        payload: &Payload,
        findings: &mut Findings,
        totals: &mut Totals,
    ) {
        let Some(claim) = &payload.claim else { return };
        let code = match self.state(claim, payload, totals) {
            Ok(State::Sound) => return,
            Ok(State::Missing) => "claim-missing",
            Ok(State::Damaged) | Err(_) => "claim-damaged",
            Ok(State::Differs) => "claim-differs",
        };
        findings.add(Severity::Error, code, format!("{} of {place}", claim.0));
    }

    fn state(
        &mut self,
        claim: &ClaimName,
        payload: &Payload,
        totals: &mut Totals,
    ) -> io::Result<State> {
        let Some(place) = Place::parse(claim) else {
            return Ok(State::Missing);
        };
        self.places.insert(place);
        let found = match place {
            Place::Packed {
                segment,
                offset,
                len,
            } => self.packed(segment, offset, len, payload, totals),
            Place::Object(id) => self.object(id, payload, totals),
        };
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Missing),
            found => found,
        }
    }

    fn packed(
        &mut self,
        segment: u64,
        offset: u64,
        len: u32,
        payload: &Payload,
        totals: &mut Totals,
    ) -> io::Result<State> {
        if !self.open.contains_key(&segment) {
            if self.open.len() >= OPEN_MAX {
                self.open.clear();
            }
            let file = File::open(segment_path(&self.folders.segments, segment))?;
            self.open.insert(segment, Arc::new(file));
        }
        let bytes = match packed(&self.open[&segment], segment, offset, len)? {
            Packed::Payload(bytes) => bytes,
            Packed::Nothing => return Ok(State::Missing),
            Packed::Damaged => return Ok(State::Damaged),
        };
        if bytes.len() as u64 != payload.size {
            return Ok(State::Differs);
        }
        if self.depth == Depth::Deep {
            totals.hashed += 1;
            if Sha256::of(&bytes) != payload.sha256 {
                return Ok(State::Differs);
            }
        }
        Ok(State::Sound)
    }

    fn object(&self, id: u128, payload: &Payload, totals: &mut Totals) -> io::Result<State> {
        let file = File::open(object_path(&self.folders.objects, id))?;
        let Some(info) = object_info(&file)? else {
            return Ok(State::Damaged);
        };
        if info.payload_len != payload.size {
            return Ok(State::Differs);
        }
        if self.depth == Depth::Deep {
            totals.hashed += 1;
            let (mut file, mut hash) = (file.take(info.payload_len), sha2::Sha256::new());
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => hash.update(&buffer[..read]),
                }
            }
            if Sha256(hash.finalize().into()) != payload.sha256 {
                return Ok(State::Differs);
            }
        }
        Ok(State::Sound)
    }
}

/// Looks through the claim store's own files.
pub(super) fn examine(
    folders: &Folders,
    referenced: &Referenced<'_>,
    findings: &mut Findings,
    totals: &mut Totals,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DoctorError> {
    segments(folders, referenced, findings, totals, progress)?;
    objects(folders, referenced, findings, totals, progress)?;
    let leftovers = match std::fs::read_dir(&folders.staging) {
        Ok(leftovers) => leftovers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(&folders.staging)(error)),
    };
    for leftover in leftovers {
        let leftover = leftover.map_err(io_error(&folders.staging))?;
        findings.add(
            Severity::Note,
            "staging-leftover",
            leftover.file_name().to_string_lossy().into_owned(),
        );
    }
    Ok(())
}

fn segments(
    folders: &Folders,
    referenced: &Referenced<'_>,
    findings: &mut Findings,
    totals: &mut Totals,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DoctorError> {
    let numbers =
        some_or_none(claims::segments(&folders.segments)).map_err(io_error(&folders.segments))?;
    for (done, segment) in numbers.iter().copied().enumerate() {
        progress(Progress {
            step: Step::Segments,
            done: done as u64,
            total: Some(numbers.len() as u64),
        });
        let path = segment_path(&folders.segments, segment);
        let found = claims::segment(&path, segment, |offset, len| {
            let place = Place::Packed {
                segment,
                offset,
                len,
            };
            if !referenced.places.contains(&place) {
                findings.add(Severity::Note, "claim-unreferenced", place.name().0);
            }
        });
        let found = found.map_err(io_error(&path))?;
        totals.segments += 1;
        totals.packed += found.records;
        totals.segment_bytes += found.file_len;
        let is_last = done + 1 == numbers.len();
        let rest = found.file_len.saturating_sub(found.valid_len);
        let place = format!("segment {segment}: {rest} bytes from {}", found.valid_len);
        if !found.has_header || found.valid_after_damage || (rest > 0 && !is_last) {
            findings.add(Severity::Error, "segment-damaged", place);
        } else if rest > 0 && !found.is_room_behind {
            findings.add(Severity::Note, "segment-tail", place);
        }
    }
    Ok(())
}

fn objects(
    folders: &Folders,
    referenced: &Referenced<'_>,
    findings: &mut Findings,
    totals: &mut Totals,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DoctorError> {
    let ids =
        some_or_none(claims::objects(&folders.objects)).map_err(io_error(&folders.objects))?;
    for (done, id) in ids.iter().copied().enumerate() {
        progress(Progress {
            step: Step::Objects,
            done: done as u64,
            total: Some(ids.len() as u64),
        });
        let path = object_path(&folders.objects, id);
        totals.objects += 1;
        totals.object_bytes += std::fs::metadata(&path).map_err(io_error(&path))?.len();
        if !referenced.places.contains(&Place::Object(id)) {
            findings.add(
                Severity::Note,
                "claim-unreferenced",
                Place::Object(id).name().0,
            );
        }
    }
    Ok(())
}

/// A folder that is not there holds nothing; what should be in it is missed by those who name it.
fn some_or_none<T: Default>(found: io::Result<T>) -> io::Result<T> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        found => found,
    }
}
