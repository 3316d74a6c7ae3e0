"""The raw samples in an answer of Prometheus, read as it arrives: an array for each series.

As Python objects a sample takes 170 bytes, as a row of an array 16; the text is never held as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BEGIN = '"resultType":"matrix","result":['
"""No text in an answer can hold it: there a quote has a backslash before it."""
_DECODER = json.JSONDecoder()


def parse(pieces: Iterable[str]) -> tuple[Any, list[tuple[Mapping[str, str], NDArray[np.float64]]]]:
    """Read the answer to a query, in pieces of text.

    Returns its body, in which the list of a matrix may be empty, and of a matrix the labels of each series
    with its samples: rows of Unix seconds and value, NaN for a native histogram. Raises ValueError for what
    is no JSON.
    """
    rest = iter(pieces)
    text = ""
    for piece in rest:
        text += piece
        begin = text.find(_BEGIN)
        if begin >= 0:
            break
    else:
        # Of another form, or another kind of answer.
        body = json.loads(text)
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict) or data.get("resultType") != "matrix":
            return body, []
        return body, [(item["metric"], _samples(item)) for item in data["result"]]
    head, text = text[: begin + len(_BEGIN)], text[begin + len(_BEGIN) :]
    items = _Items(text, rest)
    series = [(item["metric"], _samples(item)) for item in items]
    return json.loads(head + items.tail()), series


class _Items:
    """The items of a JSON list whose bracket was read already; ``tail`` is what follows them."""

    def __init__(self, text: str, pieces: Iterator[str]) -> None:
        self._text = text
        self._pieces = pieces

    def __iter__(self) -> Iterator[Any]:
        position = 0
        while True:
            position = self._skipped(position, " \t\r\n,")
            if position < len(self._text) and self._text[position] == "]":
                self._text = self._text[position:]
                return
            try:
                item, position = _DECODER.raw_decode(self._text, position)
            except json.JSONDecodeError:
                piece = next(self._pieces, None)
                if piece is None:
                    raise
                self._text, position = self._text[position:] + piece, 0
            else:
                yield item

    def tail(self) -> str:
        return self._text + "".join(self._pieces)

    def _skipped(self, position: int, characters: str) -> int:
        while position < len(self._text) and self._text[position] in characters:
            position += 1
        return position


def _samples(item: Mapping[str, Any]) -> NDArray[np.float64]:
    """Read the samples of a series; a native histogram is no number, and must not pass for no sample."""
    import numpy as np  # with the first samples: whoever asks for one value does without

    pairs, histograms = item.get("values", ()), item.get("histograms", ())
    samples = np.full((len(pairs) + len(histograms), 2), np.nan)
    samples[: len(pairs), 0] = [pair[0] for pair in pairs]
    samples[: len(pairs), 1] = [float(pair[1]) for pair in pairs]
    if histograms:
        samples[len(pairs) :, 0] = [pair[0] for pair in histograms]
        samples = samples[np.argsort(samples[:, 0], kind="stable")]
    return samples
