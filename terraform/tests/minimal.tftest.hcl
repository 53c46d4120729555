# The plan of the minimal example's configuration.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target          = aws_sqs_queue.doorbells
  override_during = plan
  values = {
    id  = "https://sqs.eu-west-1.amazonaws.com/111122223333/cloakroom-doorbells.fifo"
    url = "https://sqs.eu-west-1.amazonaws.com/111122223333/cloakroom-doorbells.fifo"
    arn = "arn:aws:sqs:eu-west-1:111122223333:cloakroom-doorbells.fifo"
    # What stands here is what nobody configured.
    redrive_policy = "none"
  }
}

override_resource {
  target          = aws_sqs_queue.timers
  override_during = plan
  values = {
    id  = "https://sqs.eu-west-1.amazonaws.com/111122223333/cloakroom-timers"
    url = "https://sqs.eu-west-1.amazonaws.com/111122223333/cloakroom-timers"
    arn = "arn:aws:sqs:eu-west-1:111122223333:cloakroom-timers"
  }
}

variables {
  config_file      = "examples/minimal/cloakroom.yaml"
  function_package = "tests/fixtures/functions.zip"
}

run "table" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.ledger.name == "cloakroom-ledger" && aws_dynamodb_table.ledger.billing_mode == "PAY_PER_REQUEST"
    error_message = "The table is on demand."
  }

  assert {
    condition     = aws_dynamodb_table.ledger.hash_key == "PK" && aws_dynamodb_table.ledger.range_key == "SK"
    error_message = "The keys are the definition's."
  }

  assert {
    condition     = aws_dynamodb_table.ledger.stream_enabled && aws_dynamodb_table.ledger.stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "The pipes need both images."
  }

  assert {
    condition     = toset([for index in aws_dynamodb_table.ledger.global_secondary_index : index.name]) == toset(["heads", "attention"])
    error_message = "The indexes are the definition's."
  }

  assert {
    condition     = alltrue([for index in aws_dynamodb_table.ledger.global_secondary_index : index.projection_type == "KEYS_ONLY"])
    error_message = "The indexes hold keys only."
  }

  assert {
    condition     = toset([for attribute in aws_dynamodb_table.ledger.attribute : attribute.name]) == toset(["PK", "SK", "heads", "stream", "attention", "rank"])
    error_message = "Only attributes of keys are defined."
  }

  assert {
    condition     = aws_dynamodb_table.ledger.point_in_time_recovery[0].enabled && aws_dynamodb_table.ledger.deletion_protection_enabled
    error_message = "The table can be restored, and is not deleted by mistake."
  }

  assert {
    condition     = length(aws_dynamodb_table.ledger.ttl) == 0
    error_message = "Nothing expires: retention is the sweeper's."
  }
}

run "bucket" {
  command = plan

  assert {
    condition     = aws_s3_bucket.claims.bucket == "cloakroom-claims-111122223333-eu-west-1"
    error_message = "The name is the deployment's, unique by account and Region."
  }

  assert {
    condition     = !aws_s3_bucket.claims.force_destroy
    error_message = "Payloads are not deleted by mistake."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.claims.block_public_acls, aws_s3_bucket_public_access_block.claims.block_public_policy,
      aws_s3_bucket_public_access_block.claims.ignore_public_acls, aws_s3_bucket_public_access_block.claims.restrict_public_buckets,
    ])
    error_message = "Nothing is public."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.claims.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "Objects are encrypted."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.claims.policy).Statement :
      statement.Effect == "Deny" && statement.Resource == ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
    ])
    error_message = "The policy allows nobody anything."
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.claims.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "Plain HTTP is denied."
  }

  # Everything that deletes is listed here: the sweeper alone deletes claims.
  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.claims.rule : rule.id => [rule.filter[0].prefix, length(rule.expiration), length(rule.abort_incomplete_multipart_upload)] } == {
      abort-unfinished-uploads = ["", 0, 1]
      expire-staging           = ["staging/", 1, 0]
    }
    error_message = "Only unfinished uploads and staging expire."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.claims.rule : rule.expiration[0].days if rule.id == "expire-staging"] == [1]
    error_message = "Staging expires after a day."
  }

  assert {
    condition     = aws_s3_bucket_notification.claims.eventbridge
    error_message = "EventBridge is told of uploads."
  }
}

