# The large lane: bodies of any size, through a load balancer to servers that do what the function `ingest` does.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  name = "${var.deployment.name}-large"
  port = 8080
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:servers log neither payloads nor secrets, and CloudWatch Logs encrypts with a key of its own
  name              = "/ecs/${local.name}"
  retention_in_days = var.deployment.log_retention
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory_mb
  execution_role_arn       = aws_iam_role.start.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(var.architecture)
  }

  container_definitions = jsonencode([{
    name                   = "cloakroom"
    image                  = var.image
    essential              = true
    command                = ["serve"]
    readonlyRootFilesystem = true
    # Requests under way may finish first; see `server.drain_timeout`.
    stopTimeout  = 60
    portMappings = [{ containerPort = local.port, protocol = "tcp" }]

    environment = [
      for name, value in {
        AWS_REGION           = data.aws_region.current.region
        CLOAKROOM_BACKEND    = "aws"
        CLOAKROOM_BUCKET     = var.deployment.bucket.name
        CLOAKROOM_CONFIG     = var.deployment.config_url
        CLOAKROOM_DOORBELLS  = var.deployment.doorbells.url
        CLOAKROOM_LISTEN     = "0.0.0.0:${local.port}"
        CLOAKROOM_LOG        = var.deployment.log_level
        CLOAKROOM_LOG_FORMAT = "json"
        CLOAKROOM_TABLE      = var.deployment.table.name
        CLOAKROOM_TIMERS     = var.deployment.timers.url
      } : { name = name, value = value }
    ]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "server"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                              = local.name
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.this.arn
  desired_count                     = var.size.servers
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  health_check_grace_period_seconds = 30
  propagate_tags                    = "SERVICE"

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.servers.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "cloakroom"
    container_port   = local.port
  }

  # A version that does not start is taken back.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_lb_listener.https, aws_iam_role_policy.task, aws_iam_role_policy.start]
}
