"""What the stub provider plans, settles and refuses."""

from __future__ import annotations

import os
import unittest
from pathlib import Path

from offline import schema
from offline.emulator import Emulator
from offline.emulator.kind import ApiKind
from offline.errors import Failure
from offline.provider import data_sources, plan, rendered, values

FOLDER = Path(os.environ["TERRAFORM_SCHEMA_FOLDER"])
SETTINGS = {"region": "eu-west-1", "default_tags": {"team": "a", "stage": "test"}}
QUEUE = schema.load(FOLDER, ["aws_sqs_queue"])["resources"]["aws_sqs_queue"]


def queue(**given: object) -> dict:
    return values.complete(QUEUE, dict(given))


class Plans(unittest.TestCase):
    def test_what_aws_decides_is_unknown_and_the_rest_is_as_configured(self) -> None:
        config = queue(name="q", tags={"team": "b"})
        planned = plan.plan_creation(QUEUE, config, config, SETTINGS)
        self.assertTrue(values.is_unknown(planned["arn"]))
        self.assertEqual((planned["name"], planned["delay_seconds"], planned["region"]), ("q", None, "eu-west-1"))
        self.assertEqual(planned["tags_all"], {"team": "b", "stage": "test"})

    def test_nothing_is_planned_where_nothing_changed(self) -> None:
        prior = queue(name="q", arn="a", region="eu-west-1", tags_all=SETTINGS["default_tags"])
        self.assertEqual(plan.plan_update(QUEUE, queue(name="q"), prior, dict(prior), SETTINGS, frozenset()), prior)

    def test_an_update_makes_only_what_is_volatile_unknown(self) -> None:
        prior = queue(name="q", arn="a", url="u", region="eu-west-1", tags_all=SETTINGS["default_tags"])
        proposed = {**prior, "delay_seconds": 5}
        planned = plan.plan_update(QUEUE, queue(name="q", delay_seconds=5), prior, proposed, SETTINGS, frozenset({"url"}))
        self.assertEqual((planned["arn"], values.is_unknown(planned["url"])), ("a", True))
        self.assertEqual(plan.replacements(prior, planned, frozenset({"name", "delay_seconds"})), ["delay_seconds"])

    def test_what_only_aws_decides_cannot_be_set(self) -> None:
        self.assertEqual(values.unsettable(QUEUE, queue(name="q", arn="mine")), ["arn"])
        self.assertEqual(values.unsettable(QUEUE, queue(name="q", policy="{}")), [])


class Rendering(unittest.TestCase):
    def test_names_become_what_aws_makes_of_them(self) -> None:
        planned = plan.plan_creation(QUEUE, queue(name="q.fifo"), queue(name="q.fifo"), SETTINGS)
        state = rendered.render("aws_sqs_queue", QUEUE, planned)
        self.assertEqual(state["arn"], "arn:aws:sqs:eu-west-1:000000000000:q.fifo")
        self.assertEqual(state["url"], "https://sqs.eu-west-1.amazonaws.com/000000000000/q.fifo")
        self.assertIsNone(state["policy"])
        self.assertFalse(values.has_unknown(state))


class Refusals(unittest.TestCase):
    def test_a_data_source_without_a_value_is_named(self) -> None:
        with self.assertRaisesRegex(Failure, "aws_vpc has no value"):
            data_sources.read("aws_vpc", {}, SETTINGS, None)

    def test_a_type_that_nobody_taught_the_emulator_is_named(self) -> None:
        emulator = Emulator("http://127.0.0.1:1", schema.load(FOLDER, ["aws_glue_job", "aws_pipes_pipe"]))
        with self.assertRaisesRegex(Failure, "aws_glue_job"):
            emulator.kind("aws_glue_job")

    def test_an_argument_that_no_call_takes_is_named_and_nothing_is_made(self) -> None:
        all_ = schema.load(FOLDER, ["aws_cloudwatch_event_bus"])
        kind = Emulator("http://127.0.0.1:1", all_).kind("aws_cloudwatch_event_bus")
        assert isinstance(kind, ApiKind)
        kind.block["attributes"]["novelty"] = {"type": "string", "required": False, "optional": True, "computed": False}
        # Nothing listens there: a call would fail in another way.
        with self.assertRaisesRegex(Failure, "does not know the argument novelty"):
            kind.create({"name": "b", "description": "d", "novelty": "x"})

    def test_what_no_update_takes_forces_a_replacement(self) -> None:
        emulator = Emulator("http://127.0.0.1:1", schema.load(FOLDER, ["aws_pipes_pipe"]))
        forcing = emulator.kind("aws_pipes_pipe").forcing
        self.assertLessEqual({"name", "source"}, forcing)
        self.assertNotIn("target", forcing)
