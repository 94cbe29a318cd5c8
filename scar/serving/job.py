"""What a run is asked to do, and all that its scores depend on. Knows no run folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from scar.bundle import Bundle
from scar.errors import InputError
from scar.pools import Place, PoolFile, RowReader, cut, find, recorded
from scar.runs import EMBEDDINGS, Plan
from scar.serving.choice import Choice
from scar.serving.crew import Crew
from scar.serving.embedder import Embedder, of_an_encoder, open_encoder
from scar.serving.engines import versions
from scar.serving.opened import Settled
from scar.serving.rankers import Rankers, check_carried, open_bundles
from scar.serving.scorer import Scorer
from scar.serving.workers import Specs, share_out
from scar.settings import Reading, Scoring

Model = Scorer | Embedder | Settled
RANKERS = "rankers"
"""Field of the fingerprint; a training's run lacks it."""


@dataclass(frozen=True)
class Job:
    """A pool that was found, its layouts told, and bundles that were verified; models are loaded when needed."""

    files: Sequence[PoolFile]
    pool: tuple[str, ...]
    """The pool argument, as a plan keeps it."""
    reader: RowReader
    bundles: Sequence[Bundle]
    scoring: Scoring
    stamps: Mapping[str, str]
    """How the pool's files looked before anything of them was read, by name."""
    choices: Sequence[Choice] = ()
    """What the rankers, then the encoder, run on, where another process has chosen; else it is chosen here."""
    encoder: Bundle | None = None
    """What embeds beside the rankers, where a bundle was named for it."""

    @classmethod
    def of(
        cls,
        pool: Place | Sequence[Place],
        ranker: Rankers,
        reading: Reading | None = None,
        scoring: Scoring | None = None,
        choices: Sequence[Choice] = (),
    ) -> "Job":
        """Look at all that is named. Raises InputError where something is not usable."""
        scoring = scoring or Scoring()
        if scoring.workers:
            share_out(scoring.workers)  # are there processors for them?
        files = find(pool)
        stamps = {file.name: file.stamp() for file in files}
        reader = RowReader(files, reading or Reading(), scoring.carry)
        bundles = open_bundles(ranker)
        check_carried(bundles, scoring.carry)
        encoder = open_encoder(scoring.embeddings) if scoring.encoder else None
        return cls(files, recorded(pool, files), reader, bundles, scoring, stamps, choices, encoder)

    @property
    def opened(self) -> list[Bundle]:
        """The bundles of the rankers, then that of the encoder."""
        return [*self.bundles, *([self.encoder] if self.encoder else [])]

    @property
    def embeds(self) -> bool:
        """Whether the first ranker embeds, in the pass that scores."""
        return bool(self.scoring.embeddings) and not self.encoder

    @cached_property
    def crew(self) -> Crew:
        """The rankers and the encoder, loaded."""
        return crew_of(self.bundles, self.encoder, self.scoring, self.choices)

    @property
    def scorers(self) -> Sequence[Scorer]:
        """The rankers, loaded."""
        return self.crew.scorers

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk: the engine's own number, unless it is given."""
        return max(scorer.scoring.chunk_rows for scorer in self.scorers)

    def embeddings(self) -> dict[str, Any] | None:
        """Tell whose embeddings the run has, and what an encoder runs on; None where it has none."""
        if embedder := self.crew.embedder:
            return {"of": embedder.name, "width": embedder.width, **asdict(embedder.choice)}
        first = self.scorers[0]
        return {"of": first.name, "width": first.bundle.width} if self.crew.embeds else None

    @cached_property
    def settled(self) -> list[Settled]:
        """Tell how the rankers, then the encoder, are run; where that was chosen before, nothing is loaded for it."""
        if not self.choices:
            return [
                Settled(each.bundle, each.choice, each.scoring, dict(each.files)) for each in self.crew.models
            ]
        asked = [self.scoring for _ in self.bundles] + ([of_an_encoder(self.scoring)] if self.encoder else [])
        return [Settled.of(*each) for each in zip(self.opened, self.choices, asked, strict=True)]

    def specs(self) -> Specs:
        """Give what a worker process loads."""
        settled, rankers = self.settled, len(self.bundles)
        return Specs(settled[:rankers], settled[rankers] if self.encoder else None, self.embeds)

    def depends(self, settled: Sequence[Model] = ()) -> dict[str, Any]:
        """Give what the scores depend on, but for the pool: hashes, names and numbers.

        Of the models as they are loaded, or, where nothing is loaded here, as they are `settled`.
        """
        models = settled or self.crew.models
        rankers, encoders = models[: len(self.bundles)], models[len(self.bundles) :]
        chunk_rows = max(ranker.scoring.chunk_rows for ranker in rankers)
        fingerprint: dict[str, Any] = {
            "reading": asdict(self.reader.reading),
            "scoring": self.scoring.fingerprint() | {"chunk_rows": chunk_rows},
            # Their order is the order of the sidecar's columns, so another order is another run.
            RANKERS: [ranker.bundle.name for ranker in rankers],
            "ranker": {ranker.bundle.name: _depends_on(ranker) for ranker in rankers},
            "versions": versions_of(models),
        }
        # Not there in a run without: those of older versions go on.
        for model in encoders or rankers[: int(self.embeds)]:
            fingerprint[EMBEDDINGS] = {"of": model.bundle.name, "width": model.bundle.width}
            fingerprint[EMBEDDINGS] |= _depends_on(model) if encoders else {}
        # Through JSON's eyes, so that a plan read back compares equal.
        return dict(json.loads(json.dumps(fingerprint)))

    def refuse_changed(self, file: PoolFile) -> None:
        """Raise InputError where a file was touched since the job began: what was read of it may be a mixture."""
        if file.stamp() != self.stamps[file.name]:
            raise InputError(
                f"{file.place}: changed while it was read; the same command looks at it again, and says what differs"
            )

    def refuse_changed_pool(self) -> None:
        """Raise InputError where any file was touched since the job began, wherever it is."""
        for file in self.files:
            file.store.forget()
        for file in self.files:
            self.refuse_changed(file)

    def plan(self) -> Plan:
        """Read the pool once, and cut it. Raises InputError where a file changes meanwhile."""
        facts, chunks = cut(self.files, self.chunk_rows)
        self.refuse_changed_pool()
        fingerprint = {"pool": {file.name: file.sha256 for file in facts}, **self.depends()}
        bundles = tuple(str(bundle.path.absolute()) for bundle in self.bundles)
        settings = {"reading": asdict(self.reader.reading), "scoring": self.scoring.given()}
        return Plan(
            self.pool,
            tuple(facts),
            tuple(chunks),
            tuple(fingerprint[RANKERS]),
            fingerprint,
            bundles,
            settings,
        )


