"""Embedder: records in, embeddings of length 1 out, in input order. Knows no files but the bundle of an encoder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.bundle import ENCODER, Bundle
from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError
from scar.records import Record
from scar.serving.canaries import Canaries
from scar.serving.choice import Choice, choose
from scar.serving.engines import Batch
from scar.serving.models import Model
from scar.serving.opened import Opened
from scar.serving.rows import RecordLike, record_of
from scar.serving.trusted import refuse_constant, run_again
from scar.serving.vectors import shaped, unit
from scar.settings import Scoring


class Embedder:
    """An encoder ready to embed. Make one with `Embedder.load`."""

    def __init__(self, bundle: Bundle, choice: Choice, opened: Opened) -> None:
        self.bundle = bundle
        self.choice = choice
        self.encoder: PairEncoder = opened.encoder
        self.scoring = opened.scoring
        self.files: Mapping[str, str] = opened.files
        self.model: Model = opened.model
        self._canaries: Canaries = opened.canaries

    @classmethod
    def load(cls, path: str | Path, scoring: Scoring | None = None) -> "Embedder":
        """Open the bundle of an encoder, which `scar export --encoder NAME --out B` makes.

        Raises InputError where it is damaged, not exported or a ranker, RunError where its engine fails.
        """
        return cls.of_bundle(open_encoder(path), scoring or Scoring())

    @classmethod
    def of_bundle(cls, bundle: Bundle, scoring: Scoring) -> "Embedder":
        """Load the graph of an open bundle; what was asked for of precision and graph is meant for rankers."""
        scoring = of_an_encoder(scoring)
        return cls.chosen(bundle, choose(bundle, scoring), scoring)

    @classmethod
    def chosen(cls, bundle: Bundle, choice: Choice, scoring: Scoring) -> "Embedder":
        """Load the graph that was chosen."""
        return cls(bundle, choice, Opened.of(bundle, choice, of_an_encoder(scoring)))

    @property
    def name(self) -> str:
        """The encoder's name."""
        return self.bundle.name

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return self.bundle.width

    def embed(self, rows: Iterable[RecordLike]) -> NDArray[np.float32]:
        """Embed records or plain rows: shape (n, width), each of length 1, in input order.

        A row that cannot be read, or whose embedding has no direction, is NaN everywhere.
        """
        items = [record_of(row, number) for number, row in enumerate(rows)]
        good = [number for number, item in enumerate(items) if isinstance(item, Record)]
        out = np.full((len(items), self.width), np.nan, dtype=np.float32)
        out[good] = self.embed_pairs(self.encode([item for item in items if isinstance(item, Record)]))
        return out

    def encode(self, records: Sequence[Record]) -> Pairs:
        """Tokenise records, each whole: the turns before the response and the response are one text."""
        return self.encoder.encode((record.turns, record.response) for record in records)

    def embed_pairs(self, pairs: Pairs, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Embed tokenised records, (n, width); one that has no direction is run once more, alone, where these are few.

        Raises RunError where the engine gives others than asked for, or one and the same for records that differ.
        """
        vectors = shaped(unit(self.model.score(pairs, on_batch)), len(pairs), self.width)
        run_again(vectors, lambda number: unit(self.model.score(pairs.take(np.asarray([number]))))[0])
        refuse_constant(vectors, pairs, "embedding")
        return vectors

    def check(self) -> None:
        """Run a few known texts. Raises RunError where the engine does not give the embeddings of before."""
        self._canaries.check(self.model)


def open_encoder(path: str | Path) -> Bundle:
    """Open a bundle of kind `encoder`; InputError where it is a ranker's."""
    bundle = Bundle.open(path)
    if bundle.kind != ENCODER:
        raise InputError(
            f"{bundle.path}: a {bundle.kind} ranker, no encoder: `scar export --encoder NAME --out B` makes one, "
            "and --embeddings without a value takes the first ranker's own"
        )
    return bundle


def of_an_encoder(scoring: Scoring) -> Scoring:
    """Give the settings of an encoder beside rankers: precision and graph are its own, as no ranking judges them."""
    return replace(scoring, precision="auto", graph="auto")
