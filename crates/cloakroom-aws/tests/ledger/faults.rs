//! What goes wrong between the ledger and DynamoDB.

use cloakroom_aws::{DynamoLedger, http_client};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_emulators::{Fault, Tamper};
use cloakroom_engine::conformance::samples;
use cloakroom_engine::ports::{Conflict, Index, Ledger as _, LedgerError, TransactError, Write};
use cloakroom_engine::record::{HeadRecord, Key, Record};

use crate::given::{empty_ledger, ministack};

async fn tampered() -> (DynamoLedger, Tamper) {
    let tamper = Tamper::default();
    let mut options = ministack();
    options.http_client = Some(tamper.client(http_client()));
    let ledger = empty_ledger(options).await;
    tamper.taken();
    (ledger, tamper)
}

fn stream() -> StreamId {
    StreamId::new("shop", "TR-42")
}

fn event(number: u64) -> Record {
    Record::Event(samples::event(&stream(), &Position::dense(number), "evt"))
}

fn head(revision: u64) -> HeadRecord {
    samples::head(&stream(), None, revision)
}

fn admit(number: u64) -> Write {
    Write::Admit {
        stream: stream(),
        position: Position::dense(number),
    }
}

#[track_caller]
fn conflict(result: Result<(), TransactError>) -> Conflict {
    match result {
        Err(TransactError::Conflict(conflict)) => *conflict,
        other => panic!("expected a conflict, not {other:?}"),
    }
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    match result {
        Err(LedgerError::Unavailable(text)) => text,
        other => panic!("expected to be unavailable, not {other:?}"),
    }
}

fn of_ledger(result: Result<(), TransactError>) -> Result<(), LedgerError> {
    result.map_err(|error| match error {
        TransactError::Ledger(error) => error,
        TransactError::Conflict(conflict) => panic!("unexpected {conflict:?}"),
    })
}

