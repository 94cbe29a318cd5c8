"""Bundles that differ from a trained one in what ranker.json or the tokenizer says."""

import json
import shutil

from scar.bundle import MANIFEST, RANKER, TOKENIZER, seal


def remade(bundle, folder, *, text=None, tokenizer=None, **changed):
    """Copy a bundle to `folder` with other values in ranker.json, in its `text`, and in the tokenizer's normalizer."""
    shutil.copytree(bundle, folder)
    ranker = json.loads((folder / RANKER).read_bytes())
    ranker = {**ranker, **changed, "text": {**ranker["text"], **(text or {})}}
    (folder / RANKER).write_text(json.dumps(ranker))
    if tokenizer:
        known = json.loads((folder / TOKENIZER).read_bytes())
        known["normalizer"] |= tokenizer
        (folder / TOKENIZER).write_text(json.dumps(known))
    (folder / MANIFEST).unlink()
    seal(folder)
    return folder
