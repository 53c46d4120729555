# The HTTP API: one route for each source, and nothing that nobody asked for.

locals {
  # Webhooks and uploads of each source.
  source_routes = merge([
    for name in keys(local.sources) : {
      "POST /in/${name}"         = name
      "POST /in/${name}/uploads" = name
    }
  ]...)
  # Whether it is there; and what operators ask, where the configuration has a token for them.
  plain_routes = toset(concat(["GET /healthz", "GET /readyz"], local.has_api ? ["ANY /v1/{proxy+}"] : []))

  has_mutual_tls = try(var.custom_domain.truststore_uri, null) != null
  address        = var.custom_domain == null ? aws_apigatewayv2_api.this.api_endpoint : "https://${var.custom_domain.name}"
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "Takes webhooks in"
  protocol_type = "HTTP"
  # The API's own address asks for no client certificate.
  disable_execute_api_endpoint = local.has_mutual_tls
}

resource "aws_apigatewayv2_integration" "ingest" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = module.function["ingest"].invoke_arn
  integration_method     = "POST"
  payload_format_version = "2.0"
  timeout_milliseconds   = 30000
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = var.jwt == null ? 0 : 1

  api_id           = aws_apigatewayv2_api.this.id
  name             = "jwt"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.jwt.issuer
    audience = var.jwt.audience
  }
}

resource "aws_apigatewayv2_route" "source" {
  #checkov:skip=CKV_AWS_309:webhooks are authorized by their signature, which the function checks and an authorizer cannot; tokens are asked for beside it where var.jwt says so
  for_each = local.source_routes

  api_id    = aws_apigatewayv2_api.this.id
  route_key = each.key
  target    = "integrations/${aws_apigatewayv2_integration.ingest.id}"

  # Every webhook is signed, which ingest checks: an authorizer sees no body.
  authorization_type   = contains(keys(local.jwt_scopes), each.value) ? "JWT" : "NONE"
  authorizer_id        = contains(keys(local.jwt_scopes), each.value) ? aws_apigatewayv2_authorizer.jwt[0].id : null
  authorization_scopes = try(local.jwt_scopes[each.value], null)
}

# The API for operators asks for its own token.
resource "aws_apigatewayv2_route" "plain" {
  #checkov:skip=CKV_AWS_309:the operators' API asks for its own bearer token, and is not there without one; the other routes tell only that the service runs
  for_each = local.plain_routes

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  target             = "integrations/${aws_apigatewayv2_integration.ingest.id}"
  authorization_type = "NONE"
}

locals {
  jwt_scopes = { for name, needed in try(var.jwt.sources, {}) : name => needed.scopes }
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit    = var.throttling.rate_per_s
    throttling_burst_limit   = var.throttling.burst
    detailed_metrics_enabled = false
  }

  dynamic "route_settings" {
    for_each = { for route, name in local.source_routes : route => var.source_throttling[name] if contains(keys(var.source_throttling), name) }
    content {
      route_key                = route_settings.key
      throttling_rate_limit    = route_settings.value.rate_per_s
      throttling_burst_limit   = route_settings.value.burst
      detailed_metrics_enabled = false
    }
  }

  # Neither headers nor bodies: they hold signatures and payloads.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      time             = "$context.requestTime"
      requestId        = "$context.requestId"
      ip               = "$context.identity.sourceIp"
      method           = "$context.httpMethod"
      path             = "$context.path"
      routeKey         = "$context.routeKey"
      status           = "$context.status"
      responseLength   = "$context.responseLength"
      latencyMs        = "$context.responseLatency"
      integrationMs    = "$context.integrationLatency"
      error            = "$context.error.message"
      integrationError = "$context.integrationErrorMessage"
    })
  }

  # Settings of a route that is not there yet are refused.
  depends_on = [aws_apigatewayv2_route.source, aws_apigatewayv2_route.plain]
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:the access log holds neither headers nor bodies, and CloudWatch Logs encrypts it with a key of its own
  #checkov:skip=CKV_AWS_338:how long logs are kept is the operator's decision, see var.log_retention_days
  # Under this prefix AWS needs no entry of its own for each group in the account's one policy of logs, which is soon full.
  name              = "/aws/vendedlogs/${var.name}-api"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_permission" "api" {
  statement_id  = "Api"
  action        = "lambda:InvokeFunction"
  function_name = module.function["ingest"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*"
}

# A domain of one's own.

resource "aws_apigatewayv2_domain_name" "this" {
  count = var.custom_domain == null ? 0 : 1

  domain_name = var.custom_domain.name

  domain_name_configuration {
    certificate_arn = var.custom_domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }

  dynamic "mutual_tls_authentication" {
    for_each = local.has_mutual_tls ? [var.custom_domain] : []
    content {
      truststore_uri     = mutual_tls_authentication.value.truststore_uri
      truststore_version = mutual_tls_authentication.value.truststore_version
    }
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = var.custom_domain == null ? 0 : 1

  api_id      = aws_apigatewayv2_api.this.id
  domain_name = aws_apigatewayv2_domain_name.this[0].id
  stage       = aws_apigatewayv2_stage.this.id
}

resource "aws_route53_record" "this" {
  count = try(var.custom_domain.zone_id, null) == null ? 0 : 1

  zone_id = var.custom_domain.zone_id
  name    = var.custom_domain.name
  type    = "A"

  alias {
    name                   = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}
