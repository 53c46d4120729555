# What cannot work is refused, by the variable or the check that says so.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  config_file      = "examples/minimal/cloakroom.yaml"
  function_package = "tests/fixtures/functions.zip"
}

run "a_source_that_verifies_nothing" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/unsigned.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "no_sources" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/no-sources.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "a_pull_subscription" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/pull.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "a_file_sink" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/file.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "a_secret_in_the_environment" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/environment-secret.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "a_secret_header_in_a_file" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/header-secret.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "a_sink_slower_than_its_function" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/slow-sink.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "a_queue_without_order" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/standard-queue.yaml"
  }

  expect_failures = [terraform_data.checks]
}

run "no_package" {
  command = plan

  variables {
    function_package = "tests/fixtures/nowhere.zip"
  }

  expect_failures = [terraform_data.checks]
}

run "limits_of_an_unknown_source" {
  command = plan

  variables {
    source_throttling = { ordres = { rate_per_s = 1, burst = 1 } }
  }

  expect_failures = [terraform_data.checks]
}

run "tokens_for_an_unknown_source" {
  command = plan

  variables {
    jwt = { issuer = "https://issuer.example", audience = ["a"], sources = { ordres = {} } }
  }

  expect_failures = [terraform_data.checks]
}

run "a_rule_of_an_unknown_bus" {
  command = plan

  variables {
    config_file   = "examples/complete/cloakroom.yaml"
    custom_domain = { name = "hooks.example.com", certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1" }
    bus_rules     = { crm = { bus = "nowhere", pattern = "{}", target_arn = "arn:aws:sqs:eu-west-1:111122223333:q" } }
  }

  expect_failures = [terraform_data.checks]
}

run "another_address" {
  command = plan

  variables {
    config_file = "examples/complete/cloakroom.yaml"
  }

  expect_failures = [check.public_url]
}

run "no_yaml" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/not-yaml.yaml"
  }

  expect_failures = [var.config_file]
}

run "no_file" {
  command = plan

  variables {
    config_file = "tests/fixtures/mistakes/nowhere.yaml"
  }

  expect_failures = [var.config_file]
}

run "a_name_in_capitals" {
  command = plan

  variables {
    name = "Cloakroom"
  }

  expect_failures = [var.name]
}

run "a_name_that_is_too_long" {
  command = plan

  variables {
    name = "a-deployment-with-a-long-name"
  }

  expect_failures = [var.name]
}

run "an_unknown_architecture" {
  command = plan

  variables {
    architecture = "riscv64"
  }

  expect_failures = [var.architecture]
}

run "a_package_that_is_no_zip" {
  command = plan

  variables {
    function_package = "bootstrap"
  }

  expect_failures = [var.function_package]
}

run "too_little_memory" {
  command = plan

  variables {
    functions = { deliver = { memory_mb = 64 } }
  }

  expect_failures = [var.functions]
}

run "too_long_a_timeout" {
  command = plan

  variables {
    functions = { sweep = { timeout_s = 901 } }
  }

  expect_failures = [var.functions]
}

run "ingest_slower_than_the_api" {
  command = plan

  variables {
    functions = { ingest = { timeout_s = 31 } }
  }

  expect_failures = [var.functions]
}

run "a_negative_concurrency" {
  command = plan

  variables {
    functions = { sweep = { reserved_concurrency = -2 } }
  }

  expect_failures = [var.functions]
}

run "a_log_level_with_spaces" {
  command = plan

  variables {
    log_level = "very much"
  }

  expect_failures = [var.log_level]
}

run "a_retention_that_logs_do_not_know" {
  command = plan

  variables {
    log_retention_days = 42
  }

  expect_failures = [var.log_retention_days]
}

run "an_alias_for_a_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:alias/mine"
  }

  expect_failures = [var.kms_key_arn]
}

run "too_short_a_recovery" {
  command = plan

  variables {
    secret_recovery_days = 3
  }

  expect_failures = [var.secret_recovery_days]
}

run "no_rate" {
  command = plan

  variables {
    throttling = { rate_per_s = 0 }
  }

  expect_failures = [var.throttling]
}

run "no_burst_of_a_source" {
  command = plan

  variables {
    source_throttling = { orders = { rate_per_s = 1, burst = 0 } }
  }

  expect_failures = [var.source_throttling]
}

run "a_domain_with_a_path" {
  command = plan

  variables {
    custom_domain = { name = "https://hooks.example.com/", certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1" }
  }

  expect_failures = [var.custom_domain]
}

run "a_certificate_of_iam" {
  command = plan

  variables {
    custom_domain = { name = "hooks.example.com", certificate_arn = "arn:aws:iam::111122223333:server-certificate/1" }
  }

  expect_failures = [var.custom_domain]
}

run "a_trust_store_elsewhere" {
  command = plan

  variables {
    custom_domain = { name = "hooks.example.com", certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1", truststore_uri = "https://example.com/ca.pem" }
  }

  expect_failures = [var.custom_domain]
}

run "an_issuer_without_tls" {
  command = plan

  variables {
    jwt = { issuer = "http://issuer.example", audience = ["a"], sources = {} }
  }

  expect_failures = [var.jwt]
}

run "tokens_for_nobody" {
  command = plan

  variables {
    jwt = { issuer = "https://issuer.example", audience = [], sources = {} }
  }

  expect_failures = [var.jwt]
}

run "too_little_concurrency" {
  command = plan

  variables {
    deliver_concurrency = 1
  }

  expect_failures = [var.deliver_concurrency]
}

run "a_vpc_without_subnets" {
  command = plan

  variables {
    vpc = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }

  expect_failures = [var.vpc]
}

run "a_rule_without_a_target" {
  command = plan

  variables {
    bus_rules = { crm = { bus = "b", pattern = "{}" } }
  }

  expect_failures = [var.bus_rules]
}

run "a_pattern_that_is_no_json" {
  command = plan

  variables {
    bus_rules = { crm = { bus = "b", pattern = "source", target_arn = "arn:aws:sqs:eu-west-1:111122223333:q" } }
  }

  expect_failures = [var.bus_rules]
}

run "an_api_destination_without_tls" {
  command = plan

  variables {
    bus_rules = { crm = { bus = "b", pattern = "{}", api_destination = { url = "http://crm.example" } } }
  }

  expect_failures = [var.bus_rules]
}

run "an_api_destination_that_is_too_fast" {
  command = plan

  variables {
    bus_rules = { crm = { bus = "b", pattern = "{}", api_destination = { url = "https://crm.example", rate_per_s = 301 } } }
  }

  expect_failures = [var.bus_rules]
}

run "an_operator_without_an_address" {
  command = plan

  variables {
    alarms = { emails = ["operator"] }
  }

  expect_failures = [var.alarms]
}

run "an_odd_period" {
  command = plan

  variables {
    alarms = { evaluation_period_s = 7 }
  }

  expect_failures = [var.alarms]
}

run "a_queue_that_nobody_creates" {
  command = plan

  variables {
    queues = { "biling.fifo" = {} }
  }

  expect_failures = [terraform_data.checks]
}

run "a_message_hidden_for_a_day" {
  command = plan

  variables {
    queues = { "cloakroom-billing.fifo" = { visibility_timeout_s = 86400 } }
  }

  expect_failures = [var.queues]
}

run "messages_kept_for_ever" {
  command = plan

  variables {
    queues = { "cloakroom-billing.fifo" = { retention_days = 30 } }
  }

  expect_failures = [var.queues]
}
