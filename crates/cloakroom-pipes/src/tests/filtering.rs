//! Filters, against the examples of AWS's pages: what each matches and what not, through [`Filters`] as the runner uses it.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` values read best by value"
)]

use cloakroom_core::pattern::{Dialect, Pattern};
use serde_json::{Value, json};

use crate::filter::Filters;

fn filters(patterns: impl IntoIterator<Item = Value>) -> Filters {
    let compile = |pattern: Value| {
        Pattern::parse(&pattern, Dialect::Pipes)
            .unwrap_or_else(|error| panic!("{pattern}: {error}"))
    };
    Filters::new(patterns.into_iter().map(compile).collect())
}

#[track_caller]
fn check(pattern: Value, record: &Value, expected: bool) {
    assert_eq!(
        filters([pattern.clone()]).pass(record),
        expected,
        "{pattern} against {record}"
    );
}

/// The record of "Tutorial #2: Using filters to process some events with DynamoDB and Lambda" in the DynamoDB developer guide
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.Tutorial2.html>).
fn chocolate() -> Value {
    json!({
        "eventID": "c9fbe7d0261a5163fcb6940593e41797", "eventName": "INSERT", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "us-east-2",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_664_559_083.0,
            "Keys": {"SK": {"S": "PRODUCT#CHOCOLATE#DARK#1000"}, "PK": {"S": "COMPANY#1000"}},
            "NewImage": {
                "quantity": {"N": "50"}, "company_id": {"S": "1000"}, "fabric": {"S": "Florida Chocolates"},
                "price": {"N": "15"}, "stores": {"N": "5"}, "product_id": {"S": "1000"},
                "SK": {"S": "PRODUCT#CHOCOLATE#DARK#1000"}, "PK": {"S": "COMPANY#1000"},
                "state": {"S": "FL"}, "type": {"S": ""}
            },
            "SequenceNumber": "700000000000888747038", "SizeBytes": 174, "StreamViewType": "NEW_AND_OLD_IMAGES"
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-2:111122223333:table/chocolate-table/stream/2022-09-30T17:05:53.209"
    })
}

/// The table of operators on that page, each with the product that the page means and one that it does not.
#[test]
fn the_operators_over_an_image() {
    let with = |name: &str, value: Value| {
        let mut record = chocolate();
        record["dynamodb"]["NewImage"][name] = value;
        record
    };
    for (rule, passes, fails) in [
        // Empty. The page's example names the product's name; its record has an empty type.
        (
            json!({"type": {"S": [""]}}),
            chocolate(),
            with("type", json!({"S": "dark"})),
        ),
        (
            json!({"state": {"S": ["FL"]}}),
            chocolate(),
            with("state", json!({"S": "CA"})),
        ),
        (
            json!({"state": {"S": ["FL"]}, "category": {"S": ["CHOCOLATE"]}}),
            with("category", json!({"S": "CHOCOLATE"})),
            chocolate(),
        ),
        (
            json!({"state": {"S": ["FL", "CA"]}}),
            with("state", json!({"S": "CA"})),
            with("state", json!({"S": "WA"})),
        ),
        (
            json!({"state": {"S": [{"anything-but": ["FL"]}]}}),
            with("state", json!({"S": "CA"})),
            chocolate(),
        ),
        (
            json!({"homemade": {"S": [{"exists": true}]}}),
            with("homemade", json!({"S": "yes"})),
            chocolate(),
        ),
        (
            json!({"homemade": {"S": [{"exists": false}]}}),
            chocolate(),
            with("homemade", json!({"S": "yes"})),
        ),
        (
            json!({"PK": {"S": [{"prefix": "COMPANY"}]}}),
            chocolate(),
            with("PK", json!({"S": "PERSON#1"})),
        ),
    ] {
        let pattern = json!({"dynamodb": {"NewImage": rule}});
        check(pattern.clone(), &passes, true);
        check(pattern, &fails, false);
    }
}

