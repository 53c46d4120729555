//! How a body of unknown length is cut into parts.
//!
//! S3 takes at most 10,000 parts of 5 MiB to 5 GiB each. Parts of 5 MiB alone would end at 49 GiB, and parts that are
//! large from the start would cost memory for every body. So the first parts have the least size, for as long as the
//! default limit of payloads (5 GiB) and a little more, and from there every part is a little larger than the one before.

/// The smallest part that S3 takes, but for the last one of an upload.
pub const PART_MIN: u64 = 5 << 20;

/// The most parts that an upload may have.
pub const PARTS_MAX: u32 = 10_000;

/// The largest body that can be stored: 5 TiB.
pub const OBJECT_MAX: u64 = 5 << 40;

/// Parts that have the least size: 5.3 GiB of them.
const FLAT_PARTS: u32 = 1_100;

/// By how much each later part is larger than the one before.
const GROWTH: u64 = 140 << 10;

/// How much may be on its way to S3 at once, as long as a single part is not larger than that.
const IN_FLIGHT_BYTES: u64 = 4 * PART_MIN;

/// The size of a part, in bytes; the first has the number 1.
pub const fn part_size(number: u32) -> u64 {
    PART_MIN + number.saturating_sub(FLAT_PARTS) as u64 * GROWTH
}

/// How many parts of this size may be on their way at once: 4, and fewer the larger they are.
pub const fn in_flight(part_size: u64) -> usize {
    match IN_FLIGHT_BYTES / part_size {
        0 => 1,
        parts => parts as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest part that S3 takes.
    const PART_MAX: u64 = 5 << 30;

    #[test]
    fn all_parts_together_hold_the_largest_object() {
        let sizes = (1..=PARTS_MAX).map(part_size);
        assert!(
            sizes
                .clone()
                .all(|size| (PART_MIN..=PART_MAX).contains(&size))
        );
        assert!(sizes.clone().is_sorted());
        let total: u64 = sizes.sum();
        assert!(total >= OBJECT_MAX, "{total}");
        let without_growth = u64::from(PARTS_MAX) * PART_MIN;
        assert!(without_growth < OBJECT_MAX, "parts have to grow");
    }

    #[test]
    fn memory_is_flat_up_to_the_default_limit() {
        let mut stored = 0;
        let mut number = 0;
        while stored < 5 << 30 {
            number += 1;
            assert_eq!(part_size(number), PART_MIN);
            assert_eq!(in_flight(part_size(number)), 4);
            stored += part_size(number);
        }
        assert_eq!(number, 1_024);
    }

    #[test]
    fn large_parts_go_one_at_a_time() {
        assert_eq!(part_size(FLAT_PARTS + 1), PART_MIN + GROWTH);
        assert_eq!(in_flight(10 << 20), 2);
        assert_eq!(in_flight(part_size(PARTS_MAX)), 1);
    }
}
