"""Policies that allow too much are told."""

from __future__ import annotations

import unittest

from offline.checks import grants


class Grants(unittest.TestCase):
    def test_what_is_too_wide_is_told(self) -> None:
        queue = "arn:aws:sqs:eu-west-1:1:q"
        for statement, told in (
            ({"Action": ["sqs:SendMessage"], "Resource": [queue]}, ""),
            ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/c/*"}, ""),
            ({"Action": "sqs:*", "Resource": queue}, "wildcard action"),
            ({"Action": ["sqs:SendMessage"], "Resource": "*"}, "wildcard resource"),
            ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::*"}, "wildcard resource"),
            ({"Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:eu-west-1:1:*"}, "wildcard resource"),
            ({"Action": ["ec2:CreateNetworkInterface"], "Resource": "*"}, ""),
            ({"Action": ["ec2:CreateNetworkInterface", "sqs:SendMessage"], "Resource": "*"}, "wildcard resource"),
            ({"NotAction": "iam:PassRole", "Resource": queue}, "everything but"),
            ({"Action": "sqs:SendMessage", "Resource": queue, "Principal": "*"}, "everyone"),
            ({"Action": "sqs:SendMessage", "Resource": queue, "Principal": {"AWS": ["*"]}}, "everyone"),
            ({"Action": "sqs:SendMessage", "Resource": queue, "Principal": {"Service": "events.amazonaws.com"}}, ""),
        ):
            with self.subTest(statement=statement):
                problems = list(grants.problems({"Effect": "Allow", **statement}))
                self.assertEqual(len(problems), 1 if told else 0, problems)
                self.assertIn(told, "".join(problems))
        self.assertEqual(list(grants.problems({"Effect": "Deny", "Action": "*", "Resource": "*"})), [])
