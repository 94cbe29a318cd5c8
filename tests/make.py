"""Small things that tests are made of: pools, tiers, tiny encoders built in code."""

import json
import random
import string
from pathlib import Path

WORDS = (
    "the a of to and in is it for list dict value key function class module name text number returns gives when you "
    "use with from python call each every first last sort order item items object string file line read write open "
    "close"
).split()


def sentence(seed, words=8, extra=()):
    """Make a sentence out of known words, the same for the same seed."""
    rng = random.Random(seed)
    return " ".join(rng.choice([*WORDS, *extra]) for _ in range(words)) + "."


def tier_rows(n, seed=0, **more):
    """Make rows whose tiers can be told apart: direct says `clearly`, human says `whatever`."""
    rows = []
    for number in range(n):
        length = random.Random(f"{seed} {number}").randrange(6, 14)
        responses = {
            "human": sentence(f"h{seed}{number}", length, ["whatever"] * 15),
            "referenced": sentence(f"r{seed}{number}", length, ["whatever"] * 7 + ["clearly"] * 7),
            "direct": sentence(f"d{seed}{number}", length, ["clearly"] * 15),
        }
        rows.append(
            {
                "id": f"t{seed}-{number}",
                "instruction": f"what is {sentence(number, 3)}",
                "responses": responses,
                **more,
            }
        )
    return rows


def pool_rows(n, seed=0):
    """Make plain rows of varying length."""
    return [
        {
            "id": f"p{number}",
            "instruction": f"what is {sentence(number // 2, 3)}",
            "response": sentence(f"p{seed}{number}", 3 + number % 17, ["clearly", "whatever"] * 5),
            "source": f"s{number % 3}",
        }
        for number in range(n)
    ]


def labelled_rows(n, seed=0, **more):
    """Make rows whose labels can be told: good answers say `clearly`, bad ones say `whatever`."""
    return [
        {
            "instruction": f"what is {sentence(number // 2, 3)}",
            "response": sentence(
                f"l{seed}{number}", 6 + number % 9, [("whatever", "clearly")[number % 2]] * 15
            ),
            "label": number % 2,
            **more,
        }
        for number in range(n)
    ]


def write_jsonl(path, rows):
    """Write rows as JSON Lines; bytes stand for themselves."""
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    Path(path).write_bytes(b"".join(line + b"\n" for line in lines))
    return Path(path)


def read_jsonl(path):
    """Read rows."""
    return [json.loads(line) for line in Path(path).read_bytes().split(b"\n") if line.strip()]


def tiny_tokenizer(folder, length=128, **more):
    """Make a word-piece tokenizer in code and save it as transformers does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Written down, not learned: a trainer breaks ties differently in every process.
    known = [
        *string.ascii_lowercase,
        *string.digits,
        *string.punctuation,
        *WORDS,
        "clearly",
        "whatever",
        "what",
    ]
    pieces = [*special, *known, *(f"##{character}" for character in string.ascii_lowercase + string.digits)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    # As MiniLM's file has it: a cut and a padding of its own, which must not reach a ranker.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=length,
        **more,
    )
    fast.save_pretrained(folder)
    return fast


def sentencepiece_tokenizer(folder):
    """Train a SentencePiece model on made-up text, and save it as deberta-v3 is published: no tokenizer.json."""
    import sentencepiece
    from transformers import AutoTokenizer

    letters = "Größe naïve café 你好 世界 שלום мир " + " ".join(string.ascii_letters + string.digits)
    special = {"pad": "[PAD]", "bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]"}
    Path(folder).mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*(sentence(n, 10) for n in range(400)), *[letters + string.punctuation] * 5]),
        model_prefix=str(Path(folder) / "spm"),
        vocab_size=200,
        model_type="unigram",
        hard_vocab_limit=False,
        minloglevel=2,
        **{f"{name}_id": number for number, name in enumerate(special)},
        **{f"{name}_piece": piece for name, piece in special.items()},
    )
    (Path(folder) / "spm.vocab").unlink()
    (Path(folder) / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    (Path(folder) / "config.json").write_text('{"model_type": "deberta-v2"}')
    return AutoTokenizer.from_pretrained(folder)


DEBERTA_V3 = {
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
"""What the config of deberta-v3 says, its buckets fewer."""


def tiny_encoder(folder, kind="bert", *, hidden=32, layers=2, length=128, seed=0, **more):
    """Save a random encoder of an architecture with a tokenizer: a folder that `--encoder` takes."""
    import torch
    from transformers import AutoModel

    if kind == "deberta-v3":
        tokenizer, kind, more = sentencepiece_tokenizer(folder), "deberta-v2", DEBERTA_V3 | more
    else:
        tokenizer = tiny_tokenizer(folder, length)
    torch.manual_seed(seed)
    AutoModel.from_config(_tiny_config(tokenizer, kind, hidden, layers, length, **more)).save_pretrained(
        folder
    )
    return Path(folder)


def tiny_classifier(folder, kind="bert", *, length=128, seed=0, spread=0.3, **more):
    """Save a random sequence classifier of one logit, by its own class; of `deberta-v3` the tokenizer is SentencePiece.

    Every weight is drawn anew, `spread` wide: fresh heads and biases of zero would hide what is not read.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    if kind == "deberta-v3":
        tokenizer, kind, more = sentencepiece_tokenizer(folder), "deberta-v2", DEBERTA_V3 | more
    else:
        types = ["token_type_ids"] if kind in ("bert", "electra") else []
        tokenizer = tiny_tokenizer(folder, length, model_input_names=["input_ids", "attention_mask", *types])
    config = _tiny_config(tokenizer, kind, 32, 2, length, **{"num_labels": 1, **more})
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * spread)
    model.save_pretrained(folder)
    return Path(folder)


def _tiny_config(tokenizer, kind, hidden, layers, length, **more):
    from transformers import AutoConfig

    offset = 2 if kind == "roberta" else 0
    return AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=length + offset,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        **more,
    )
