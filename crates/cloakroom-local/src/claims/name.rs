//! Claim names, and the files they lead to. A stored format: names are in ledger entries.

use std::path::{Path, PathBuf};

use cloakroom_core::event::ClaimName;

/// Where a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// In a segment: `s/{segment}/{offset}/{length}`.
    Packed {
        /// Which segment.
        segment: u64,
        /// Where its record begins.
        offset: u64,
        /// How long the payload is.
        len: u32,
    },
    /// In a file of its own: `o/{32 hex digits}`.
    Object(u128),
}

impl Place {
    /// Reads a name. `None` when this store never gave such a name, so that no name leads anywhere but to a claim.
    pub(crate) fn parse(name: &ClaimName) -> Option<Self> {
        let place = match name.0.split_once('/')? {
            ("s", rest) => {
                let (segment, rest) = rest.split_once('/')?;
                let (offset, len) = rest.split_once('/')?;
                Self::Packed {
                    segment: segment.parse().ok()?,
                    offset: offset.parse().ok()?,
                    len: len.parse().ok()?,
                }
            }
            ("o", id) => Self::Object(u128::from_str_radix(id, 16).ok()?),
            _ => return None,
        };
        // Only the one way of writing it counts.
        (place.name() == *name).then_some(place)
    }

    pub(crate) fn name(&self) -> ClaimName {
        ClaimName(match self {
            Self::Packed {
                segment,
                offset,
                len,
            } => format!("s/{segment}/{offset}/{len}"),
            Self::Object(id) => format!("o/{id:032x}"),
        })
    }
}

/// The file of a segment.
pub(crate) fn segment_path(segments: &Path, segment: u64) -> PathBuf {
    segments.join(format!("{segment:020}.seg"))
}

/// The segment a file name stands for.
pub(crate) fn segment_number(file_name: &str) -> Option<u64> {
    let number = file_name.strip_suffix(".seg")?;
    (number.len() == 20).then(|| number.parse().ok())?
}

/// The file of an object; its folder is named after its first two digits.
pub(crate) fn object_path(objects: &Path, id: u128) -> PathBuf {
    let name = format!("{id:032x}");
    objects.join(&name[..2]).join(&name)
}

/// The object a file name stands for.
pub(crate) fn object_id(file_name: &str) -> Option<u128> {
    let id = u128::from_str_radix(file_name, 16).ok()?;
    (format!("{id:032x}") == file_name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let packed = Place::Packed {
            segment: 7,
            offset: 16,
            len: 0,
        };
        let object = Place::Object(0xab);
        for place in [packed, object] {
            assert_eq!(Place::parse(&place.name()), Some(place));
        }
        assert_eq!(
            object_path(Path::new("x"), 0xab),
            Path::new(&format!("x/00/{:032x}", 0xab))
        );
        assert_eq!(segment_number("00000000000000000007.seg"), Some(7));
        assert_eq!(object_id(&format!("{:032x}", 0xab)), Some(0xab));
    }

    #[test]
    fn other_names_lead_nowhere() {
        let upper = format!("o/{:032X}", 0xab);
        for name in [
            "s/01/16/3",
            "s/+1/16/3",
            "s/1/16/3/",
            "s/1/16/-3",
            "o/ab",
            "o/../../../../../../etc/passwd00",
            upper.as_str(),
        ] {
            assert_eq!(Place::parse(&ClaimName(name.to_owned())), None, "{name}");
        }
    }
}