run "configuration" {
  command = plan

  assert {
    condition     = aws_s3_object.config.content == file("examples/minimal/cloakroom.yaml")
    error_message = "The file is deployed byte for byte."
  }

  assert {
    condition     = aws_s3_object.config.key == "config/cloakroom-${sha256(file("examples/minimal/cloakroom.yaml"))}.yaml"
    error_message = "Its name is its hash."
  }
}

run "queues" {
  command = plan

  assert {
    condition     = aws_sqs_queue.doorbells.name == "cloakroom-doorbells.fifo" && aws_sqs_queue.doorbells.fifo_queue && !aws_sqs_queue.doorbells.content_based_deduplication
    error_message = "Doorbells keep the order of a group, under ids of their own."
  }

  assert {
    condition     = aws_sqs_queue.doorbells.deduplication_scope == "messageGroup" && aws_sqs_queue.doorbells.fifo_throughput_limit == "perMessageGroupId"
    error_message = "The limits are those of a group."
  }

  assert {
    condition     = aws_sqs_queue.doorbells.visibility_timeout_seconds == 6 * 120 && aws_sqs_queue.timers.visibility_timeout_seconds == 6 * 120
    error_message = "Messages stay hidden for six times as long as a call may take."
  }

  assert {
    condition     = aws_sqs_queue.doorbells.message_retention_seconds >= 3 * aws_sqs_queue.doorbells.visibility_timeout_seconds
    error_message = "A doorbell is tried more than once."
  }

  assert {
    condition     = aws_sqs_queue.doorbells.redrive_policy == "none"
    error_message = "No doorbell is set aside: the others of its group would pass it."
  }

  assert {
    condition     = aws_sqs_queue.timers.fifo_queue != true && jsondecode(aws_sqs_queue.timers.redrive_policy).maxReceiveCount == 5
    error_message = "Timers are a standard queue, which gives up after five tries."
  }

  assert {
    condition     = { for name, queue in aws_sqs_queue.dead : name => queue.name } == { pipes = "cloakroom-pipes-dead", functions = "cloakroom-functions-dead", timers = "cloakroom-timers-dead" }
    error_message = "There are three dead-letter queues."
  }

  assert {
    condition     = aws_sqs_queue.dead["pipes"].visibility_timeout_seconds == 6 * 120
    error_message = "What the pipes gave up stays hidden while the sweeper looks at it."
  }

  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.dead), [aws_sqs_queue.doorbells, aws_sqs_queue.timers], values(aws_sqs_queue.consumer)) : queue.sqs_managed_sse_enabled])
    error_message = "Every queue is encrypted."
  }

  assert {
    condition     = keys(aws_sqs_queue.consumer) == ["cloakroom-billing.fifo"] && aws_sqs_queue.consumer["cloakroom-billing.fifo"].fifo_queue
    error_message = "The queue that the configuration names is created."
  }

  assert {
    condition     = aws_sqs_queue.consumer["cloakroom-billing.fifo"].visibility_timeout_seconds == 60 && aws_sqs_queue.consumer["cloakroom-billing.fifo"].message_retention_seconds == 1209600
    error_message = "A consumer has a minute for a message, and two weeks to come for it."
  }
}

