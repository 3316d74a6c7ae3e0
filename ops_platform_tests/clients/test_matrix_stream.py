"""Answers of Prometheus in pieces: the same series wherever they are cut, and no answer that is none."""

from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.clients import matrix_stream

SERIES: list[dict[str, Any]] = [
    {"metric": {"a": '],"}"resultType":"matrix","result":[', "é": "\\"}, "values": [[1.5, "2"], [2, "+Inf"]]},
    {"metric": {}, "values": []},
    {"metric": {"b": "1"}, "values": [[1763986212.123, "9007199254740992"]]},
]
BODY = {"status": "success", "data": {"resultType": "matrix", "result": SERIES}, "warnings": ["partial"]}


@given(st.lists(st.integers(0, 400), max_size=9), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_pieces_give_what_the_whole_holds(cuts: list[int], separators: tuple[str, str]) -> None:
    text = json.dumps(BODY, separators=separators, ensure_ascii=False)
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[low:high] for low, high in itertools.pairwise(edges)]
    body, series = matrix_stream.parse(pieces)
    assert (body["status"], body["warnings"]) == ("success", ["partial"])
    assert [labels for labels, _ in series] == [each["metric"] for each in SERIES]
    assert [samples.tolist() for _, samples in series] == [
        [[1.5, 2.0], [2.0, math.inf]], [], [[1763986212.123, 2.0**53]],
    ]  # fmt: skip


def test_native_histograms_are_samples_that_are_no_numbers() -> None:
    """Prometheus lists them beside the numbers, also in a series that has had both."""
    histogram = {"count": "3", "sum": "1.5", "buckets": [[0, "0.5", "1", "3"]]}
    result = [
        {"metric": {"n": "only"}, "histograms": [[1, histogram], [2, histogram]]},
        {"metric": {"n": "both"}, "values": [[1, "7"], [3, "8"]], "histograms": [[2, histogram]]},
    ]
    text = json.dumps({"data": {"resultType": "matrix", "result": result}}, separators=(",", ":"))
    _, [(_, only), (_, both)] = matrix_stream.parse([text])
    assert (only[:, 0].tolist(), both[:, 0].tolist()) == ([1, 2], [1, 2, 3])
    assert np.isnan(only[:, 1]).all()
    assert [math.isnan(value) for value in both[:, 1]] == [False, True, False]


@pytest.mark.parametrize("cut", [5, 60, 70, 150, -1])
def test_a_part_of_an_answer_is_none(cut: int) -> None:
    text = json.dumps(BODY, separators=(",", ":"))
    with pytest.raises(ValueError, match=r"."):
        matrix_stream.parse([text[:cut]])


def test_other_answers_stay_as_they_are() -> None:
    bodies: tuple[Any, ...] = (
        {"status": "error"},
        {"data": {"resultType": "vector", "result": [1]}},
        [],
        None,
        "x",
    )
    for body in bodies:
        assert matrix_stream.parse([json.dumps(body)]) == (body, [])


def test_many_samples_take_little_more_than_their_numbers() -> None:
    """Of 100 series of 240 samples each: 16 bytes a sample are 0.4 MB, Python's objects would be 4 MB."""
    values = [[1763986212 + 15 * number, str(number)] for number in range(240)]

    def pieces() -> Iterator[str]:
        yield '{"status":"success","data":{"resultType":"matrix","result":['
        for number in range(100):
            text = json.dumps({"metric": {"n": str(number)}, "values": values}, separators=(",", ":"))
            yield ("," if number else "") + text
        yield "]}}"

    tracemalloc.start()
    try:
        _, series = matrix_stream.parse(pieces())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(series) == 100
    assert peak < 700_000
