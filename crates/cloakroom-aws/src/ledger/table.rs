//! The table: its definition, making one, and checking that a table is one.
//!
//! `table.json` beside this file is the one definition, in the shape of the CreateTable API. Terraform makes the table of a
//! deployment, and its tests read that file.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TableDescription, TableStatus,
};
use serde::Deserialize;

use super::error::{Fault, OpenError, fault};

/// The names of the attributes.
pub mod name {
    /// The partition key.
    pub const PK: &str = "PK";
    /// The sort key.
    pub const SK: &str = "SK";
    /// The kind of the record.
    pub const KIND: &str = "kind";
    /// What conditional writes compare.
    pub const REVISION: &str = "revision";
    /// The version of the stored form.
    pub const FORMAT: &str = "format";
    /// The record as JSON.
    pub const RECORD: &str = "record";
    /// An inline payload.
    pub const PAYLOAD: &str = "payload";
    /// On heads: how many guarded appends were counted.
    pub const APPENDED: &str = "appended";
    /// On heads: the position.
    pub const POSITION: &str = "position";
    /// On heads: the base, once chosen.
    pub const BASE: &str = "base";
    /// On heads: whether this very change moved the position, `yes` or `no`.
    pub const ADVANCED: &str = "advanced";
    /// On heads: the positions of events that were written in one transaction with it, until all of them were seen.
    pub const TOGETHER: &str = "together";
    /// On heads: partition key of the index of heads, which has the same name.
    pub const HEADS: &str = "heads";
    /// On heads: sort key of the index of heads.
    pub const STREAM: &str = "stream";
    /// Partition key of the index of what wants attention, which has the same name.
    pub const ATTENTION: &str = "attention";
    /// Sort key of the index of what wants attention.
    pub const RANK: &str = "rank";
}

/// The table's definition as JSON, in the shape of the CreateTable API (without a name).
pub const DEFINITION: &str = include_str!("table.json");

