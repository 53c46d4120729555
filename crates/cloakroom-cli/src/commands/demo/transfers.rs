//! What Adyen tells about a transfer of its platform: one webhook per change, numbered per transfer.
//!
//! The shape is that of `balancePlatform.transfer.created` and `.updated`
//! (<https://docs.adyen.com/api-explorer/transfer-webhooks/latest/overview>); names and amounts are made up.

use serde_json::{Value, json};

/// Ids of transfers.
pub(super) const IDS: [&str; 6] = [
    "1W1UG35U8A9J5ZLG",
    "3JERI65VWQ2MLVQD",
    "48TYZO5ZVURJ2FCW",
    "6JKRLZ8LOT59KLFY",
    "38EBIX5HH3W9DS0T",
    "1VVF0D5U66PIUIVP",
];

const NAMES: [&str; 6] = [
    "Ada Lindqvist",
    "Bruno Keller",
    "Chiara Rossi",
    "Deniz Aydın",
    "Eoin Ó Briain",
    "Femke de Vries",
];

/// What becomes of a transfer, in this order; after the last step only its tracking changes.
const STEPS: [&str; 3] = ["received", "authorised", "booked"];
const TRACKING: [&str; 3] = ["pending", "accepted", "credited"];

/// How many changes a usual body tells of.
const HISTORY_MAX: u32 = 10;

/// The bodies about one change of a transfer: `sequence` counts from 1. At least `size` bytes: the history of a payout
/// to many accounts is as long as they are many.
pub(super) fn body(transfer: usize, sequence: u32, size: usize) -> Vec<u8> {
    let value = 1_250 * (i64::try_from(transfer).unwrap_or(0) + 3);
    let step = usize::try_from(sequence - 1).unwrap_or(usize::MAX);
    let status = STEPS.get(step).copied().unwrap_or("booked");
    let mut data = json!({
        "accountHolder": { "description": "Payouts of the market place", "id": "AH32272223222B5GFSNSXFFL9" },
        "amount": { "currency": "EUR", "value": value },
        "balanceAccount": { "description": "Main account", "id": "BA32272223222B5FTD2KR6TJD" },
        "balancePlatform": "YOUR_BALANCE_PLATFORM",
        "balances": [{ "currency": "EUR", "received": 0, "reserved": -value }],
        "category": "bank",
        "counterparty": {
            "bankAccount": {
                "accountHolder": { "fullName": NAMES[transfer % NAMES.len()] },
                "accountIdentification": { "type": "iban", "iban": "NL91ABNA0417164300" },
            },
        },
        "creationDate": "2026-11-22T10:00:00+01:00",
        "description": format!("Payout {}", 4_100 + transfer),
        "direction": "outgoing",
        "id": IDS[transfer % IDS.len()],
        "reason": "approved",
        "reference": format!("PAYOUT-{}", 4_100 + transfer),
        "sequenceNumber": sequence,
        "status": status,
        "transactionRulesResult": { "allHardBlockRulesPassed": true },
        "type": "bankTransfer",
    });
    if step >= STEPS.len() {
        let tracking = TRACKING[(step - STEPS.len()) % TRACKING.len()];
        data["tracking"] = json!({ "status": tracking, "type": "confirmation" });
    }
    data["events"] = Value::Array(history(transfer, value, sequence, size));
    let kind = if sequence == 1 { "created" } else { "updated" };
    let body = json!({
        "data": data,
        "environment": "test",
        "timestamp": format!("2026-11-22T10:{:02}:{:02}+01:00", sequence / 60 % 60, sequence % 60),
        "type": format!("balancePlatform.transfer.{kind}"),
    });
    body.to_string().into_bytes()
}

/// What happened to the transfer of late: an entry per change, and more until `size` is reached.
fn history(transfer: usize, value: i64, sequence: u32, size: usize) -> Vec<Value> {
    let entry = |number: u32| {
        json!({
            "bookingDate": "2026-11-22T10:00:00+01:00",
            "id": format!("EVJN42272224222B5JB8BRC84N{transfer}{number:06}EUR"),
            "mutations": [{ "currency": "EUR", "received": 0, "reserved": if number == 1 { -value } else { 0 } }],
            "status": STEPS[(number as usize - 1).min(STEPS.len() - 1)],
            "type": "accounting",
        })
    };
    let one = entry(1).to_string().len() + 1;
    let count = u32::try_from(size / one)
        .unwrap_or(u32::MAX)
        .max(sequence.min(HISTORY_MAX));
    (1..=count).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_tells_its_transfer_and_its_number() {
        for sequence in 1..=8 {
            let body: Value = serde_json::from_slice(&body(1, sequence, 0)).unwrap();
            assert_eq!(body["data"]["id"], IDS[1]);
            assert_eq!(body["data"]["sequenceNumber"], sequence);
            let created = if sequence == 1 { "created" } else { "updated" };
            assert_eq!(body["type"], format!("balancePlatform.transfer.{created}"));
            assert!(
                cloakroom_core::time::Timestamp::parse_rfc3339(body["timestamp"].as_str().unwrap())
                    .is_some()
            );
        }
    }

    #[test]
    fn a_large_one_is_as_large_as_asked() {
        let large = body(0, 2, 3_000_000);
        assert!(
            (2_900_000..3_300_000).contains(&large.len()),
            "{}",
            large.len()
        );
    }
}
