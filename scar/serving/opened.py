"""A bundle ready to run, whatever it gives: its text path, its graphs on an engine, known texts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scar.bundle import WEIGHTS, Bundle
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.serving.canaries import Canaries
from scar.serving.choice import Choice
from scar.serving.engines import Runtime, budget
from scar.serving.models import Model, load_model
from scar.settings import Scoring


@dataclass(frozen=True)
class Settled:
    """A bundle and how it is run, before anything of it is loaded."""

    bundle: Bundle
    choice: Choice
    scoring: Scoring
    """What the settings left open is the engine's own."""
    files: Mapping[str, str]
    """SHA-256 of the bundle's files that its results depend on, by name."""

    @classmethod
    def of(cls, bundle: Bundle, choice: Choice, scoring: Scoring) -> "Settled":
        """Fill in what the settings leave open."""
        own = budget(choice.engine, scoring.device)
        scoring = replace(
            scoring,
            batch_tokens=scoring.batch_tokens or own.batch_tokens,
            chunk_rows=scoring.chunk_rows or own.chunk_rows,
        )
        return cls(bundle, choice, scoring, _depends_on(bundle, choice))


@dataclass(frozen=True)
class Opened:
    """What is loaded of a bundle."""

    encoder: PairEncoder
    model: Model
    scoring: Scoring
    """What the settings left open is the engine's own."""
    files: Mapping[str, str]
    """SHA-256 of the bundle's files that its results depend on, by name."""
    canaries: Canaries

    @classmethod
    def of(cls, bundle: Bundle, choice: Choice, scoring: Scoring) -> "Opened":
        """Load the graphs that were chosen.

        Raises InputError where the bundle changes meanwhile, RunError where its engine does not give what it should.
        """
        settled = Settled.of(bundle, choice, scoring)
        scoring, files = settled.scoring, settled.files
        encoder = PairEncoder.of_bundle(bundle)
        model = load_model(
            bundle.path,
            bundle.graphs,
            choice.graph,
            pad_id=encoder.settings.pad_id,
            batch_tokens=scoring.batch_tokens,
            runtime=Runtime(choice.engine, choice.precision, scoring.device, scoring.threads),
        )
        if _depends_on(bundle, choice) != files:
            raise InputError(f"{bundle.path}: changed while it was loaded: start again")
        return cls(encoder, model, scoring, files, Canaries.of(bundle, encoder, model))


def _depends_on(bundle: Bundle, choice: Choice) -> dict[str, str]:
    """Give the hashes of the files that the results depend on, as the manifest has them now."""
    model = (choice.graph, *bundle.graphs.beside) if choice.graph else (WEIGHTS, "config.json")
    return bundle.digest("ranker.json", "tokenizer.json", *model)
