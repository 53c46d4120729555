# The functions' way out: to AWS by endpoints, to consumers over HTTPS.

module "endpoints" {
  source = "../../modules/vpc-endpoints"

  name                     = "production"
  vpc_id                   = var.network.vpc_id
  subnet_ids               = var.network.private_subnet_ids
  route_table_ids          = var.network.route_table_ids
  client_security_group_id = aws_security_group.functions.id
  services                 = ["sqs", "secretsmanager", "events", "sns", "lambda", "states"]
}

resource "aws_security_group" "functions" {
  #checkov:skip=CKV2_AWS_5:it is attached to the functions, within the module
  name        = "production-functions"
  description = "Functions of Cloakroom"
  vpc_id      = var.network.vpc_id

  tags = { Name = "production-functions" }
}

resource "aws_vpc_security_group_egress_rule" "functions" {
  security_group_id = aws_security_group.functions.id
  description       = "HTTPS to AWS and to consumers, whose addresses are not known"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
