use bytes::Bytes;
use cloakroom_core::event::{Body, Event, Payload, Sha256};
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;

use super::*;

fn outgoing(number: u64, payload: &str) -> Outgoing {
    let stream = StreamId::new("transfers", "TR-1");
    let position = Position::dense(number);
    let bytes = Bytes::copy_from_slice(payload.as_bytes());
    Outgoing {
        event: Event {
            id: EventId::of(&stream, &position),
            identity: format!("id-{number}").into(),
            stream,
            position,
            event_type: "transfer.updated".to_owned(),
            time: None,
            recorded: cloakroom_core::time::Timestamp::from_micros(0),
            traceparent: None,
            late: None,
            body: Body::Payload(Payload {
                content_type: "application/json".to_owned(),
                size: bytes.len() as u64,
                sha256: Sha256::of(&bytes),
                claim: None,
                inline: None,
            }),
        },
        inline: Some(bytes),
        dataref: None,
        attempt: 1,
        epoch: 1,
    }
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "only whole lines");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn events_are_appended_line_by_line_in_the_order_of_sending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.ndjson");
    let sink = LineSink::file(&path).unwrap();
    for number in 1..=3 {
        let pair = [
            outgoing(2 * number - 1, r#"{"a":1}"#),
            outgoing(2 * number, r#"{"a":2}"#),
        ];
        assert_eq!(sink.send(&pair).await, Outcome::Delivered);
    }
    let sequences: Vec<u64> = lines(&path)
        .iter()
        .map(|line| line["sequence"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn many_streams_at_once_never_share_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.ndjson");
    let sink = LineSink::file(&path).unwrap();
    let sends = (1..=200).map(|number| {
        let sink = sink.clone();
        async move { sink.send(&[outgoing(number, r#"{"a":1}"#)]).await }
    });
    let outcomes = futures::future::join_all(sends).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Outcome::Delivered)
    );
    assert_eq!(lines(&path).len(), 200);
}

#[tokio::test]
async fn json_over_several_lines_stays_on_one_and_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.ndjson");
    let payload = "{\n  \"a\": 1.0\r\n}";
    let sink = LineSink::file(&path).unwrap();
    assert_eq!(sink.send(&[outgoing(1, payload)]).await, Outcome::Delivered);
    let line = &lines(&path)[0];
    assert_eq!(
        STANDARD
            .decode(line["data_base64"].as_str().unwrap())
            .unwrap(),
        payload.as_bytes()
    );
    assert_eq!(line["datacontenttype"], "application/json");
    assert!(line.get("data").is_none());
}

#[tokio::test]
async fn a_rotated_file_is_left_alone_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (
        folder.path().join("audit.ndjson"),
        folder.path().join("audit.ndjson.1"),
    );
    let sink = LineSink::file(&path).unwrap();
    sink.send(&[outgoing(1, "{}")]).await;
    std::fs::rename(&path, &old).unwrap();
    assert_eq!(sink.send(&[outgoing(2, "{}")]).await, Outcome::Delivered);
    assert_eq!((lines(&old).len(), lines(&path).len()), (1, 1));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(sink.send(&[outgoing(3, "{}")]).await, Outcome::Delivered);
    assert_eq!(lines(&path).len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_fails_the_send_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, path) = (
        folder.path().join("logs"),
        folder.path().join("logs/audit.ndjson"),
    );
    std::fs::create_dir(&dir).unwrap();
    let sink = LineSink::file(&path).unwrap();
    std::fs::rename(&dir, folder.path().join("gone")).unwrap();
    let outcome = sink.send(&[outgoing(1, "{}")]).await;
    assert!(
        matches!(&outcome, Outcome::Failed { reason, .. } if reason == "no such file or directory"),
        "{outcome:?}"
    );
    std::fs::create_dir(&dir).unwrap();
    assert_eq!(sink.send(&[outgoing(1, "{}")]).await, Outcome::Delivered);
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn a_line_that_a_crash_left_unfinished_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.ndjson");
    let long = "x".repeat(200_000);
    for (before, after) in [
        ("", ""),
        ("{\"specversion\":\"1.0\"}\n", "{\"specversion\":\"1.0\"}\n"),
        (
            "{\"specversion\":\"1.0\"}\n{\"specver",
            "{\"specversion\":\"1.0\"}\n",
        ),
        ("{\"specversion\":\"1.0\",\"id", ""),
        ("somebody else's", "somebody else's\n"),
        (&format!("a\n{{\"specversion\":{long}"), "a\n"),
    ] {
        std::fs::write(&path, before).unwrap();
        Appended::open(&path).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            after,
            "{}",
            &before[..before.len().min(40)]
        );
    }
}

#[test]
fn a_place_that_cannot_be_opened_is_named() {
    let error = LineSink::file(Path::new("/nonexistent/audit.ndjson")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot append to /nonexistent/audit.ndjson: no such file or directory"
    );
}