#[tokio::test]
async fn one_write_is_one_plain_request_and_several_are_one_transaction() {
    let (ledger, tamper) = tampered().await;
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    let replace = Write::Replace {
        record: head(1).into(),
        revision: 0,
    };
    ledger.transact(vec![replace]).await.unwrap();
    ledger
        .transact(vec![Write::Create(event(1))])
        .await
        .unwrap();
    ledger
        .transact(vec![Write::Create(event(2)), admit(2)])
        .await
        .unwrap();
    let delete = Write::Delete {
        key: event(1).key(),
        revision: Some(0),
    };
    ledger.transact(vec![delete]).await.unwrap();
    ledger.get(&Key::Head(stream())).await.unwrap();
    ledger.events(&stream(), None, None, 10).await.unwrap();
    let expected = [
        "PutItem",
        "PutItem",
        "PutItem",
        "TransactWriteItems",
        "DeleteItem",
        // The head names the event that was written with it.
        "GetItem",
        "BatchGetItem",
        "Query",
    ];
    assert_eq!(tamper.taken(), expected);
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again() {
    let (ledger, tamper) = tampered().await;
    let passing = || {
        [
            Fault::error(500, "InternalServerError"),
            Fault::error(400, "ThrottlingException"),
            Fault::error(400, "ProvisionedThroughputExceededException"),
        ]
    };
    tamper.inject("PutItem", passing());
    tamper.inject(
        "PutItem",
        [Fault::error(400, "TransactionConflictException")],
    );
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    assert_eq!(tamper.taken(), ["PutItem"; 5]);
    tamper.inject("GetItem", passing());
    assert!(ledger.get(&Key::Head(stream())).await.unwrap().is_some());
    tamper.inject("Query", passing());
    assert!(ledger.last_event(&stream()).await.unwrap().is_none());
    tamper.taken();
}

fn cancelled(reasons: &[&str]) -> Fault {
    let reasons: Vec<_> = reasons
        .iter()
        .map(|code| format!("{{\"Code\":\"{code}\"}}"))
        .collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    Fault::Answer(
        400,
        format!(
            "{{\"__type\":\"{kind}\",\"Message\":\"cancelled\",\"CancellationReasons\":[{}]}}",
            reasons.join(",")
        ),
    )
}

#[tokio::test]
async fn another_transaction_in_the_way_is_no_conflict() {
    let (ledger, tamper) = tampered().await;
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    // The second reason would say 'late' if it counted.
    tamper.inject(
        "TransactWriteItems",
        [
            cancelled(&["None", "TransactionConflict"]),
            cancelled(&["TransactionConflict", "ConditionalCheckFailed"]),
            cancelled(&["ThrottlingError", "None"]),
            Fault::error(400, "TransactionInProgressException"),
        ],
    );
    ledger
        .transact(vec![Write::Create(event(1)), admit(1)])
        .await
        .unwrap();
    tamper.taken();
    let Some(Record::Head(stored)) = ledger.get(&Key::Head(stream())).await.unwrap() else {
        panic!("the head is gone");
    };
    assert_eq!((stored.appended, stored.revision), (1, 1));
}

#[tokio::test]
async fn a_conflict_that_stays_is_unavailable_in_the_end() {
    let (ledger, tamper) = tampered().await;
    tamper.inject(
        "TransactWriteItems",
        std::iter::repeat_n(cancelled(&["TransactionConflict", "None"]), 10),
    );
    let writes = vec![Write::Create(event(1)), Write::Create(event(2))];
    let text = unavailable(of_ledger(ledger.transact(writes).await));
    assert!(text.contains("another transaction"), "{text}");
    assert_eq!(tamper.taken(), ["TransactWriteItems"; 10]);
    assert_eq!(ledger.last_event(&stream()).await.unwrap(), None);
}

#[tokio::test]
async fn a_lost_answer_to_a_single_write_shows_the_callers_own_record() {
    let (ledger, tamper) = tampered().await;
    tamper.inject("PutItem", [Fault::LoseAnswer]);
    let met = conflict(ledger.transact(vec![Write::Create(event(1))]).await);
    assert_eq!((met.write, met.stored), (0, Some(event(1))));
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    tamper.inject("PutItem", [Fault::LoseAnswer]);
    let replace = Write::Replace {
        record: head(1).into(),
        revision: 0,
    };
    let met = conflict(ledger.transact(vec![replace]).await);
    assert_eq!((met.write, met.stored), (0, Some(head(1).into())));
    tamper.inject("DeleteItem", [Fault::LoseAnswer]);
    let delete = Write::Delete {
        key: event(1).key(),
        revision: Some(0),
    };
    let met = conflict(ledger.transact(vec![delete]).await);
    assert_eq!((met.write, met.stored), (0, None));
    tamper.taken();
}

#[tokio::test]
async fn a_lost_answer_to_a_transaction_counts_an_append_once() {
    let (ledger, tamper) = tampered().await;
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    tamper.inject("TransactWriteItems", [Fault::LoseAnswer, Fault::LoseAnswer]);
    ledger
        .transact(vec![Write::Create(event(1)), admit(1)])
        .await
        .unwrap();
    tamper.inject("TransactWriteItems", [Fault::LoseAnswer]);
    ledger.transact(vec![admit(2)]).await.unwrap();
    let stored = ledger.get(&Key::Head(stream())).await.unwrap();
    let expected = HeadRecord {
        appended: 2,
        ..head(2)
    };
    assert_eq!(stored, Some(expected.into()));
    tamper.taken();
}

#[tokio::test]
async fn what_needs_somebodys_help_is_told_at_once() {
    let (ledger, tamper) = tampered().await;
    tamper.inject("PutItem", [Fault::error(400, "AccessDeniedException")]);
    let text = unavailable(of_ledger(
        ledger.transact(vec![Write::Create(event(1))]).await,
    ));
    assert!(text.contains("allow dynamodb:PutItem"), "{text}");
    tamper.inject("Query", [Fault::error(400, "ExpiredTokenException")]);
    let text = unavailable(ledger.last_event(&stream()).await);
    assert!(text.contains("credentials"), "{text}");
    assert_eq!(tamper.taken(), ["PutItem", "Query"]);
}

#[tokio::test]
async fn keys_that_were_not_processed_are_asked_for_again() {
    let (ledger, tamper) = tampered().await;
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    let unprocessed = format!(
        "{{\"Responses\":{{}},\"UnprocessedKeys\":{{\"{}\":{{\"ConsistentRead\":true,\"Keys\":[\
         {{\"PK\":{{\"S\":\"STREAM#shop/TR-42\"}},\"SK\":{{\"S\":\"HEAD\"}}}}]}}}}}}",
        ledger.table()
    );
    tamper.inject(
        "BatchGetItem",
        [
            Fault::Answer(200, unprocessed.clone()),
            Fault::Answer(200, unprocessed),
        ],
    );
    let page = ledger.list(&Index::Heads(None), None, 10).await.unwrap();
    assert_eq!(page.records, [Record::Head(head(0))]);
    tamper.taken();
}

/// While DynamoDB applies a transaction, a reader may see the head and not yet the event. Injected: the first looks for the
/// event do not find it.
#[tokio::test]
async fn a_head_is_not_shown_before_the_events_that_were_written_with_it() {
    let (ledger, tamper) = tampered().await;
    let create = Write::Create(head(0).into());
    ledger.transact(vec![create]).await.unwrap();
    ledger
        .transact(vec![Write::Create(event(1)), admit(1)])
        .await
        .unwrap();
    tamper.taken();
    let nothing = Fault::Answer(200, "{\"Responses\":{},\"UnprocessedKeys\":{}}".to_owned());
    tamper.inject("BatchGetItem", [nothing.clone(), nothing.clone()]);
    assert!(ledger.get(&Key::Head(stream())).await.unwrap().is_some());
    let expected = ["GetItem", "BatchGetItem", "BatchGetItem", "BatchGetItem"];
    assert_eq!(tamper.taken(), expected);
    tamper.inject("BatchGetItem", std::iter::repeat_n(nothing, 10));
    let text = unavailable(ledger.get(&Key::Head(stream())).await);
    assert!(text.contains("still being applied"), "{text}");
    tamper.taken();
    // Once the head was replaced, there is nothing left to look for.
    let next = HeadRecord {
        appended: 1,
        ..head(2)
    };
    let replace = Write::Replace {
        record: next.into(),
        revision: 1,
    };
    ledger.transact(vec![replace]).await.unwrap();
    ledger.get(&Key::Head(stream())).await.unwrap();
    assert_eq!(tamper.taken(), ["PutItem", "GetItem"]);
}

#[tokio::test]
async fn a_head_that_waits_long_does_not_grow() {
    let (ledger, tamper) = tampered().await;
    ledger
        .transact(vec![Write::Create(head(0).into())])
        .await
        .unwrap();
    for number in 1..=9 {
        ledger
            .transact(vec![Write::Create(event(number)), admit(number)])
            .await
            .unwrap();
        ledger.get(&Key::Head(stream())).await.unwrap();
    }
    let updates = tamper
        .taken()
        .iter()
        .filter(|action| *action == "UpdateItem")
        .count();
    assert_eq!(
        updates, 2,
        "after every fourth append, what was seen is forgotten"
    );
    let expected = HeadRecord {
        appended: 9,
        ..head(9)
    };
    assert_eq!(
        ledger.get(&Key::Head(stream())).await.unwrap(),
        Some(expected.into())
    );
}
