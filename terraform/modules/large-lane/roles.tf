# Two roles: what the servers do, and what Fargate does to start them.

locals {
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })

  # A statement that allows nothing is left out.
  task_statements = {
    for id, statement in {
      Configuration = { actions = ["s3:GetObject"], resources = ["${var.deployment.bucket.arn}/config/*"] }
      # The server looks whether the table is as it should be before it starts.
      Ledger = {
        actions = [
          "dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:DescribeTable",
          "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
        ]
        resources = [var.deployment.table.arn]
      }
      Lists = { actions = ["dynamodb:Query"], resources = ["${var.deployment.table.arn}/index/*"] }
      Claims = {
        actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        resources = [for prefix in ["c", "m", "h"] : "${var.deployment.bucket.arn}/${prefix}/*"]
      }
      Parts    = { actions = ["s3:AbortMultipartUpload"], resources = ["${var.deployment.bucket.arn}/m/*"] }
      Uploads  = { actions = ["s3:PutObject"], resources = ["${var.deployment.bucket.arn}/staging/*"] }
      Presence = { actions = ["s3:ListBucket"], resources = [var.deployment.bucket.arn] }
      Bells    = { actions = ["sqs:SendMessage"], resources = [var.deployment.doorbells.arn, var.deployment.timers.arn] }
      Secrets  = { actions = ["secretsmanager:GetSecretValue"], resources = var.deployment.secret_arns }
      Encryption = {
        actions = [
          "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
        ]
        resources = var.deployment.kms_key_arn == null ? [] : [var.deployment.kms_key_arn]
        # Through the services alone, which ask on the server's behalf.
        condition = {
          StringEquals = { "kms:ViaService" = [for service in ["dynamodb", "s3", "secretsmanager", "sqs"] : "${service}.${data.aws_region.current.region}.amazonaws.com"] }
        }
      }
    } : id => statement if length(statement.resources) > 0
  }

  start_statements = concat(
    [{
      Sid      = "Log"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
    }],
    var.image_repository_arn == null ? [] : [
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [var.image_repository_arn]
      },
      {
        # AWS knows no resources for this.
        Sid      = "Registry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
    ],
  )
}

resource "aws_iam_role" "task" {
  name               = "${local.name}-server"
  description        = "Of the servers of ${local.name}"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "task" {
  name = "does-its-work"
  role = aws_iam_role.task.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for id, statement in local.task_statements : merge(
        {
          Sid      = id
          Effect   = "Allow"
          Action   = statement.actions
          Resource = statement.resources
        },
        try({ Condition = statement.condition }, {}),
      )
    ]
  })
}

resource "aws_iam_role" "start" {
  name               = "${local.name}-start"
  description        = "Of Fargate, which starts ${local.name}"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "start" {
  name = "does-its-work"
  role = aws_iam_role.start.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.start_statements
  })
}
