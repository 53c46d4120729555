"""Between Terraform's values and the API's, both ways."""

from __future__ import annotations

import unittest

import boto3

from offline.emulator import shapes
from offline.errors import Failure

STRING = {"type": "string", "required": False, "optional": True, "computed": False}
NUMBER = {**STRING, "type": "number"}


def shape(service: str, operation: str) -> object:
    client = boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    return client.meta.service_model.operation_model(operation).input_shape


def nested(nesting: str, **attributes: dict) -> dict:
    return {"nesting": nesting, "min_items": 0, "max_items": 0, "block": {"attributes": attributes, "blocks": {}}}


class ToTheApi(unittest.TestCase):
    def test_names_blocks_and_numbers_are_the_apis(self) -> None:
        value = {
            "name": "p",
            "source_parameters": [
                {"filter_criteria": [{"filter": [{"pattern": "{}"}]}], "dynamodb_stream_parameters": [{"batch_size": 5.0}]}
            ],
        }
        taken, left = shapes.parameters(shape("pipes", "CreatePipe"), value, {})
        parameters = {"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}, "DynamoDBStreamParameters": {"BatchSize": 5}}
        self.assertEqual((taken, left), ({"Name": "p", "SourceParameters": parameters}, set()))

    def test_a_map_becomes_the_apis_list(self) -> None:
        taken, _ = shapes.parameters(shape("cloudwatch", "PutMetricAlarm"), {"dimensions": {"b": "2", "a": "1"}}, {})
        self.assertEqual(taken, {"Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]})

    def test_what_the_api_does_not_take_is_told(self) -> None:
        pipe = shape("pipes", "CreatePipe")
        self.assertEqual(shapes.parameters(pipe, {"nonsense": "x", "kept": None}, {})[1], {"nonsense"})
        with self.assertRaisesRegex(Failure, "nonsense in `source_parameters`"):
            shapes.parameters(pipe, {"source_parameters": [{"nonsense": "x"}]}, {})

    def test_a_name_counts_where_it_is_meant(self) -> None:
        renamed = {
            "name": "filterName",
            "metric_transformation": "metricTransformations",
            "metric_transformation.name": "metricName",
        }
        taken, _ = shapes.parameters(
            shape("logs", "PutMetricFilter"), {"name": "f", "metric_transformation": [{"name": "m"}]}, renamed
        )
        self.assertEqual(taken, {"filterName": "f", "metricTransformations": [{"metricName": "m"}]})


class FromTheApi(unittest.TestCase):
    def test_what_was_asked_for_is_told_and_what_was_not_is_left(self) -> None:
        block = {"attributes": {"name": STRING, "size": NUMBER}, "blocks": {}}
        self.assertEqual(
            shapes.observed(block, {"name": "a", "size": None}, {"Name": "b", "Size": 3}, {}), {"name": "b", "size": None}
        )

    def test_a_changed_block_is_noticed(self) -> None:
        block = {"attributes": {}, "blocks": {"rule": nested("list", days=NUMBER, id=STRING)}}
        state = {"rule": [{"days": 1, "id": None}]}
        self.assertEqual(shapes.observed(block, state, {"Rules": [{"Days": 2}]}, {}), {"rule": [{"days": 2, "id": None}]})
        self.assertEqual(shapes.observed(block, state, {"Rules": []}, {}), {"rule": []})
        more = shapes.observed(block, state, {"Rules": [{"Days": 1}, {"Days": 5, "Id": "x"}]}, {})
        self.assertEqual(more["rule"][1], {"days": 5, "id": "x"})

    def test_the_order_of_a_set_does_not_matter(self) -> None:
        block = {"attributes": {}, "blocks": {"rule": nested("set", days=NUMBER)}}
        state = {"rule": [{"days": 1}, {"days": 2}]}
        told = shapes.observed(block, state, {"Rules": [{"Days": 2}, {"Days": 1}]}, {})
        self.assertEqual(sorted(item["days"] for item in told["rule"]), [1, 2])

    def test_a_document_that_means_the_same_stays_as_it_was_written(self) -> None:
        block = {"attributes": {"policy": STRING}, "blocks": {}}
        state = {"policy": '{ "b": 1, "a": [2] }'}
        self.assertEqual(shapes.observed(block, state, {"Policy": {"a": [2], "b": 1}}, {}), state)
        self.assertEqual(shapes.observed(block, state, {"Policy": '{"a":[3],"b":1}'}, {}), {"policy": '{"a":[3],"b":1}'})
