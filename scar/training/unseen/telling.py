"""Which n-grams tell seen rows from candidates: TF-IDF and logistic regression, a baseline that one can read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from scar.training.unseen.folds import Seen
from scar.training.unseen.verdict import fold_aucs

MOST_ROWS = 20_000
MOST_CHARACTERS = 4_000
"""Of one text: the head of a book tells enough."""
LEAST_ROWS = 5
"""An n-gram in fewer rows explains nothing."""
TOP = 15

Kind = Literal["characters", "words"]


@dataclass(frozen=True)
class Ngram:
    """One n-gram, its weight (above 0: speaks for seen), and the shares of seen rows and candidates that hold it."""

    text: str
    """Escaped: a terminal shows it as it is. A run of characters that starts or ends a word has a space there."""
    kind: Kind
    weight: float
    seen_share: float
    pool_share: float


@dataclass(frozen=True)
class Telling:
    """The n-grams that speak most for seen and for candidates, strongest first."""

    seen: tuple[Ngram, ...]
    pool: tuple[Ngram, ...]
    tfidf_auc: float
    """Mean of the AUCs out of fold of the model that gave them."""
    rows: int
    """How many rows it was fitted on."""


def telling_ngrams(
    texts: Sequence[str], seen: Seen, fold: NDArray[np.int16], *, seed: int = 0
) -> Telling | None:
    """Find the most telling n-grams; None where no n-gram stands in enough rows."""
    rows = _sample(seen, fold, seed)
    seen, fold = seen[rows], fold[rows]
    names, kinds, columns = _count([texts[row][:MOST_CHARACTERS] for row in rows.tolist()])
    if not len(names):
        return None
    scores = np.empty(len(rows))
    for number in np.unique(fold):
        held_out = fold == number
        scores[held_out] = (
            _model().fit(columns[~held_out], seen[~held_out]).decision_function(columns[held_out])
        )
    weights = _model().fit(columns, seen).coef_[0]
    shares = [columns[side].getnnz(axis=0) / side.sum() for side in (seen, ~seen)]
    order = np.argsort(weights, kind="stable")

    def told(place: int) -> Ngram:
        figures = (float(weights[place]), float(shares[0][place]), float(shares[1][place]))
        return Ngram(escaped(names[place]), kinds[place], *figures)

    return Telling(
        tuple(told(place) for place in order[::-1][:TOP] if weights[place] > 0),
        tuple(told(place) for place in order[:TOP] if weights[place] < 0),
        float(np.mean(fold_aucs(scores, seen, fold))),
        len(rows),
    )


def _sample(seen: Seen, fold: NDArray[np.int16], seed: int) -> NDArray[np.int64]:
    """Draw some MOST_ROWS rows, in order: all of the rarer side or half of them, of both sides some in every fold."""
    if len(seen) <= MOST_ROWS:
        return np.arange(len(seen))
    random, kept = np.random.default_rng(seed), []
    for side in (seen, ~seen):
        n = int(side.sum())
        share = min(1.0, max(MOST_ROWS // 2, MOST_ROWS - (len(seen) - n)) / n)
        for number in np.unique(fold):
            rows = np.flatnonzero(side & (fold == number))
            kept.append(random.choice(rows, math.ceil(share * len(rows)), replace=False))
    return np.sort(np.concatenate(kept))


def _model() -> LogisticRegression:
    return LogisticRegression(solver="liblinear", class_weight="balanced")


def _count(texts: Sequence[str]) -> tuple[list[str], list[Kind], Any]:
    """Give the n-grams, their kinds, and their TF-IDF values (rows, n-grams)."""
    vectorisers: dict[Kind, TfidfVectorizer] = {
        "characters": TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=LEAST_ROWS, dtype=np.float32
        ),
        # Words of one character too: "I", and Chinese.
        "words": TfidfVectorizer(
            token_pattern=r"(?u)\b\w+\b",
            ngram_range=(1, 2),
            sublinear_tf=True,
            min_df=LEAST_ROWS,
            dtype=np.float32,
        ),
    }
    names: list[str] = []
    kinds: list[Kind] = []
    parts = [csr_matrix((len(texts), 0), dtype=np.float32)]
    for kind, vectoriser in vectorisers.items():
        try:
            parts.append(vectoriser.fit_transform(texts))
        except ValueError:  # sklearn's word for "no n-gram in so many rows"
            continue
        found = vectoriser.get_feature_names_out().tolist()
        names += found
        kinds += [kind] * len(found)
    return names, kinds, hstack(parts).tocsr()


def escaped(text: str) -> str:
    """Give a text with what a terminal would act on, or not show, written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
