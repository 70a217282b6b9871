"""Every number of a report arrives in its JSON under its own name."""

import itertools
import json
import math
from dataclasses import fields, replace

import pytest

from recipe_helpers.recipe.accuracy import OutputComparison, TensorComparison
from recipe_helpers.your_model import report
from recipe_helpers.your_model.as_data import FORMAT, VERSION, as_dict

from .made_up import filled, filled_findings

# Where a key of the JSON does not simply name the attribute of what it belongs to.
PLACES = {
    "reference_median_us": "reference.median_us",
    "reference_quartiles_us": "reference.quartiles_us",
    "candidate_median_us": "candidate.median_us",
    "candidate_quartiles_us": "candidate.quartiles_us",
    "by_module": None,  # of the conversion, not of its size
}


@pytest.fixture(scope="module")
def found():
    return filled_findings()


def pairs(data, source, path=""):
    """Each leaf of the JSON beside what it should be: the same path through the report."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in ("format", "version"):
                continue
            inner = source
            for name in (PLACES.get(key, key) or key).split("."):
                inner = getattr(inner, name)
            yield from pairs(value, inner, f"{path}.{key}")
    elif isinstance(data, list):
        assert len(data) == len(source), path
        for place, (value, inner) in enumerate(zip(data, source, strict=True)):
            yield from pairs(value, inner, f"{path}[{place}]")
    else:
        yield path, data, source


class WithPlaces:
    """A measured conversion as the JSON lays it out: bytes by module beside the size."""

    def __init__(self, measured):
        self._measured = measured
        self.size = type("Size", (), {})()
        for name in ("reference_bytes", "candidate_bytes", "ratio", "reference", "candidate"):
            setattr(self.size, name, getattr(measured.size, name))
        self.size.by_module = measured.modules
        self.outputs = [comparison.tensors for comparison in measured.outputs]

    def __getattr__(self, name):
        return getattr(self._measured, name)


def laid_out(found):
    def placed(candidate):
        return replace(
            candidate, whole=WithPlaces(candidate.whole), partly=WithPlaces(candidate.partly)
        )

    return replace(found, candidates=tuple(map(placed, found.candidates)))


def test_every_leaf_is_the_number_that_its_name_says(found):
    leaves = list(pairs(as_dict(found), laid_out(found)))
    assert len(leaves) > 500
    assert [(path, data) for path, data, source in leaves if data != source] == []


def test_the_numbers_are_all_different_so_that_none_can_stand_for_another(found):
    """Else the test above could not tell FP32's quartiles from INT8's."""
    latency = as_dict(found)["candidates"][0]["whole"]["latencies"][0]
    numbers = [
        latency["reference_median_us"], *latency["reference_quartiles_us"],
        latency["candidate_median_us"], *latency["candidate_quartiles_us"],
        *latency["speedup"].values(), *latency["control"].values(),
    ]  # fmt: skip
    # A median of made-up rounds may equal a quartile of none but its own.
    assert len(set(numbers)) == len(numbers)


def test_nothing_of_the_report_is_missing(found):
    data = as_dict(found)
    assert (data["format"], data["version"]) == (FORMAT, VERSION)
    assert {field.name for field in fields(found)} <= set(data)
    outputs = data["candidates"][0]["whole"]["outputs"][0][0]
    assert {field.name for field in fields(TensorComparison)} <= set(outputs)
    one = found.candidates[0]
    assert {field.name for field in fields(one)} == set(data["candidates"][0])
    assert {field.name for field in fields(one.whole)} - {"modules"} <= set(
        data["candidates"][0]["whole"]
    )


def test_what_json_cannot_hold_is_null():
    tensor = replace(filled(TensorComparison, itertools.count(1)), sqnr_db=math.inf)
    found = filled_findings()
    whole = replace(
        found.candidates[0].whole,
        relative=math.nan,
        outputs=(replace(filled(OutputComparison, itertools.count(9)), tensors=(tensor,)),),
    )
    spoiled = replace(found, candidates=(replace(found.candidates[0], whole=whole),))
    data = json.loads(report.Report.to_json(report.Report(**vars(spoiled))))
    measured = data["candidates"][0]["whole"]
    assert measured["relative"] is None
    assert measured["outputs"][0][0]["sqnr_db"] is None
    assert measured["outputs"][0][0]["cosine"] == tensor.cosine
