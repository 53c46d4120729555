# The bucket of the payloads.
#
# No versions are kept: a claim is written once, under a condition, and never overwritten, so all that versions could add is to
# keep what the sweeper deletes, which would break the promise of `claims.retention`.

resource "aws_s3_bucket" "claims" {
  #checkov:skip=CKV_AWS_21:a claim is written once and never overwritten; versions would keep what retention promises to delete
  #checkov:skip=CKV_AWS_144:a second Region is a second deployment; a copy of the payloads alone, without the ledger, is of no use
  #checkov:skip=CKV_AWS_18:only the roles of this deployment read here, and holders of URLs that they signed; who wants more turns on CloudTrail data events
  bucket        = "${var.name}-claims-${local.account}-${local.region}"
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "claims" {
  bucket = aws_s3_bucket.claims.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "claims" {
  bucket = aws_s3_bucket.claims.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "claims" {
  bucket = aws_s3_bucket.claims.id

  rule {
    # With a bucket key S3 asks KMS once for many objects.
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_policy" "claims" {
  bucket = aws_s3_bucket.claims.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.claims.arn, "${aws_s3_bucket.claims.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyOverModernTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.claims.arn, "${aws_s3_bucket.claims.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
    ]
  })

  # S3 refuses two changes of a bucket's access at once.
  depends_on = [aws_s3_bucket_public_access_block.claims]
}

# These two rules and no others: the sweeper alone deletes claims, since it alone knows which are still needed.
resource "aws_s3_bucket_lifecycle_configuration" "claims" {
  bucket = aws_s3_bucket.claims.id

  rule {
    id     = "abort-unfinished-uploads"
    status = "Enabled"

    filter {
      prefix = ""
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  rule {
    id     = "expire-staging"
    status = "Enabled"

    filter {
      prefix = "staging/"
    }

    expiration {
      days = 1
    }
  }
}

resource "aws_s3_bucket_notification" "claims" {
  bucket      = aws_s3_bucket.claims.id
  eventbridge = true
}
