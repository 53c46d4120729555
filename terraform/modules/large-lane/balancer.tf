# The load balancer, and who may talk to whom.

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_28:signatures are what refuses strangers, and a web ACL sees the first kilobytes of a body only; one can be attached with var.web_acl_arn
  #checkov:skip=CKV2_AWS_76:the rules of a web ACL are written where the ACL is, and nothing here is written in Java
  name                       = local.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = var.public_subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  # How long a body may stay silent; `server.read_timeout` is usually shorter.
  idle_timeout = 120

  dynamic "access_logs" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]
    content {
      bucket  = access_logs.value
      prefix  = local.name
      enabled = true
    }
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.web_acl_arn == null ? 0 : 1

  resource_arn = aws_lb.this.arn
  web_acl_arn  = var.web_acl_arn
}

# There is no listener for plain HTTP: a webhook that was sent in the clear is not to be forwarded.
resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

resource "aws_lb_target_group" "this" {
  name                 = local.name
  vpc_id               = var.vpc_id
  target_type          = "ip"
  port                 = local.port
  protocol             = "HTTP"
  deregistration_delay = 60

  health_check {
    path                = "/healthz"
    matcher             = "200"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_security_group" "balancer" {
  name        = "${local.name}-balancer"
  description = "Load balancer of Cloakroom"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = var.allowed_cidrs

  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS from providers"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.key
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "To the servers"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = aws_security_group.servers.id
}

resource "aws_security_group" "servers" {
  name        = "${local.name}-servers"
  description = "Servers of Cloakroom"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-servers" }
}

resource "aws_vpc_security_group_ingress_rule" "servers" {
  security_group_id            = aws_security_group.servers.id
  description                  = "From the load balancer"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = aws_security_group.balancer.id
}

# To AWS alone, over HTTPS: the servers send to no consumer. The addresses of AWS's endpoints are not known here.
resource "aws_vpc_security_group_egress_rule" "servers" {
  security_group_id = aws_security_group.servers.id
  description       = "To the services of AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = {
    large-errors    = { metric = "HTTPCode_Target_5XX_Count", statistic = "Sum", threshold = 5, description = "The large lane answers providers with 5xx." }
    large-unhealthy = { metric = "UnHealthyHostCount", statistic = "Maximum", threshold = 1, description = "A server of the large lane does not answer." }
  }

  alarm_name          = "${var.deployment.name}-${each.key}"
  alarm_description   = "${each.value.description} See docs/operations.md."
  namespace           = "AWS/ApplicationELB"
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.deployment.alarm_topics
  ok_actions          = var.deployment.alarm_topics

  dimensions = {
    LoadBalancer = aws_lb.this.arn_suffix
    TargetGroup  = aws_lb_target_group.this.arn_suffix
  }
}