/// As [`DEFINITION`], parsed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Definition {
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<KeyPart>,
    global_secondary_indexes: Vec<Index>,
    billing_mode: String,
    stream_specification: Stream,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyPart {
    attribute_name: String,
    key_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Index {
    index_name: String,
    key_schema: Vec<KeyPart>,
    projection: ProjectionOf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ProjectionOf {
    projection_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stream {
    stream_enabled: bool,
    stream_view_type: String,
}

fn definition() -> Definition {
    serde_json::from_str(DEFINITION).expect("the definition is a part of the program, and tested")
}

/// Makes the table, for tests and local trials. A table of that name which is there already is left as it is.
/// Returns once the request is accepted: [`check`] tells when the table is ready.
pub(crate) async fn create(client: &Client, table: &str) -> Result<(), OpenError> {
    let definition = definition();
    let attributes = definition.attribute_definitions.iter().map(|attribute| {
        AttributeDefinition::builder()
            .attribute_name(&attribute.attribute_name)
            .attribute_type(ScalarAttributeType::from(&*attribute.attribute_type))
            .build()
            .expect("name and type are given")
    });
    let indexes = definition.global_secondary_indexes.iter().map(|index| {
        let projection = ProjectionType::from(&*index.projection.projection_type);
        GlobalSecondaryIndex::builder()
            .index_name(&index.index_name)
            .set_key_schema(Some(key_schema(&index.key_schema)))
            .projection(Projection::builder().projection_type(projection).build())
            .build()
            .expect("name and key schema are given")
    });
    let stream = StreamSpecification::builder()
        .stream_enabled(definition.stream_specification.stream_enabled)
        .stream_view_type(StreamViewType::from(
            &*definition.stream_specification.stream_view_type,
        ))
        .build()
        .expect("whether it is enabled is given");
    let made = client
        .create_table()
        .table_name(table)
        .set_attribute_definitions(Some(attributes.collect()))
        .set_key_schema(Some(key_schema(&definition.key_schema)))
        .set_global_secondary_indexes(Some(indexes.collect()))
        .billing_mode(BillingMode::from(&*definition.billing_mode))
        .stream_specification(stream)
        .send()
        .await;
    match made {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(error))
            if matches!(error.err(), CreateTableError::ResourceInUseException(_)) =>
        {
            Ok(())
        }
        Err(error) => Err(OpenError::Unavailable(
            fault("CreateTable", table, &region_of(client), &error).to_string(),
        )),
    }
}

fn key_schema(parts: &[KeyPart]) -> Vec<KeySchemaElement> {
    let element = |part: &KeyPart| {
        KeySchemaElement::builder()
            .attribute_name(&part.attribute_name)
            .key_type(KeyType::from(&*part.key_type))
            .build()
            .expect("name and type are given")
    };
    parts.iter().map(element).collect()
}

/// Asks DynamoDB what the table is like, and compares.
pub(crate) async fn check(client: &Client, table: &str) -> Result<(), OpenError> {
    compare(table, &describe(client, table).await?)
}

/// The ARN of the stream of a table that is as the definition says.
pub(crate) async fn stream_arn(client: &Client, table: &str) -> Result<String, OpenError> {
    let description = describe(client, table).await?;
    compare(table, &description)?;
    description
        .latest_stream_arn
        .ok_or_else(|| OpenError::Schema {
            table: table.to_owned(),
            what: "it has no stream".to_owned(),
        })
}

async fn describe(client: &Client, table: &str) -> Result<TableDescription, OpenError> {
    let region = region_of(client);
    if let Some(named) = region_of_arn(table)
        && named != region
    {
        return Err(OpenError::OtherRegion {
            table: table.to_owned(),
            named: named.to_owned(),
            region,
        });
    }
    let described = client.describe_table().table_name(table).send().await;
    match described {
        Ok(described) => Ok(described
            .table
            .unwrap_or_else(|| TableDescription::builder().build())),
        Err(error) => {
            let missing = error
                .as_service_error()
                .and_then(ProvideErrorMetadata::code)
                == Some("ResourceNotFoundException");
            Err(match fault("DescribeTable", table, &region, &error) {
                _ if missing => OpenError::Missing {
                    table: table.to_owned(),
                    region,
                },
                Fault::Denied(text) => OpenError::Denied(text),
                other => OpenError::Unavailable(other.to_string()),
            })
        }
    }
}

/// Whether the table is as the definition says.
fn compare(table: &str, found: &TableDescription) -> Result<(), OpenError> {
    let definition = definition();
    let wrong = |what: String| OpenError::Schema {
        table: table.to_owned(),
        what,
    };
    if !matches!(
        found.table_status(),
        Some(TableStatus::Active | TableStatus::Updating)
    ) {
        return Err(OpenError::NotReady {
            table: table.to_owned(),
            status: found
                .table_status()
                .map_or_else(|| "unknown".to_owned(), ToString::to_string),
        });
    }
    let (keys, expected) = (
        shown(found.key_schema()),
        shown(&key_schema(&definition.key_schema)),
    );
    if keys != expected {
        return Err(wrong(format!("its key is {keys}, and must be {expected}")));
    }
    for attribute in &definition.attribute_definitions {
        let of_type = found
            .attribute_definitions()
            .iter()
            .find(|found| found.attribute_name() == attribute.attribute_name)
            .map(|found| found.attribute_type().as_str());
        if of_type.is_some_and(|found| found != attribute.attribute_type) {
            return Err(wrong(format!(
                "key attribute {} is not of type {}",
                attribute.attribute_name, attribute.attribute_type
            )));
        }
    }
    for index in &definition.global_secondary_indexes {
        compare_index(table, found, index)?;
    }
    let view = found
        .stream_specification()
        .filter(|stream| stream.stream_enabled())
        .and_then(StreamSpecification::stream_view_type)
        .map_or("none", StreamViewType::as_str);
    if view != definition.stream_specification.stream_view_type {
        return Err(wrong(format!(
            "its stream's view type is {view}, and must be {}",
            definition.stream_specification.stream_view_type
        )));
    }
    Ok(())
}

fn compare_index(table: &str, found: &TableDescription, index: &Index) -> Result<(), OpenError> {
    let name = &index.index_name;
    let wrong = |what: String| OpenError::Schema {
        table: table.to_owned(),
        what,
    };
    let of_name = found
        .global_secondary_indexes()
        .iter()
        .find(|found| found.index_name() == Some(name));
    let Some(of_name) = of_name else {
        return Err(wrong(format!("it has no index {name:?}")));
    };
    let (keys, expected) = (
        shown(of_name.key_schema()),
        shown(&key_schema(&index.key_schema)),
    );
    if keys != expected {
        return Err(wrong(format!(
            "the key of its index {name:?} is {keys}, and must be {expected}"
        )));
    }
    // More than the keys would only cost more.
    if matches!(
        of_name.index_status(),
        Some(IndexStatus::Creating | IndexStatus::Deleting)
    ) {
        return Err(OpenError::NotReady {
            table: format!("{table}, index {name}"),
            status: of_name
                .index_status()
                .map_or_else(String::new, ToString::to_string),
        });
    }
    Ok(())
}

fn shown(keys: &[KeySchemaElement]) -> String {
    let part = |key: &KeySchemaElement| format!("{} ({})", key.attribute_name(), key.key_type());
    keys.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// The Region that a client talks to.
pub(crate) fn region_of(client: &Client) -> String {
    client
        .config()
        .region()
        .map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

/// A table may be named by its ARN, which names the Region too.
fn region_of_arn(table: &str) -> Option<&str> {
    table.strip_prefix("arn:")?.split(':').nth(2)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::GlobalSecondaryIndexDescription;

    use super::*;

    fn described() -> TableDescription {
        let definition = definition();
        let indexes = definition.global_secondary_indexes.iter().map(|index| {
            GlobalSecondaryIndexDescription::builder()
                .index_name(&index.index_name)
                .set_key_schema(Some(key_schema(&index.key_schema)))
                .index_status(IndexStatus::Active)
                .build()
        });
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages);
        TableDescription::builder()
            .table_status(TableStatus::Active)
            .set_key_schema(Some(key_schema(&definition.key_schema)))
            .set_global_secondary_indexes(Some(indexes.collect()))
            .stream_specification(stream.build().unwrap())
            .build()
    }

    fn refused(found: &TableDescription) -> String {
        compare("t", found).unwrap_err().to_string()
    }

    #[test]
    fn the_definition_names_the_attributes_the_code_uses() {
        let definition = definition();
        let keys = |parts: &[KeyPart]| -> Vec<String> {
            parts
                .iter()
                .map(|part| part.attribute_name.clone())
                .collect()
        };
        assert_eq!(keys(&definition.key_schema), [name::PK, name::SK]);
        let indexes: Vec<_> = definition
            .global_secondary_indexes
            .iter()
            .map(|index| (index.index_name.as_str(), keys(&index.key_schema)))
            .collect();
        let expected = [
            (
                name::HEADS,
                vec![name::HEADS.to_owned(), name::STREAM.to_owned()],
            ),
            (
                name::ATTENTION,
                vec![name::ATTENTION.to_owned(), name::RANK.to_owned()],
            ),
        ];
        assert_eq!(indexes, expected);
    }

    #[test]
    fn a_table_as_defined_is_accepted() {
        compare("t", &described()).unwrap();
    }

    #[test]
    fn a_table_that_differs_is_told_apart() {
        let mut other = described();
        other.key_schema = Some(key_schema(&[KeyPart {
            attribute_name: "id".to_owned(),
            key_type: "HASH".to_owned(),
        }]));
        assert!(
            refused(&other).contains("its key is id (HASH), and must be PK (HASH), SK (RANGE)")
        );
        let mut other = described();
        other.global_secondary_indexes.as_mut().unwrap().remove(1);
        assert!(refused(&other).contains("no index \"attention\""));
        let mut other = described();
        other.stream_specification = None;
        assert!(refused(&other).contains("view type is none, and must be NEW_AND_OLD_IMAGES"));
        let mut other = described();
        other.table_status = Some(TableStatus::Creating);
        assert!(refused(&other).contains("CREATING"));
    }

    #[test]
    fn an_arn_names_its_region() {
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/cloakroom";
        assert_eq!(region_of_arn(arn), Some("eu-west-1"));
        assert_eq!(region_of_arn("cloakroom"), None);
    }
}
