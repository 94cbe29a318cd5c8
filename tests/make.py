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


def tiny_tokenizer(folder, length=128):
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
    )
    fast.save_pretrained(folder)
    return fast


def tiny_encoder(folder, kind="bert", *, hidden=32, layers=2, length=128, seed=0, **more):
    """Save a random encoder of an architecture with a tokenizer: a folder that `--encoder` takes."""
    import torch
    from transformers import AutoConfig, AutoModel

    tokenizer = tiny_tokenizer(folder, length)
    torch.manual_seed(seed)
    offset = 2 if kind == "roberta" else 0
    config = AutoConfig.for_model(
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
    AutoModel.from_config(config).save_pretrained(folder)
    return Path(folder)
