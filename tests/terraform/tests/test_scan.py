"""The security scan's exceptions must give a reason."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from offline.checks import policy


class Exceptions(unittest.TestCase):
    def test_only_those_without_a_reason_are_told(self) -> None:
        for comment, told in (
            ("#checkov:skip=CKV_AWS_1:nothing secret passes through it", False),
            ("# checkov:skip=CKV_AWS_1: nothing secret passes through it", False),
            ("# checkov:skip=CKV_AWS_1", True),
            ("# checkov:skip=CKV_AWS_1:", True),
            ("# checkov:skip=CKV_AWS_1: n/a", True),
        ):
            with self.subTest(comment=comment), tempfile.TemporaryDirectory() as folder:
                Path(folder, "main.tf").write_text(f'resource "aws_sqs_queue" "q" {{\n  {comment}\n  name = "q"\n}}\n')
                self.assertEqual(bool(policy.unexplained(Path(folder))), told)

    def test_a_scan_that_looked_at_nothing_has_failed(self) -> None:
        self.assertFalse(policy.Scan().outcome().passed)
        self.assertTrue(policy.Scan(passed=1).outcome().passed)
        self.assertFalse(policy.Scan(passed=1, failed=["CKV_AWS_1"]).outcome().passed)