def crew_of(
    bundles: Sequence[Bundle], encoder: Bundle | None, scoring: Scoring, choices: Sequence[Choice] = ()
) -> Crew:
    """Load rankers, and an encoder beside them; `choices` are for each in this order, or are made here."""
    if not choices:
        scorers = [Scorer.of_bundle(bundle, scoring) for bundle in bundles]
        embedder = Embedder.of_bundle(encoder, scoring) if encoder else None
    else:
        chosen = zip(bundles, choices, strict=encoder is None)
        scorers = [Scorer.chosen(bundle, choice, scoring) for bundle, choice in chosen]
        embedder = Embedder.chosen(encoder, choices[len(bundles)], scoring) if encoder else None
    return Crew(scorers, embedder, embeds=bool(scoring.embeddings) and not encoder)


def _depends_on(model: Model) -> dict[str, Any]:
    choice = model.choice
    return {
        "engine": choice.engine,
        "precision": choice.precision,
        "graph": choice.graph,
        "batch_tokens": model.scoring.batch_tokens,
        "files": dict(model.files),
    }


def versions_of(models: Sequence[Model]) -> dict[str, str]:
    """Give the versions of what makes the scores: with another one they may differ in the last digits."""
    engines = {package for model in models for package in ENGINE_PACKAGES[model.choice.engine]}
    have = versions() | {"pyarrow": pa.__version__}
    return {name: version for name, version in have.items() if name in {*READING, *engines}}


READING = ("scar-rank", "tokenizers", "pyarrow")
"""The packages that read a pool, cut texts into tokens and write the sidecar."""
ENGINE_PACKAGES = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "torch": ("torch", "transformers", "flash-attn"),
}
"""The packages that an engine is."""
