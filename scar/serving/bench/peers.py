"""Two other libraries on the same rows and encoder. The one place of the serving side that runs torch.

Their encoders are of the bundle's shape with random weights, of which their speed does not depend.
"""

import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from scar.bundle import Bundle
from scar.encoding import PairEncoder
from scar.pools import read_pool
from scar.records import Record
from scar.serving.bench.job import Job, Timing
from scar.serving.engines import processors
from scar.settings import Reading

BATCH_SIZES = (4, 8, 16, 32, 64)
"""Of the CrossEncoder, whose best is looked for."""
ORIGINAL_BATCH = 32
"""Rows of a batch of `scar-tool`, its own default."""
WARM = 16
"""Rows that run before the clock."""
LIBRARIES = {"scar-tool": "style_ranker", "cross-encoder": "sentence_transformers"}
"""Peer -> the package that it imports."""


def peer_of(kind: str) -> str:
    """Name the peer that does what a kind of ranker does."""
    return "scar-tool" if kind == "style" else "cross-encoder"


def installed(peer: str) -> bool:
    """Tell whether a peer can run here."""
    return bool(find_spec(LIBRARIES[peer]) and find_spec("transformers"))


def scar_tool(job: Job, folder: Path) -> Timing:
    """Score rows with the original's model and `score_pairs`, in batches of 32."""
    from style_ranker.rank import score_pairs
    from style_ranker.ranker.model import StyleRanker, StyleRankerConfig
    from transformers import AutoTokenizer

    bundle = Bundle.open(job.bundle)
    config = StyleRankerConfig(
        _random(bundle, folder / "encoder"),
        hidden_dim=bundle.ranker["encoder"]["hidden_size"],
        linear_dim=bundle.ranker["head"]["width"],
    )
    device = _device(job)
    model = StyleRanker(config).eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder / "encoder")

    def score(texts: list[tuple[str, str]]) -> None:
        if len(texts) % ORIGINAL_BATCH == 1:
            texts = texts[:-1]  # on a last batch of one the original crashes
        asked, answers = [one for one, _ in texts], [other for _, other in texts]
        longest = bundle.ranker["text"]["max_tokens"]
        score_pairs(model, tokenizer, asked, answers, longest, ORIGINAL_BATCH, device)

    return _clocked(score, _texts(job, bundle), folder)


def cross_encoder(job: Job, folder: Path) -> Timing:
    """Score rows with sentence-transformers' CrossEncoder."""
    from sentence_transformers.cross_encoder import CrossEncoder

    bundle = Bundle.open(job.bundle)
    model: Any = CrossEncoder(
        _random(bundle, folder / "encoder"),
        num_labels=1,
        max_length=bundle.ranker["text"]["max_tokens"],
        device=_device(job),
    )

    def score(texts: list[tuple[str, str]]) -> None:
        model.predict(texts, batch_size=job.batch_size, activation_fn=None, show_progress_bar=False)

    return _clocked(score, _texts(job, bundle), folder)


PEERS = {"scar-tool": scar_tool, "cross-encoder": cross_encoder}


def _random(bundle: Bundle, folder: Path) -> str:
    """Save an encoder of the bundle's shape with its tokenizer; gives the folder."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(bundle.path)
    AutoModel.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    AutoTokenizer.from_pretrained(bundle.path).save_pretrained(folder)
    return str(folder)


def _texts(job: Job, bundle: Bundle) -> list[tuple[str, str]]:
    """Give instruction and response of every so manieth record."""
    template = PairEncoder.of_bundle(bundle).settings.template
    items = read_pool(job.pool, Reading(**job.reading))
    records = (item for item in items if isinstance(item, Record))
    return [
        (template.render(record.turns), record.response) for record in islice(records, 0, None, job.every)
    ]


def _device(job: Job) -> str:
    """Give the peer's device, and it as many threads as the contenders have."""
    import torch

    torch.set_num_threads(job.scoring.get("threads") or processors())
    return str(job.scoring.get("device", "cpu"))


def _clocked(
    score: Callable[[list[tuple[str, str]]], None], texts: list[tuple[str, str]], folder: Path
) -> Timing:
    shutil.rmtree(folder / "encoder")
    score(texts[:WARM])
    started = time.perf_counter()
    score(texts)
    return Timing(time.perf_counter() - started, len(texts))
