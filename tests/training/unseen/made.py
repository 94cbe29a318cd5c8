"""Records that the tests of this room share."""

import numpy as np

from scar.records import Record

WORDS = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nrst"]


def sentence(random, words=30, vocabulary=WORDS):
    return " ".join(random.choice(vocabulary, words))


def records(n, seed=0, vocabulary=WORDS):
    """Give n records that have nothing to do with each other."""
    random = np.random.default_rng(seed)
    return [
        Record.plain(sentence(random, 12, vocabulary), sentence(random, 30, vocabulary)) for _ in range(n)
    ]
