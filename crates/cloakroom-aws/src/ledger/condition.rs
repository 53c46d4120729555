//! The conditions of writes, and the parts of a transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use cloakroom_core::id::StreamId;
use cloakroom_engine::ports::Write;
use cloakroom_engine::record::{Key, Record};

use super::DynamoLedger;
use super::item::{self, Item};
use super::key;
use super::table::name;
use super::together::Together;

/// With this DynamoDB shows what stood in the way.
pub(crate) const ALL_OLD: ReturnValuesOnConditionCheckFailure =
    ReturnValuesOnConditionCheckFailure::AllOld;

/// A condition expression with what it refers to.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    expression: Option<&'static str>,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Condition {
    pub(crate) fn absent() -> Self {
        Self {
            expression: Some("attribute_not_exists(PK)"),
            ..Self::default()
        }
    }

    pub(crate) fn revision(revision: u64) -> Self {
        Self {
            expression: Some("#revision = :revision"),
            names: vec![("#revision", name::REVISION)],
            values: vec![(":revision", item::number(revision))],
        }
    }

    /// Strings compare by their UTF-8 bytes, as positions do.
    pub(crate) fn head_below(position: &str) -> Self {
        Self {
            expression: Some(
                "attribute_exists(PK) AND (attribute_not_exists(#position) OR #position < :position)",
            ),
            names: vec![("#position", name::POSITION)],
            values: vec![(":position", item::text(position))],
        }
    }

    pub(crate) fn base_allows(number: u64) -> Self {
        Self {
            expression: Some(
                "attribute_exists(PK) AND (attribute_not_exists(#base) OR #base <= :number)",
            ),
            names: vec![("#base", name::BASE)],
            values: vec![(":number", item::number(number))],
        }
    }

    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        let pair = |(short, name): &(&str, &str)| ((*short).to_owned(), (*name).to_owned());
        (!self.names.is_empty()).then(|| self.names.iter().map(pair).collect())
    }

    pub(crate) fn values(&self) -> Option<Item> {
        let pair = |(short, value): &(&str, AttributeValue)| ((*short).to_owned(), value.clone());
        (!self.values.is_empty()).then(|| self.values.iter().map(pair).collect())
    }

    pub(crate) fn expression(&self) -> Option<String> {
        self.expression.map(str::to_owned)
    }
}

impl DynamoLedger {
    /// A write as a part of a transaction.
    pub(crate) fn item_of(&self, write: Write, together: &Together) -> TransactWriteItem {
        let whole = TransactWriteItem::builder();
        match write {
            Write::Create(record) => whole.put(self.put_of(record, &Condition::absent(), together)),
            Write::Replace { record, revision } => {
                whole.put(self.put_of(record, &Condition::revision(revision), together))
            }
            Write::Delete { key, revision } => {
                let condition = revision.map_or_else(Condition::default, Condition::revision);
                whole.delete(
                    Delete::builder()
                        .table_name(&self.table)
                        .set_key(Some(item::key_item(&key::encode(&key))))
                        .set_condition_expression(condition.expression())
                        .set_expression_attribute_names(condition.names())
                        .set_expression_attribute_values(condition.values())
                        .return_values_on_condition_check_failure(ALL_OLD)
                        .build()
                        .expect("table and key are given"),
                )
            }
            Write::Admit { stream, position } => {
                let condition = Condition::head_below(position.as_str());
                whole.update(self.admit_of(stream, &condition, together))
            }
            Write::BaseAllows { stream, number } => {
                let condition = Condition::base_allows(number);
                whole.condition_check(
                    ConditionCheck::builder()
                        .table_name(&self.table)
                        .set_key(Some(item::key_item(&key::encode(&Key::Head(stream)))))
                        .set_condition_expression(condition.expression())
                        .set_expression_attribute_names(condition.names())
                        .set_expression_attribute_values(condition.values())
                        .return_values_on_condition_check_failure(ALL_OLD)
                        .build()
                        .expect("table, key and condition are given"),
                )
            }
        }
        .build()
    }

    fn put_of(&self, record: Record, condition: &Condition, together: &Together) -> Put {
        let with_head = match &record {
            Record::Head(head) => together.with(&head.stream),
            _ => None,
        };
        let mut item = item::encode(record);
        if let Some(positions) = with_head {
            item.insert(name::TOGETHER.to_owned(), positions);
        }
        Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_condition_expression(condition.expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .expect("table and item are given")
    }

    fn admit_of(&self, stream: StreamId, condition: &Condition, together: &Together) -> Update {
        let mut names = condition.names().unwrap_or_default();
        for (short, name) in [
            ("#appended", name::APPENDED),
            ("#revision", name::REVISION),
            ("#advanced", name::ADVANCED),
        ] {
            names.insert(short.to_owned(), name.to_owned());
        }
        let mut values = condition.values().unwrap_or_default();
        values.insert(":one".to_owned(), item::number(1));
        values.insert(":no".to_owned(), item::text("no"));
        let mut update = "ADD #appended :one, #revision :one".to_owned();
        if let Some(positions) = together.with(&stream) {
            update.push_str(", #together :positions");
            names.insert("#together".to_owned(), name::TOGETHER.to_owned());
            values.insert(":positions".to_owned(), positions);
        }
        update.push_str(" SET #advanced = :no");
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::key_item(&key::encode(&Key::Head(stream)))))
            .update_expression(update)
            .set_condition_expression(condition.expression())
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .expect("table, key and update are given")
    }
}
