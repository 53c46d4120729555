"""aws_iam_policy_document is rendered as the provider renders it."""

from __future__ import annotations

import json
import unittest

from offline.provider import policy_document


def statement(**given: object) -> dict:
    """A statement's block as Terraform sends it: everything that is not given is null or empty."""
    empty = dict.fromkeys(("sid", "effect", "actions", "not_actions", "resources", "not_resources"))
    return {**empty, "principals": [], "not_principals": [], "condition": [], **given}


def rendered(*statements: dict, **more: object) -> dict:
    return json.loads(policy_document.render({"statement": list(statements), **more})["json"])


class PolicyDocument(unittest.TestCase):
    def test_one_value_stands_alone_and_several_are_sorted_backwards(self) -> None:
        document = rendered(statement(actions=["s3:GetObject", "s3:PutObject"], resources=["arn:x"]))
        expected = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:x"}
        self.assertEqual(document, {"Version": "2012-10-17", "Statement": [expected]})

    def test_what_is_denied_by_exception(self) -> None:
        document = rendered(statement(sid="No", effect="Deny", not_actions=["iam:*"], not_resources=["a", "b"]))
        self.assertEqual(
            document["Statement"], [{"Sid": "No", "Effect": "Deny", "NotAction": "iam:*", "NotResource": ["b", "a"]}]
        )

    def test_principals(self) -> None:
        services = [
            {"type": "Service", "identifiers": ["b.amazonaws.com", "a.amazonaws.com"]},
            {"type": "AWS", "identifiers": ["1"]},
        ]
        everyone = [{"type": "*", "identifiers": ["*"]}]
        document = rendered(statement(principals=services, actions=["a:b"]), statement(not_principals=everyone, actions=["a:b"]))
        self.assertEqual(document["Statement"][0]["Principal"], {"Service": ["b.amazonaws.com", "a.amazonaws.com"], "AWS": "1"})
        self.assertEqual(document["Statement"][1]["NotPrincipal"], "*")
        mixed = statement(principals=[*everyone, services[0]], actions=["a:b"])
        with self.assertRaises(policy_document.InvalidPolicy):
            rendered(mixed)

    def test_conditions_of_one_kind_are_joined_and_variables_are_written_as_aws_has_them(self) -> None:
        conditions = [
            {"test": "StringEquals", "variable": "aws:SourceAccount", "values": ["1"]},
            {"test": "StringEquals", "variable": "aws:PrincipalTag/x", "values": ["&{aws:username}", "y"]},
            {"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]},
        ]
        document = rendered(statement(actions=["a:b"], resources=["*"], condition=conditions))
        expected = {
            "StringEquals": {"aws:SourceAccount": "1", "aws:PrincipalTag/x": ["${aws:username}", "y"]},
            "Bool": {"aws:SecureTransport": "false"},
        }
        self.assertEqual(document["Statement"][0]["Condition"], expected)

    def test_documents_are_joined_and_overridden_by_name(self) -> None:
        base = policy_document.render({"statement": [statement(sid="A", actions=["a:1"]), statement(sid="B", actions=["b:1"])]})[
            "json"
        ]
        other = policy_document.render({"statement": [statement(sid="B", actions=["b:2"]), statement(actions=["c:1"])]})["json"]
        document = rendered(
            statement(sid="C", actions=["c:0"]), source_policy_documents=[base], override_policy_documents=[other]
        )
        actions = [(item.get("Sid"), item["Action"]) for item in document["Statement"]]
        self.assertEqual(actions, [("A", "a:1"), ("B", "b:2"), ("C", "c:0"), (None, "c:1")])
        with self.assertRaises(policy_document.InvalidPolicy):
            rendered(statement(sid="A", actions=["x:y"]), source_policy_documents=[base])