run "functions" {
  command = plan

  assert {
    condition     = { for role, function in module.function : role => function.name } == { for role in ["ingest", "resequence", "dispatch", "deliver", "sweep", "upload"] : role => "cloakroom-${role}" }
    error_message = "There is a function for each role."
  }

  assert {
    condition = jsonencode({ for role, function in module.function : role => sort(keys(function.environment)) }) == jsonencode({
      ingest     = ["CLOAKROOM_BUCKET", "CLOAKROOM_CONFIG", "CLOAKROOM_LOG", "CLOAKROOM_TABLE"]
      resequence = ["CLOAKROOM_BUCKET", "CLOAKROOM_CONFIG", "CLOAKROOM_LOG", "CLOAKROOM_TABLE", "CLOAKROOM_TIMERS"]
      dispatch   = ["CLOAKROOM_CONFIG", "CLOAKROOM_DOORBELLS", "CLOAKROOM_LOG"]
      deliver    = ["CLOAKROOM_BUCKET", "CLOAKROOM_CONFIG", "CLOAKROOM_DOORBELLS", "CLOAKROOM_LOG", "CLOAKROOM_TABLE", "CLOAKROOM_TIMERS"]
      sweep      = ["CLOAKROOM_BUCKET", "CLOAKROOM_CONFIG", "CLOAKROOM_DOORBELLS", "CLOAKROOM_LOG", "CLOAKROOM_TABLE", "CLOAKROOM_TIMERS"]
      upload     = ["CLOAKROOM_BUCKET", "CLOAKROOM_CONFIG", "CLOAKROOM_LOG", "CLOAKROOM_TABLE"]
    })
    error_message = "Each is told what it reads."
  }

  assert {
    condition = module.function["sweep"].environment == tomap({
      CLOAKROOM_BUCKET    = "b"
      CLOAKROOM_CONFIG    = "s3://b/config/cloakroom-${sha256(file("examples/minimal/cloakroom.yaml"))}.yaml"
      CLOAKROOM_DOORBELLS = "https://sqs.eu-west-1.amazonaws.com/111122223333/cloakroom-doorbells.fifo"
      CLOAKROOM_LOG       = "info"
      CLOAKROOM_TABLE     = "cloakroom-ledger"
      CLOAKROOM_TIMERS    = "https://sqs.eu-west-1.amazonaws.com/111122223333/cloakroom-timers"
    })
    error_message = "The variables lead to what was created."
  }

  assert {
    condition     = alltrue([for mapping in [aws_lambda_event_source_mapping.doorbells, aws_lambda_event_source_mapping.timers, aws_lambda_event_source_mapping.given_up_by_pipes] : mapping.function_response_types == toset(["ReportBatchItemFailures"])])
    error_message = "What failed of a batch comes again, and nothing else."
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.doorbells.event_source_arn == "arn:aws:sqs:eu-west-1:111122223333:cloakroom-doorbells.fifo"
      && aws_lambda_event_source_mapping.timers.event_source_arn == "arn:aws:sqs:eu-west-1:111122223333:cloakroom-timers"
    )
    error_message = "Each queue feeds its function."
  }
}

run "schedules" {
  command = plan

  assert {
    condition = { for name, schedule in aws_scheduler_schedule.this : name => [schedule.schedule_expression, schedule.target[0].input] } == {
      sweep   = ["rate(1 minute)", "{}"]
      reclaim = ["rate(1 day)", "{\"task\":\"reclaim\"}"]
    }
    error_message = "The sweeper is called each minute, and once a day to reclaim."
  }

  assert {
    condition     = alltrue([for schedule in aws_scheduler_schedule.this : schedule.target[0].dead_letter_config[0].arn == aws_sqs_queue.dead["functions"].arn])
    error_message = "A schedule that cannot call is told of."
  }
}

run "uploads" {
  command = plan

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.uploads.event_pattern) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      detail      = { bucket = { name = ["b"] }, object = { key = [{ prefix = "staging/" }] } }
    }
    error_message = "The rule is for this bucket's staging."
  }

  assert {
    condition     = aws_lambda_permission.uploads.function_name == "cloakroom-upload" && aws_lambda_permission.uploads.principal == "events.amazonaws.com"
    error_message = "EventBridge may call upload."
  }
}

run "api" {
  command = plan

  assert {
    condition     = toset(keys(aws_apigatewayv2_route.source)) == toset(["POST /in/orders", "POST /in/orders/uploads"])
    error_message = "There are routes for the source, and no others."
  }

  assert {
    condition     = toset(keys(aws_apigatewayv2_route.plain)) == toset(["GET /healthz", "GET /readyz"])
    error_message = "Without an admin token there is no API for operators."
  }

  assert {
    condition     = aws_apigatewayv2_stage.this.default_route_settings[0].throttling_rate_limit == 500 && aws_apigatewayv2_stage.this.default_route_settings[0].throttling_burst_limit == 1000
    error_message = "The API is throttled."
  }

  assert {
    condition     = alltrue([for secret in ["header", "Authorization", "body"] : !strcontains(aws_apigatewayv2_stage.this.access_log_settings[0].format, secret)])
    error_message = "The access log holds neither headers nor bodies."
  }

  assert {
    condition     = aws_apigatewayv2_integration.ingest.payload_format_version == "2.0" && aws_apigatewayv2_integration.ingest.timeout_milliseconds == 30000
    error_message = "ingest reads events of version 2.0."
  }

  assert {
    condition     = aws_lambda_permission.api.source_arn == "arn:aws:execute-api:eu-west-1:111122223333:api1234567/*"
    error_message = "Only this API may call ingest."
  }

  assert {
    condition     = output.ingest_urls == { orders = "https://api1234567.execute-api.eu-west-1.amazonaws.com/in/orders" }
    error_message = "Providers are told where to send."
  }
}

