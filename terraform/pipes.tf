# The two pipes, as their files say. They are both of the readers that a table's stream allows.

module "pipe" {
  source   = "./modules/pipe"
  for_each = toset(["resequence", "dispatch"])

  name            = var.name
  file            = "${path.module}/../pipes/${each.key}.json"
  stream_arn      = aws_dynamodb_table.ledger.stream_arn
  function_arn    = module.function[each.key].arn
  dead_letter_arn = aws_sqs_queue.dead["pipes"].arn
  place           = local.place
  kms_key_arn     = var.kms_key_arn
}
