"""Copies of the module, each broken in one way: exactly the check that is there for it must fail, and say why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import copies, policy, terraform_checks
from .outcome import Outcome


@dataclass(frozen=True)
class Break:
    """One way to break the module."""

    name: str
    #: The check that must fail: format, validate, test or policy.
    check: str
    #: Where: files of the module, and a regular expression of which the first match is replaced.
    files: str
    old: str
    new: str
    #: What the failing check must say.
    message: str
    #: The folder in which it is noticed, within the module.
    folder: str = "."

    def make(self, scratch: Path) -> Path:
        """A copy of the module that is broken so. A scan of policies looks at the module as it is, not at examples."""
        scratch.mkdir()
        without = ("examples", "tests") if self.check == "policy" else ()
        module = copies.copy_of_module(scratch, without)
        copies.change(module, self.files, self.old, self.new)
        return module


BREAKS = [
    Break("an unformatted file", "format", "variables.tf", r"\Z", "locals {\n  x=1\n}\n", "+  x = 1"),
    Break("an unformatted example", "format", "examples/minimal/main.tf", r"^  source +=", "  source  =", "main.tf"),
    Break(
        "a misspelt argument", "validate", "queues.tf", r"visibility_timeout_seconds", "visibilty_timeout_seconds",
        'An argument named "visibilty_timeout_seconds" is not expected here. Did you mean',
    ),
    Break(
        "a misspelt argument in a submodule", "validate", "modules/function/main.tf", r"memory_size ", "memory_siz ",
        'An argument named "memory_siz" is not expected here', "modules/function",
    ),
    Break(
        "a missing required argument", "validate", "modules/pipe/main.tf", r"^  role_arn +=[^\n]*\n", "",
        'The argument "role_arn" is required', "modules/pipe",
    ),
    Break(
        "a misspelt block", "validate", "ledger.tf", r"point_in_time_recovery \{", "point_in_time_recover {",
        'Blocks of type "point_in_time_recover" are not expected here',
    ),
    Break(
        "a block too many", "validate", "schedules.tf", r"( flexible_time_window \{.*?\n  \}\n)", r"\1\n \1",
        'No more than 1 "flexible_time_window" blocks are allowed',
    ),
    Break(
        "a missing required block", "validate", "schedules.tf", r"  flexible_time_window \{.*?\n  \}\n\n", "",
        'At least 1 "flexible_time_window" blocks are required',
    ),
    Break(
        "a value of the wrong type", "validate", "queues.tf", r"receive_wait_time_seconds( +)= \d+", r'receive_wait_time_seconds\1= "long"',
        "a number is required",
    ),
    Break(
        "a resource that does not exist", "validate", "queues.tf", r'resource "aws_sqs_queue_policy"', 'resource "aws_sqs_queue_polcy"',
        'does not support resource type "aws_sqs_queue_polcy"',
    ),
    Break(
        "an attribute that does not exist", "validate", "pipes.tf", r"\.stream_arn\n", ".streem_arn\n",
        'has no argument, nested block, or exported attribute named "streem_arn"',
    ),
    Break(
        "an attribute that only AWS decides", "validate", "modules/pipe/main.tf", r"^  role_arn ", '  arn = "mine"\n  role_arn ',
        'Can\'t configure a value for "arn"', "modules/pipe",
    ),
    Break(
        "an example that misspells an input", "validate", "examples/minimal/main.tf", r"config_file ", "config_fil ",
        'An argument named "config_fil" is not expected here', "examples/minimal",
    ),
    Break(
        "a test that expects something else", "test", "tests/*.tftest.hcl", r"(condition( +)= )[^\n]*==[^\n]*\n", r"\1false\n",
        "Test assertion failed",
    ),
    Break(
        "a doorbell queue that does not keep order per stream", "test", "queues.tf",
        r"(aws_sqs_queue\" \"doorbells\".*?)deduplication_scope( +)= \"messageGroup\"", r'\1deduplication_scope\2= "queue"', "Test assertion failed",
    ),
    Break(
        "a policy for all actions", "policy", "modules/function/main.tf", r"Action   = statement\.actions", 'Action   = "*"',
        "CKV_AWS_62",
    ),
    Break(
        "a policy for all resources", "policy", "modules/pipe/main.tf", r"Resource = \[var\.dead_letter_arn\]", 'Resource = "*"',
        "CKV_AWS_290",
    ),
    Break(
        "a queue that is not encrypted", "policy", "queues.tf", r"sqs_managed_sse_enabled( +)= true", r"sqs_managed_sse_enabled\1= false",
        "CKV_AWS_27",
    ),
    Break(
        "a bucket that may be made public", "policy", "claims.tf", r"block_public_policy( +)= true", r"block_public_policy\1= false",
        "CKV_AWS_54",
    ),
    Break(
        "a table without backups", "policy", "ledger.tf", r"(point_in_time_recovery \{\n    enabled = )true", r"\1false", "CKV_AWS_28",
    ),
    Break(
        "an exception without a reason", "policy", "claims.tf", r"\Z", "\n# checkov:skip=CKV_AWS_27\n",
        "the exception from CKV_AWS_27 gives no reason",
    ),
]  # fmt: skip


def caught(broken: Break, module: Path, environment: Mapping[str, str]) -> Outcome:
    """Whether Terraform's checks catch a broken copy: the one that is meant fails with the right message, and those before
    it pass."""
    folder = module / broken.folder
    steps = {
        "format": lambda: terraform_checks.formatted(module),
        "validate": lambda: terraform_checks.valid(folder, environment),
        "test": lambda: terraform_checks.tested(folder, environment),
    }
    for check, run in steps.items():
        outcome = run()
        if check == broken.check:
            return _expected(broken, outcome)
        if not outcome.passed:
            return Outcome(broken.name, False, f"`{check}` was not meant to fail, but says:\n{outcome.output}")
    raise AssertionError(f"{broken.check} is no check of Terraform's")


def caught_by_policy(broken: Break, scan: policy.Scan) -> Outcome:
    """Whether the security scan catches a broken copy, and finds nothing that the break does not explain."""
    return _expected(broken, scan.outcome())


def _expected(broken: Break, outcome: Outcome) -> Outcome:
    if outcome.passed:
        return Outcome(broken.name, False, f"`{broken.check}` did not notice:\n{outcome.output}")
    # Terraform breaks lines where its box ends.
    if broken.message not in " ".join(outcome.output.split()):
        return Outcome(broken.name, False, f"`{broken.check}` did not say {broken.message!r}, but:\n{outcome.output}")
    return Outcome(broken.name, True)
