# The table, as its one definition says. The engine writes no record with an expiry (retention is the sweeper's), so the table
# has no time to live.

locals {
  table = jsondecode(file("${path.module}/../crates/cloakroom-aws/src/ledger/table.json"))

  # "HASH" and "RANGE" to the names of the attributes.
  table_key = { for part in local.table.KeySchema : part.KeyType => part.AttributeName }
  indexes = {
    for index in local.table.GlobalSecondaryIndexes : index.IndexName => {
      key        = { for part in index.KeySchema : part.KeyType => part.AttributeName }
      projection = index.Projection.ProjectionType
    }
  }
}

resource "aws_dynamodb_table" "ledger" {
  name                        = "${var.name}-ledger"
  billing_mode                = local.table.BillingMode
  hash_key                    = local.table_key["HASH"]
  range_key                   = local.table_key["RANGE"]
  stream_enabled              = local.table.StreamSpecification.StreamEnabled
  stream_view_type            = local.table.StreamSpecification.StreamViewType
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = local.table.AttributeDefinitions
    content {
      name = attribute.value.AttributeName
      type = attribute.value.AttributeType
    }
  }

  dynamic "global_secondary_index" {
    for_each = local.indexes
    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value.key["HASH"]
      range_key       = global_secondary_index.value.key["RANGE"]
      projection_type = global_secondary_index.value.projection
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  # Without a key of one's own DynamoDB encrypts with one of its own, at no cost.
  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}
