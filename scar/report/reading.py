"""Turn the texts that are read again into what is remembered of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scar.records import Record, instruction_key, normalised
from scar.report.clusters import telling
from scar.report.facts import Facts, Records
from scar.report.texts import texts_of
from scar.report.twins import Written
from scar.selection.style_spread import Spread, spread, style


@dataclass
class Texts:
    """What is remembered of the texts that were read: numbers of each, and those that are shown."""

    written: dict[int, Written] = field(default_factory=dict)
    words: dict[int, list[str]] = field(default_factory=dict)
    """Of the pool's sample."""
    shown: dict[int, Record] = field(default_factory=dict)

    def spread(self, some: NDArray[np.int64]) -> Mapping[str, Spread]:
        """Give the spread of style over some of them."""
        return spread(self.written[number].style for number in some.tolist())


def read_texts(
    facts: Facts,
    records: Records,
    wanted: NDArray[np.int64],
    pool: NDArray[np.int64],
    shown: NDArray[np.int64],
) -> Texts:
    """Read the wanted records once: words of the pool's sample, and the texts of those that are shown."""
    if not len(wanted):
        return Texts()
    read, of_pool, held = Texts(), set(pool.tolist()), set(shown.tolist())
    for number, record in texts_of(facts, facts.pool(), records, wanted):
        asked = instruction_key(record)
        same = hash((asked, normalised(record.response)))
        read.written[number] = Written(style(record.response), same, hash(asked))
        if number in of_pool:
            read.words[number] = telling(
                f"{record.turns[-1].text if record.turns else ''}\n{record.response}"
            )
        if number in held:
            read.shown[number] = record
    return read
