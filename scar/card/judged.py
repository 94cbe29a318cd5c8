"""The card of a quality or an unseen ranker: one number for an instruction and its response, and what it means."""

from typing import Any

from scar.card.facts import CONTENDERS, GRAPHS, calibrated, cell, encoder, facts, made

_CARD = """# {name}

{what}, {made}. It gives a response to an instruction one number, higher is better: {meaning}

| | |
|---|---|
| encoder | {encoder} |
| reads | {reads}, at most {tokens} tokens |
| head | {head} |
{facts}

{evaluation}
{use}
Licence and limits follow the encoder and the training data; the ranker knows what these rows were judged by, and no
other merit.
"""
_WHAT = {
    "quality": "A quality ranker for instruction-tuning data",
    "unseen": "A ranker that tells rows like those one has from others, for instruction-tuning data",
}
_READS = {
    "pair": "instruction and response as one text, the longer of them cut first",
    "instruction": "the instruction alone",
    "response": "the response alone",
}
_POOLINGS = {
    "pooler": "the encoder's pooler",
    "first_token": "the first token",
    "mean": "the mean of all tokens",
}
_MEANINGS = {
    "labels": "the log odds that the response is good, as the training rows have it.",
    "graded": "the log odds of the grade, as a share of its scale from {scale[0]:g} to {scale[1]:g}.",
    "pairs": "a reward; the sigmoid of the difference of two responses to one instruction is the probability that the "
    "first is preferred (Bradley-Terry). Across instructions the numbers say less.",
}
_TAUGHT = {
    "labels": "labels (binary cross-entropy); a good row weighs {pos_weight:.3g} times a bad one",
    "graded": "grades (binary cross-entropy with soft targets)",
    "pairs": "preferences (Bradley-Terry, {margins} margins)",
}
_PREFERENCES = {
    "novel": "the log odds that the row is not of the rows that one has.",
    "similar": "the log odds that the row is of the rows that one has.",
}
_UNEVALUATED = {
    "quality": "Not evaluated.\n",
    "unseen": "How well its folds told the two sides apart is in the `report.json` of the training.\n",
}
_MEASURES = {
    "auc": "AUC on held-out rows (the chance that a row which should score higher does)",
    "concordance": "Share of held-out rows of different grade that the scores order alike",
    "accuracy": "Share of held-out preferences that the scores agree with",
}

USE = """Score a pool: `scar export .`, then `scar score POOL --ranker . --out RUN`.
"""
USE_IMPORTED = """Score a pool: `scar export . --rows POOL`, then `scar score POOL --ranker . --out RUN`.
"""
_USE_HUB = """## Use

With scar-rank, from this folder or the repository's name:

    scar import REPOSITORY --out ranker
    scar export ranker --rows POOL
    scar score POOL --ranker ranker --out RUN

{weights}
{graphs}"""
_CLASSIFIER = """\
The whole ranker is `transformers.AutoModelForSequenceClassification.from_pretrained(REPOSITORY)`, of one logit; its
tokenizer is `AutoTokenizer.from_pretrained(REPOSITORY)`, given instruction and response as a pair."""
_ENCODER = """\
The encoder alone, with its trained weights, is `transformers.AutoModel.from_pretrained(REPOSITORY)`, its tokenizer
`AutoTokenizer.from_pretrained(REPOSITORY)`. The head on {pooling} is in `cross_head.safetensors` (`hidden`, `output`);
where the encoder's class has a pooler that the head does not use, zeros fill its place."""


def card(ranker: dict[str, Any], evaluation: dict[str, Any] | None, use: str) -> str:
    """Give the card; `use` is its last part but one."""
    return _CARD.format(
        name=ranker["name"],
        what=_WHAT[ranker["kind"]],
        made=made(ranker),
        meaning=_meaning(ranker),
        encoder=encoder(ranker),
        reads=_READS[ranker["text"]["inputs"]],
        tokens=ranker["text"]["max_tokens"],
        head=_head(ranker["head"]),
        facts="\n".join([*_taught(ranker), *facts(ranker), *calibrated(ranker)]),
        evaluation=_evaluation(evaluation) if evaluation else _UNEVALUATED[ranker["kind"]],
        use=use,
    )


def hub_use(ranker: dict[str, Any], *, graphs: bool, classifier: bool) -> str:
    """Say how a folder for the hub is used."""
    alone = _ENCODER.format(pooling=_POOLINGS[ranker["head"]["pooling"]])
    return _USE_HUB.format(weights=_CLASSIFIER if classifier else alone, graphs=GRAPHS if graphs else "")


def _meaning(ranker: dict[str, Any]) -> str:
    if ranker["kind"] == "unseen":
        meaning = _PREFERENCES[ranker["prefer"]]
    elif objective := ranker.get("objective"):
        meaning = _MEANINGS[objective["kind"]].format(scale=objective["scale"] or (0, 1))
    else:
        meaning = "the logit of the checkpoint's classifier; what it was trained on says what it means."
    if (ranker.get("calibration") or {}).get("length"):
        meaning += " Its trend with the response's length is taken off the score."
    return meaning


def _head(head: dict[str, Any]) -> str:
    hidden = f"a hidden layer of {head['activation']}" if head["activation"] else ""
    norm = "a LayerNorm" if head["norm"] is not None else ""
    return ", ".join([_POOLINGS[head["pooling"]], *filter(None, (hidden, norm)), "one logit"])


def _taught(ranker: dict[str, Any]) -> list[str]:
    if ranker["kind"] == "unseen":
        seen = f"{ranker['share_seen']:.1%} of the training rows were seen ones"
        return [f"| trained | {ranker['head_kind']}, on {ranker['on']}; {seen} |"]
    if not (objective := ranker.get("objective")):
        return []
    margins = "with" if objective["margins"] else "without"
    taught = _TAUGHT[objective["kind"]].format(pos_weight=objective["pos_weight"], margins=margins)
    return [f"| taught by | {taught} |"]


def _evaluation(evaluation: dict[str, Any]) -> str:
    measure = evaluation["measure"]
    lines = [f"{_MEASURES[measure]}, with bootstrap 95 % intervals:", "", "| | all | length-matched |"]
    lines.append("|---|---|---|")
    lines += [_line(name, evaluation["overall"], name, measure) for name in CONTENDERS]
    if sources := evaluation["sources"]:
        lines += ["", "| the ranker, by source | all | length-matched |", "|---|---|---|"]
        lines += [_line(source, table, "ranker", measure) for source, table in sources.items()]
    correlation = evaluation["length_correlation"]["spearman"]
    if correlation is not None:
        lines += ["", f"Spearman's correlation of the score with the response's length: {correlation:.2f}."]
    return "\n".join(lines) + "\n"


def _line(title: str, table: dict[str, Any], who: str, measure: str) -> str:
    cells = [cell(table[part][who], measure) for part in ("all", "length_matched")]
    return f"| {title} | {cells[0]} | {cells[1]} |"
