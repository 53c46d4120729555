"""Copies of the module, each broken in one way: exactly the check that is there for it must fail, and say why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import Failure
from . import applied, copies, grants, policy, terraform_checks
from .outcome import Outcome


@dataclass(frozen=True)
class Break:
    """One way to break the module."""

    name: str
    #: The check that must fail: format, validate, test, grants, apply or policy.
    check: str
    #: Where: files of the module, and a regular expression of which the first match is replaced.
    files: str
    old: str
    new: str
    #: What the failing check must say.
    message: str
    #: The folder in which it is noticed, within the module.
    folder: str = "."
    #: Which tests are run for it.
    tests: tuple[str, ...] = ()

    def make(self, scratch: Path) -> Path:
        """A copy of the module that is broken so. A scan of policies looks at the module as it is, not at examples."""
        without = ("examples", "tests") if self.check == "policy" else ()
        module = copies.copy_of_module(scratch, without)
        copies.change(module, self.files, self.old, self.new)
        if self.check != "format":
            terraform_checks.reformat(module)
        return module


BREAKS = [
    Break("an unformatted file", "format", "variables.tf", r"\Z", "locals {\n  x=1\n}\n", "+ x = 1"),
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
        "a block too many", "validate", "schedules.tf", r"(  flexible_time_window \{.*?\n  \}\n)", r"\1\n\1",
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
        "a test that expects something else", "test", "tests/minimal.tftest.hcl", r'(ledger\.name == )"cloakroom-ledger"', r'\1"another"', "Test assertion failed",
        tests=("tests/minimal.tftest.hcl",),
    ),
    Break(
        "a doorbell queue that does not keep order per stream", "test", "queues.tf",
        r"(aws_sqs_queue\" \"doorbells\".*?)deduplication_scope( +)= \"messageGroup\"", r'\1deduplication_scope\2= "queue"', "Test assertion failed",
        tests=("tests/minimal.tftest.hcl",),
    ),
    Break(
        "a function that may do everything", "grants", "modules/function/main.tf", r"Action   = statement\.actions", 'Action   = "*"',
        "allows the wildcard action *", "examples/minimal",
    ),
    Break(
        "a function that may do one thing with everything", "grants", "functions.tf", r"(doorbells = \{.*?resources = )\[[^\]]*\]", r'\1["*"]',
        "Doorbells allows sqs:SendMessage on the wildcard resource *", "examples/minimal",
    ),
    Break(
        "a pipe that may call every function", "grants", "modules/pipe/main.tf", r"Resource = \[var\.function_arn\]", 'Resource = "*"',
        "CallTheFunction allows lambda:InvokeFunction on the wildcard resource *", "examples/minimal",
    ),
    Break(
        "a scheduler that may do everything", "policy", "schedules.tf", r'Action   = \["lambda:InvokeFunction"\]', 'Action   = "*"',
        "CKV_AWS_63",
    ),
    Break(
        "a deployment that is never finished", "apply", "schedules.tf", r'(description +=) [^\n"]*\n', r'\1 timestamp()\n',
        "apply: plan after apply: nothing may be left to do", "examples/minimal",
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


def caught(broken: Break, scratch: Path, environment: Mapping[str, str]) -> Outcome:
    """Whether the checks catch a broken copy: the one that is meant fails with the right message, and what Terraform itself
    sees before it is fine."""
    try:
        module = broken.make(scratch)
    except Failure as failure:
        return Outcome(broken.name, False, str(failure))
    folder = module / broken.folder
    if broken.check == "format":
        return _expected(broken, terraform_checks.formatted(module))
    valid = terraform_checks.valid(folder, environment)
    if broken.check == "validate":
        return _expected(broken, valid)
    if not valid.passed:
        return Outcome(broken.name, False, f"`validate` was not meant to fail, but says:\n{valid.output}")
    if broken.check == "test":
        return _expected(broken, terraform_checks.tested(folder, environment, broken.tests))
    if broken.check == "grants":
        return _expected(broken, grants.narrow(folder, environment))
    done = applied.minimal(folder, scratch / "applied")
    return _expected(broken, Outcome(done.name, done.passed, f"{done.name}: {done.output}"))


def caught_by_policy(broken: Break, scan: policy.Scan) -> Outcome:
    """Whether the security scan catches a broken copy: `scan` is what it found beyond the findings in the module itself."""
    return _expected(broken, scan.outcome())


def _expected(broken: Break, outcome: Outcome) -> Outcome:
    if outcome.passed:
        return Outcome(broken.name, False, f"`{broken.check}` did not notice:\n{outcome.output}")
    # Terraform breaks lines where its box ends.
    if broken.message not in " ".join(outcome.output.split()):
        return Outcome(broken.name, False, f"`{broken.check}` did not say {broken.message!r}, but:\n{outcome.output}")
    return Outcome(broken.name, True)
