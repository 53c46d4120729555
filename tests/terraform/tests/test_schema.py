"""The schema that is derived from the bindings is the AWS provider's: a few facts of its documentation."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path

from offline import schema
from offline.errors import Failure

FOLDER = Path(os.environ["TERRAFORM_SCHEMA_FOLDER"])


def block(name: str) -> dict:
    kind = "data_sources" if name.startswith("data.") else "resources"
    return schema.load(FOLDER, [name])[kind][name.removeprefix("data.")]


class Schema(unittest.TestCase):
    def test_it_is_of_the_pinned_version(self) -> None:
        self.assertEqual((FOLDER / "version.txt").read_text(), "6.69.1")

    def test_attributes_have_their_types_and_uses(self) -> None:
        for name, attribute, type_, uses in (
            ("aws_sqs_queue", "visibility_timeout_seconds", "number", "optional"),
            ("aws_sqs_queue", "arn", "string", "computed"),
            ("aws_sqs_queue", "tags", ["map", "string"], "optional"),
            ("aws_pipes_pipe", "role_arn", "string", "required"),
            ("aws_lambda_function", "architectures", ["list", "string"], "optional computed"),
            ("aws_lambda_event_source_mapping", "function_response_types", ["set", "string"], "optional"),
            ("data.aws_iam_policy_document", "json", "string", "computed"),
            ("data.aws_caller_identity", "account_id", "string", "computed"),
        ):
            with self.subTest(name=name, attribute=attribute):
                found = block(name)["attributes"][attribute]
                self.assertEqual(found["type"], type_)
                self.assertEqual([use for use in ("required", "optional", "computed") if found[use]], uses.split())

    def test_blocks_have_their_nesting_and_numbers(self) -> None:
        for name, nested, nesting, least, most in (
            ("aws_scheduler_schedule", "flexible_time_window", "list", 1, 1),
            ("aws_dynamodb_table", "attribute", "set", 0, 0),
            ("aws_dynamodb_table", "ttl", "list", 0, 1),
            ("aws_s3_bucket_lifecycle_configuration", "rule", "list", 0, 0),
            ("aws_sqs_queue", "timeouts", "single", 0, 0),
            ("data.aws_iam_policy_document", "statement", "list", 0, 0),
        ):
            with self.subTest(name=name, nested=nested):
                found = block(name)["blocks"][nested]
                self.assertEqual((found["nesting"], found["min_items"], found["max_items"]), (nesting, least, most))

    def test_objects_that_are_attributes_have_their_members(self) -> None:
        kind, (word, members) = block("aws_security_group")["attributes"]["ingress"]["type"]
        self.assertEqual(
            (kind, word, members["from_port"], members["cidr_blocks"]), ("set", "object", "number", ["list", "string"])
        )
        kind, (word, members) = block("aws_acm_certificate")["attributes"]["domain_validation_options"]["type"]
        self.assertEqual((kind, word, members["resource_record_name"]), ("set", "object", "string"))

    def test_types_are_found_wherever_they_are_used(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            module, example = Path(folder, "module"), Path(folder, "module", "examples", "one")
            example.mkdir(parents=True)
            (module / "main.tf").write_text('resource "aws_sqs_queue" "a" {\n}\ndata "aws_region" "b" {\n}\n')
            (example / "main.tf").write_text('module "it" {\n  source = "../.."\n}\n')
            self.assertEqual(schema.used_types([example]), ["aws_sqs_queue", "data.aws_region"])

    def test_a_type_that_is_not_understood_says_so(self) -> None:
        with self.assertRaisesRegex(Failure, "aws_wafv2_web_acl_rule"):
            block("aws_wafv2_web_acl_rule")
