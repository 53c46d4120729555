# What cannot work is refused before anything is put up, in the words of whoever wrote the configuration.

locals {
  unsigned_sources   = [for name, source in local.sources : name if try(source.verify, null) == null]
  unservable         = [for name, kind in local.sink_kinds : name if contains(["file", "stdout", "pull"], kind)]
  unreachable        = [for reference in local.references : reference if !startswith(reference, "aws-secret:")]
  slow               = [for name, seconds in local.delivery_s : name if seconds + 5 > var.functions.deliver.timeout_s]
  unordered_queues   = [for queue in local.own_queues : queue if !endswith(queue, ".fifo")]
  unknown_sources    = setsubtract(setunion(keys(var.source_throttling), try(keys(var.jwt.sources), [])), keys(local.sources))
  rules_without_bus  = [for name, rule in var.bus_rules : name if !contains(local.own_buses, rule.bus)]
  unknown_queues     = setsubtract(keys(var.queues), local.own_queues)
  configured_address = try(trimsuffix(local.config.server.public_url, "/"), null)
}

resource "terraform_data" "checks" {
  lifecycle {
    precondition {
      condition     = fileexists(local.package)
      error_message = "There is no package ${local.package}: build it with `./build-lambdas`, or set `function_package` to the zip of a release."
    }

    precondition {
      condition     = length(local.sources) > 0
      error_message = "The configuration has no sources: nothing would take webhooks in."
    }

    precondition {
      condition     = length(local.unsigned_sources) == 0
      error_message = "Nothing verifies the webhooks of ${join(", ", local.unsigned_sources)}, and the API is public: give each a `verify`, or say `verify: { scheme: none }` if that is meant."
    }

    precondition {
      condition     = length(local.unservable) == 0
      error_message = "The functions cannot serve the sinks of ${join(", ", local.unservable)}: `file`, `stdout` and `pull` need a server (`cloakroom serve`)."
    }

    precondition {
      condition     = length(local.unreachable) == 0
      error_message = "The functions find secrets in Secrets Manager only, but the configuration says ${join(", ", local.unreachable)}: write `aws-secret:NAME`."
    }

    precondition {
      condition     = length(local.slow) == 0
      error_message = "One delivery to ${join(", ", local.slow)} may take longer than the function `deliver` has: raise `functions.deliver.timeout_s` to 5 seconds above the sink's timeout."
    }

    precondition {
      condition     = length(local.unordered_queues) == 0
      error_message = "The name of a queue that keeps order ends in `.fifo`: ${join(", ", local.unordered_queues)}."
    }

    precondition {
      condition     = length(local.unknown_sources) == 0
      error_message = "The configuration has no source ${join(", ", local.unknown_sources)}, which `source_throttling` or `jwt` names."
    }

    precondition {
      condition     = length(local.unknown_queues) == 0
      error_message = "No subscription of the configuration creates the queue ${join(", ", local.unknown_queues)}, which `queues` names."
    }

    precondition {
      condition     = length(local.rules_without_bus) == 0
      error_message = "The rules ${join(", ", local.rules_without_bus)} are for a bus that no subscription of the configuration creates."
    }
  }
}

# Schemes that sign the URL (Twilio, Square) need the address that the provider uses. Only a warning: another proxy may be in front.
check "public_url" {
  assert {
    condition     = local.configured_address == null || local.configured_address == local.address
    error_message = "`server.public_url` is ${coalesce(local.configured_address, "unset")}, but the API's address is another: providers that sign the URL will be refused unless something else forwards to it."
  }
}
