# What cloakroom.yaml asks for. Everything else in this module works with these values.

locals {
  config_text = file(var.config_file)
  config      = yamldecode(local.config_text)

  # A section that is left out, or left empty, is empty.
  sources       = try({ for name, source in local.config.sources : name => source }, {})
  subscriptions = try({ for name, subscription in local.config.subscriptions : name => subscription }, {})

  # Sinks by subscription. One without settings is written as a bare word, e.g. `sink: pull`.
  sinks = { for name, subscription in local.subscriptions : name => subscription.sink }
  sink_kinds = {
    for name, sink in local.sinks : name => try(one(keys(sink)), tostring(sink))
  }

  # What a sink names. A plain name is created here; an ARN, or the URL of a queue, is somebody else's.
  queue_of         = { for name, sink in local.sinks : name => sink["sqs-fifo"].queue if local.sink_kinds[name] == "sqs-fifo" }
  bus_of           = { for name, sink in local.sinks : name => sink["eventbridge"].bus if local.sink_kinds[name] == "eventbridge" }
  topic_of         = { for name, sink in local.sinks : name => sink["sns"].topic if local.sink_kinds[name] == "sns" }
  function_of      = { for name, sink in local.sinks : name => sink["lambda"].function if local.sink_kinds[name] == "lambda" }
  state_machine_of = { for name, sink in local.sinks : name => sink["step-functions"].state_machine if local.sink_kinds[name] == "step-functions" }

  own_queues   = toset([for queue in values(local.queue_of) : queue if !strcontains(queue, ":")])
  other_queues = toset([for queue in values(local.queue_of) : queue if strcontains(queue, ":")])
  own_buses    = toset([for bus in values(local.bus_of) : bus if !startswith(bus, "arn:") && bus != "default"])

  # References to secrets, by who reads them.
  source_secrets = toset(flatten([for source in values(local.sources) : try([for reference in source.verify.secrets : reference], [])]))
  sink_secrets = toset(flatten([
    for name, sink in local.sinks : [
      for reference in concat([try(sink.http.secret, null)], try(values(sink.http.headers), [])) :
      reference if reference != null && can(regex("^(env|file|aws-secret):", reference))
    ]
  ]))
  admin_token = try(local.config.server.admin_token, null)
  has_api     = local.admin_token != null
  references  = setunion(local.source_secrets, local.sink_secrets, local.has_api ? [local.admin_token] : [])

  # The longest time that one delivery may take, by subscription, in seconds. A function is given a minute.
  unit_s = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
  delivery_s = {
    for name, kind in local.sink_kinds : name => (
      kind == "http" ? try(
        tonumber(regex("^([0-9]+) ?(ms|s|m|h|d)$", local.sinks[name].http.timeout)[0]) * local.unit_s[regex("^([0-9]+) ?(ms|s|m|h|d)$", local.sinks[name].http.timeout)[1]],
        15
      ) : kind == "lambda" ? 60 : 30
    )
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  place     = { account = local.account, region = local.region, partition = local.partition }
}

# The functions read their configuration from here: what is deployed is what is in the file, and its name is its hash,
# so that a function in use never meets another file than the one it was checked with.
resource "aws_s3_object" "config" {
  bucket       = aws_s3_bucket.claims.id
  key          = "config/cloakroom-${sha256(local.config_text)}.yaml"
  content      = local.config_text
  content_type = "application/yaml"

  # Otherwise an object could be there before what protects it.
  depends_on = [
    aws_s3_bucket_ownership_controls.claims,
    aws_s3_bucket_public_access_block.claims,
    aws_s3_bucket_server_side_encryption_configuration.claims,
  ]

  lifecycle {
    create_before_destroy = true
  }
}