run "secrets" {
  command = plan

  assert {
    condition     = output.secrets_to_fill == tolist(["cloakroom/orders"]) && aws_secretsmanager_secret.this["cloakroom/orders"].recovery_window_in_days == 7
    error_message = "The secret that the configuration names is created."
  }
}

run "referenced_secrets" {
  command = plan

  variables {
    create_secrets = false
  }

  assert {
    condition     = length(aws_secretsmanager_secret.this) == 0
    error_message = "Nothing is created that is there already."
  }

  assert {
    condition = one([
      for statement in jsondecode(module.function["ingest"].policy).Statement : statement if statement.Sid == "Secrets"
    ]).Resource == ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:cloakroom/orders-??????"]
    error_message = "ingest may read it all the same."
  }
}

run "operators" {
  command = plan

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "stalled-streams", "parked-streams", "dead-letters", "quarantined-webhooks", "disabled-subscriptions", "pipe-failures", "late-pipes",
      "lost-doorbells", "given-up", "old-doorbells", "no-sweep", "function-errors", "logged-errors", "throttles", "api-errors",
    ])
    error_message = "There is an alarm for all that operators must know."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:111122223333:t"])])
    error_message = "Every alarm tells the topic."
  }

  # An alarm that watches several metrics returns their sum, and one that watches one that one.
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length([for query in alarm.metric_query : query if query.return_data]) == 1])
    error_message = "Every alarm compares one number."
  }

  assert {
    condition = toset(flatten([
      for query in aws_cloudwatch_metric_alarm.this["pipe-failures"].metric_query : [for metric in query.metric : metric.dimensions.PipeName]
    ])) == toset(["cloakroom-resequence", "cloakroom-dispatch"])
    error_message = "Both pipes are watched."
  }

  assert {
    condition = {
      for name in ["stalled-streams", "parked-streams", "dead-letters", "quarantined-webhooks", "disabled-subscriptions", "no-sweep"] :
      name => one(flatten([for query in aws_cloudwatch_metric_alarm.this[name].metric_query : [for metric in query.metric : "${metric.namespace} ${metric.metric_name} ${metric.dimensions.Table} ${metric.stat}"]]))
      } == {
      stalled-streams        = "Cloakroom StalledStreams cloakroom-ledger Maximum"
      parked-streams         = "Cloakroom ParkedStreams cloakroom-ledger Maximum"
      dead-letters           = "Cloakroom DeadLetters cloakroom-ledger Maximum"
      quarantined-webhooks   = "Cloakroom Quarantined cloakroom-ledger Maximum"
      disabled-subscriptions = "Cloakroom DisabledSubscriptions cloakroom-ledger Maximum"
      no-sweep               = "Cloakroom StalledStreams cloakroom-ledger SampleCount"
    }
    error_message = "What the sweeper counts is watched, and that it counts."
  }

  # AWS takes no more in an alarm.
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length([for query in alarm.metric_query : query if length(query.metric) > 0]) <= 10])
    error_message = "No alarm watches more than ten metrics."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["no-sweep"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.this["api-errors"].treat_missing_data == "notBreaching"
    error_message = "Silence is good news, but for the sweeper."
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["sweep-ForgottenStreams"].log_group_name == "/aws/lambda/cloakroom-sweep"
    error_message = "The filters read the functions' logs."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets) == 15
    error_message = "There is a dashboard."
  }
}

run "without_operators" {
  command = plan

  variables {
    alarms    = { enabled = false }
    dashboard = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) + length(aws_sns_topic.operators) + length(aws_cloudwatch_dashboard.this) == 0
    error_message = "Alarms and dashboard can be left out."
  }

  assert {
    condition     = output.dashboard_url == null && output.alarm_topic_arn == null
    error_message = "Their outputs are empty then."
  }
}
