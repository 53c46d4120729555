# The six functions: one binary, whose handler says which it is. Each may do what its role does and nothing else.

locals {
  package = coalesce(var.function_package, "${path.module}/../target/lambda/cloakroom-lambda-${var.architecture}.zip")

  secret_arn = {
    for reference in local.references : reference => (
      startswith(reference, "aws-secret:arn:") ? trimprefix(reference, "aws-secret:") :
      contains(keys(aws_secretsmanager_secret.this), trimprefix(reference, "aws-secret:")) ? aws_secretsmanager_secret.this[trimprefix(reference, "aws-secret:")].arn :
      # Secrets Manager adds a hyphen and six characters to a name.
      "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${trimprefix(reference, "aws-secret:")}-??????"
    ) if startswith(reference, "aws-secret:")
  }
  source_secret_arns = [for reference, arn in local.secret_arn : arn if contains(local.source_secrets, reference)]
  sink_secret_arns   = [for reference, arn in local.secret_arn : arn if contains(local.sink_secrets, reference)]
  admin_token_arns   = [for reference, arn in local.secret_arn : arn if reference == local.admin_token]

  # The keys of claims (written whole, or sent in parts) and of the hints beside them; see crates/cloakroom-aws/src/claims.
  whole_claims    = "${aws_s3_bucket.claims.arn}/c/*"
  claims_of_parts = "${aws_s3_bucket.claims.arn}/m/*"
  claim_hints     = "${aws_s3_bucket.claims.arn}/h/*"
  claim_objects   = [local.whole_claims, local.claims_of_parts, local.claim_hints]
  staging_objects = ["${aws_s3_bucket.claims.arn}/staging/*"]
  table_indexes   = [for index in keys(local.indexes) : "${aws_dynamodb_table.ledger.arn}/index/${index}"]

  # What is granted more than once.
  grant = {
    # Every configuration, since functions of the last deployment still run for a moment.
    configuration = { actions = ["s3:GetObject"], resources = ["${aws_s3_bucket.claims.arn}/config/*"] }
    # Without it S3 answers 403 for what is not there, which is not the same as 404.
    presence  = { actions = ["s3:ListBucket"], resources = [aws_s3_bucket.claims.arn] }
    parts     = { actions = ["s3:AbortMultipartUpload"], resources = [local.claims_of_parts] }
    doorbells = { actions = ["sqs:SendMessage"], resources = [aws_sqs_queue.doorbells.arn] }
    timers    = { actions = ["sqs:SendMessage"], resources = [aws_sqs_queue.timers.arn] }
  }
  receive_actions = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]

  # A statement that allows nothing is left out.
  secret_grants = {
    ingest  = distinct(concat(local.source_secret_arns, local.admin_token_arns))
    deliver = local.sink_secret_arns
    upload  = local.source_secret_arns
  }

  # Through the services alone, which ask on the function's behalf. What keeps no records only reads: its configuration.
  encryption = {
    for role in keys(local.functions) : role => var.kms_key_arn == null ? {} : {
      Encryption = {
        actions = role == "dispatch" ? ["kms:Decrypt"] : [
          "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
        ]
        resources = [var.kms_key_arn]
        condition = {
          StringEquals = { "kms:ViaService" = [for service in ["dynamodb", "s3", "secretsmanager", "sqs"] : "${service}.${local.region}.amazonaws.com"] }
        }
      }
    }
  }

  # What functions are told; each reads some of it, see crates/cloakroom-lambda/src/role.rs.
  environment = {
    CLOAKROOM_TABLE     = aws_dynamodb_table.ledger.name
    CLOAKROOM_BUCKET    = aws_s3_bucket.claims.id
    CLOAKROOM_CONFIG    = "s3://${aws_s3_bucket.claims.id}/${aws_s3_object.config.key}"
    CLOAKROOM_LOG       = var.log_level
    CLOAKROOM_DOORBELLS = aws_sqs_queue.doorbells.url
    CLOAKROOM_TIMERS    = aws_sqs_queue.timers.url
  }
  common = ["CLOAKROOM_CONFIG", "CLOAKROOM_LOG"]
  stores = ["CLOAKROOM_TABLE", "CLOAKROOM_BUCKET"]

  functions = {
    ingest = {
      description = "Takes webhooks in"
      environment = concat(local.common, local.stores, local.has_api ? ["CLOAKROOM_DOORBELLS", "CLOAKROOM_TIMERS"] : [])
      statements = merge(
        {
          Configuration = local.grant.configuration
          Ledger = {
            actions = concat(
              ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
              # Operators list, and discard.
              local.has_api ? ["dynamodb:DeleteItem", "dynamodb:Query"] : []
            )
            resources = [aws_dynamodb_table.ledger.arn]
          }
          # Of two that stored the same webhook at once, one deletes its copy: of parts, or whole (from 64 KiB to the size of a part).
          Claims = {
            actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
            resources = local.claim_objects
          }
          # Signed into the URLs that cooperating providers upload to.
          Uploads  = { actions = ["s3:PutObject"], resources = local.staging_objects }
          Parts    = local.grant.parts
          Presence = local.grant.presence
        },
        # What operators ask for is listed, and rung for at once.
        { for id, statement in {
          Lists     = { actions = ["dynamodb:Query"], resources = local.table_indexes }
          Doorbells = local.grant.doorbells
          Timers    = local.grant.timers
        } : id => statement if local.has_api }
      )
    }
    resequence = {
      description = "Moves heads: releases what may leave a stream"
      environment = concat(local.common, local.stores, ["CLOAKROOM_TIMERS"])
      statements = {
        Configuration = local.grant.configuration
        Ledger = {
          actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
          resources = [aws_dynamodb_table.ledger.arn]
        }
        Timers = local.grant.timers
      }
    }
    dispatch = {
      description = "Rings the subscriptions of streams whose head advanced"
      environment = concat(local.common, ["CLOAKROOM_DOORBELLS"])
      statements = {
        Configuration = local.grant.configuration
        Doorbells     = local.grant.doorbells
      }
    }
    deliver = {
      description = "Moves cursors: sends events to the consumers, in order"
      environment = concat(local.common, local.stores, ["CLOAKROOM_DOORBELLS", "CLOAKROOM_TIMERS"])
      statements = merge(
        {
          Configuration = local.grant.configuration
          # What is delivered after all, in a replay, is a dead letter no more: its record is deleted.
          Ledger = {
            actions   = ["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
            resources = [aws_dynamodb_table.ledger.arn]
          }
          # Also signed into the URLs of claims that consumers are given.
          Claims    = { actions = ["s3:GetObject"], resources = [local.whole_claims, local.claims_of_parts] }
          Presence  = local.grant.presence
          Receive   = { actions = local.receive_actions, resources = [aws_sqs_queue.doorbells.arn] }
          Doorbells = local.grant.doorbells
          Timers    = local.grant.timers
        },
        local.sink_statements
      )
    }
    sweep = {
      description = "Finds what is due and what nobody rang for, and removes what nobody needs"
      environment = concat(local.common, local.stores, ["CLOAKROOM_DOORBELLS", "CLOAKROOM_TIMERS"])
      statements = {
        Configuration = local.grant.configuration
        Ledger = {
          actions = [
            "dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
          ]
          resources = [aws_dynamodb_table.ledger.arn]
        }
        Lists  = { actions = ["dynamodb:Query"], resources = local.table_indexes }
        Claims = { actions = ["s3:DeleteObject", "s3:GetObject"], resources = local.claim_objects }
        Parts  = local.grant.parts
        Listing = {
          actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
          resources = [aws_s3_bucket.claims.arn]
        }
        Receive   = { actions = local.receive_actions, resources = [aws_sqs_queue.timers.arn, aws_sqs_queue.dead["pipes"].arn] }
        Doorbells = local.grant.doorbells
        Timers    = local.grant.timers
      }
    }
    upload = {
      description = "Takes in what providers put into the bucket"
      environment = concat(local.common, local.stores)
      statements = {
        Configuration = local.grant.configuration
        Ledger = {
          actions   = ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
          resources = [aws_dynamodb_table.ledger.arn]
        }
        Claims = {
          actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          resources = local.claim_objects
        }
        Uploads  = { actions = ["s3:DeleteObject", "s3:GetObject"], resources = local.staging_objects }
        Parts    = local.grant.parts
        Presence = local.grant.presence
      }
    }
  }

  # Who is called without anybody waiting: by the schedules, and by the rule of uploads. A sweep that failed is not repeated,
  # since the next one comes within a minute.
  asynchronous = {
    sweep  = { retries = 0, age_max_s = 60 }
    upload = { retries = 2, age_max_s = 21600 }
  }
}

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  name        = "${var.name}-${each.key}"
  description = each.value.description
  handler     = each.key
  size        = var.functions[each.key]
  place       = local.place
  environment = { for variable in each.value.environment : variable => local.environment[variable] }
  statements = merge(
    each.value.statements,
    local.encryption[each.key],
    length(try(local.secret_grants[each.key], [])) == 0 ? {} : {
      Secrets = { actions = ["secretsmanager:GetSecretValue"], resources = local.secret_grants[each.key] }
    },
  )
  log_retention_days = var.log_retention_days

  package = {
    path         = local.package
    hash         = fileexists(local.package) ? filebase64sha256(local.package) : null
    architecture = var.architecture
  }

  vpc = var.vpc

  asynchronous = contains(keys(local.asynchronous), each.key) ? merge(local.asynchronous[each.key], {
    dead_letter_arn = aws_sqs_queue.dead["functions"].arn
  }) : null
}

