//! Stored records: whatever is found in a ledger is read or refused, and what is read is written the same.

use cloakroom_engine::record::Record;

/// The target. Input: a record as JSON.
pub fn run(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record>(data) else {
        return;
    };
    let written = serde_json::to_vec(&record).expect("a record is plain data");
    let read: Record = serde_json::from_slice(&written).expect("what was written reads");
    assert_eq!(read, record);
    assert_eq!(
        serde_json::to_vec(&read).expect("a record is plain data"),
        written
    );
}
