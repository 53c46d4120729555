# Region and credentials come from the environment, as for every AWS tool.
provider "aws" {
  default_tags {
    tags = { application = "cloakroom", environment = "production" }
  }
}