resource "aws_lambda_event_source_mapping" "doorbells" {
  event_source_arn        = aws_sqs_queue.doorbells.arn
  function_name           = module.function["deliver"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  dynamic "scaling_config" {
    for_each = var.deliver_concurrency == null ? [] : [var.deliver_concurrency]
    content {
      maximum_concurrency = scaling_config.value
    }
  }
}

resource "aws_lambda_event_source_mapping" "given_up_by_pipes" {
  event_source_arn        = aws_sqs_queue.dead["pipes"].arn
  function_name           = module.function["sweep"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}

resource "aws_lambda_event_source_mapping" "timers" {
  event_source_arn        = aws_sqs_queue.timers.arn
  function_name           = module.function["sweep"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}

# What providers upload.

resource "aws_cloudwatch_event_rule" "uploads" {
  name        = "${var.name}-uploads"
  description = "Tells the function upload of what providers put under staging/"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [aws_s3_bucket.claims.id] }
      object = { key = [{ prefix = "staging/" }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "uploads" {
  rule      = aws_cloudwatch_event_rule.uploads.name
  target_id = "upload"
  arn       = module.function["upload"].arn

  retry_policy {
    maximum_event_age_in_seconds = 21600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead["functions"].arn
  }
}

resource "aws_lambda_permission" "uploads" {
  statement_id  = "RuleOfUploads"
  action        = "lambda:InvokeFunction"
  function_name = module.function["upload"].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.uploads.arn
}