/// "Filter examples" on that page: two keys at once, and two filters of which one suffices.
#[test]
fn keys_and_several_filters() {
    let keys = json!({"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "COMPANY"}]}, "SK": {"S": [{"prefix": "PRODUCT"}]}}}});
    let state = json!({"dynamodb": {"NewImage": {"state": {"S": ["FL"]}}}});
    let mut elsewhere = chocolate();
    elsewhere["dynamodb"]["NewImage"]["state"]["S"] = json!("CA");
    let mut person = chocolate();
    person["dynamodb"]["Keys"]["PK"]["S"] = json!("PERSON#1");
    let mut neither = person.clone();
    neither["dynamodb"]["NewImage"]["state"]["S"] = json!("CA");
    check(state.clone(), &elsewhere, false);
    check(keys.clone(), &elsewhere, true);
    check(keys.clone(), &person, false);
    let either = filters([keys, state]);
    for (record, expected) in [
        (chocolate(), true),
        (elsewhere, true),
        (person, true),
        (neither, false),
    ] {
        assert_eq!(either.pass(&record), expected, "{record}");
    }
    assert!(
        filters([]).pass(&chocolate()),
        "without a filter everything passes"
    );
}

/// The note on that page: numbers arrive as text, so numeric operators never hold, but equality of the text does. A number in the
/// pattern is another value than the text that DynamoDB writes.
#[test]
fn numbers_are_text() {
    for (test, expected) in [
        (json!(["50"]), true),
        (json!([50]), false),
        (json!(["50.0"]), false),
        (json!([{"numeric": [">", 10]}]), false),
        (json!([{"numeric": ["=", 50]}]), false),
        (json!([{"anything-but": ["51"]}]), true),
        (json!([{"prefix": "5"}]), true),
    ] {
        check(
            json!({"dynamodb": {"NewImage": {"quantity": {"N": test}}}}),
            &chocolate(),
            expected,
        );
    }
    // What is a number in the record itself is compared as one.
    check(
        json!({"dynamodb": {"SizeBytes": [{"numeric": [">", 100, "<=", 174]}]}}),
        &chocolate(),
        true,
    );
    check(
        json!({"dynamodb": {"SizeBytes": [{"numeric": [">", 174]}]}}),
        &chocolate(),
        false,
    );
}

/// "Multi-level filtering" on "Lambda event filtering"
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>).
#[test]
fn several_levels_down() {
    let record = |id: &str| json!({"dynamodb": {"Keys": {"Id": {"N": id}}, "NewImage": {"Message": {"S": "New item!"}, "Id": {"N": id}}}});
    let pattern = json!({"dynamodb": {"Keys": {"Id": {"N": ["101"]}}}});
    check(pattern.clone(), &record("101"), true);
    check(pattern, &record("102"), false);
}

/// "Using event filtering with a DynamoDB event source" (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html>): the
/// record of the page, filters by key and attribute, and `exists`, which only works on leaves.
#[test]
fn customers() {
    let record = json!({
        "eventID": "1", "eventVersion": "1.0",
        "dynamodb": {
            "ApproximateCreationDateTime": "1678831218.0",
            "Keys": {"CustomerName": {"S": "AnyCompany Industries"}},
            "NewImage": {
                "AccountManager": {"S": "Pat Candella"}, "PaymentTerms": {"S": "60 days"},
                "CustomerName": {"S": "AnyCompany Industries"}
            },
            "SequenceNumber": "111", "SizeBytes": 26, "StreamViewType": "NEW_IMAGE"
        }
    });
    let key = |name: &str| json!({"dynamodb": {"Keys": {"CustomerName": {"S": [name]}}}});
    check(key("AnyCompany Industries"), &record, true);
    check(key("OtherCompany"), &record, false);
    let image = |rule: Value| json!({"dynamodb": {"NewImage": rule}});
    for (rule, expected) in [
        (
            json!({"AccountManager": {"S": ["Pat Candella", "Shirley Rodriguez"]}}),
            true,
        ),
        (
            json!({"AccountManager": {"S": ["Shirley Rodriguez"]}}),
            false,
        ),
        (
            json!({"AccountManager": {"S": ["Pat Candella"]}, "PaymentTerms": {"S": ["30 days"]}}),
            false,
        ),
        (json!({"AccountManager": {"S": [{"exists": true}]}}), true),
        // An intermediate member is no leaf: it never exists.
        (json!({"AccountManager": [{"exists": true}]}), false),
        (json!({"AccountManager": [{"exists": false}]}), true),
        (
            json!({"$or": [{"AccountManager": {"S": ["Shirley Rodriguez"]}}, {"PaymentTerms": {"S": ["60 days"]}}]}),
            true,
        ),
        (
            json!({"$or": [{"AccountManager": {"S": ["Shirley Rodriguez"]}}, {"PaymentTerms": {"S": ["30 days"]}}]}),
            false,
        ),
    ] {
        check(image(rule), &record, expected);
    }
    let without_old_image =
        json!({"dynamodb": {"OldImage": {"CustomerName": {"S": [{"exists": false}]}}}});
    check(without_old_image, &record, true);
}

/// The operators that "Event filtering in Amazon EventBridge Pipes" lists for pipes
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-filtering.html>), over the fields of its examples, and its
/// Kinesis example. What the page leaves out, pipes refuse.
#[test]
fn the_operators_of_pipes() {
    for (pattern, passes, fails) in [
        (
            json!({"UserID": [null]}),
            json!({"UserID": null}),
            json!({"UserID": ""}),
        ),
        (
            json!({"LastName": [""]}),
            json!({"LastName": ""}),
            json!({"LastName": null}),
        ),
        (
            json!({"Name": ["Alice"]}),
            json!({"Name": "Alice"}),
            json!({"Name": "alice"}),
        ),
        (
            json!({"Location": ["New York"], "Day": ["Monday"]}),
            json!({"Location": "New York", "Day": "Monday"}),
            json!({"Location": "New York", "Day": "Tuesday"}),
        ),
        (
            json!({"PaymentType": ["Credit", "Debit"]}),
            json!({"PaymentType": "Debit"}),
            json!({"PaymentType": "Cash"}),
        ),
        (
            json!({"$or": [{"Location": ["New York"]}, {"Day": ["Monday"]}]}),
            json!({"Location": "Boston", "Day": "Monday"}),
            json!({"Location": "Boston", "Day": "Tuesday"}),
        ),
        (
            json!({"Weather": [{"anything-but": ["Raining"]}]}),
            json!({"Weather": "Sunny"}),
            json!({"Weather": "Raining"}),
        ),
        (
            json!({"Price": [{"numeric": ["=", 100]}]}),
            json!({"Price": 100}),
            json!({"Price": 101}),
        ),
        (
            json!({"Price": [{"numeric": [">", 10, "<=", 20]}]}),
            json!({"Price": 20}),
            json!({"Price": 10}),
        ),
        (
            json!({"ProductName": [{"exists": true}]}),
            json!({"ProductName": "x"}),
            json!({}),
        ),
        (
            json!({"ProductName": [{"exists": false}]}),
            json!({}),
            json!({"ProductName": "x"}),
        ),
        (
            json!({"Region": [{"prefix": "us-"}]}),
            json!({"Region": "us-east-1"}),
            json!({"Region": "eu-west-1"}),
        ),
        (
            json!({"partitionKey": ["1"], "data": {"City": ["Seattle"]}}),
            json!({"partitionKey": "1", "data": {"City": "Seattle", "State": "WA"}}),
            json!({"partitionKey": "2", "data": {"City": "Seattle", "State": "WA"}}),
        ),
    ] {
        check(pattern.clone(), &passes, true);
        check(pattern, &fails, false);
    }
    for refused in [
        json!({"Name": [{"wildcard": "A*"}]}),
        json!({"Name": [{"anything-but": {"prefix": "A"}}]}),
    ] {
        assert!(
            Pattern::parse(&refused, Dialect::Pipes).is_err(),
            "{refused}"
        );
        assert!(
            Pattern::parse(&refused, Dialect::EventBridge).is_ok(),
            "{refused}"
        );
    }
}
