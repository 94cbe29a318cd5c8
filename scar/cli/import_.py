"""`scar import`: a published checkpoint in, a bundle out."""

from collections.abc import Sequence
from pathlib import Path

from scar.cli.parser import Parser
from scar.cli.quiet import quiet
from scar.errors import InputError


def import_(arguments: Sequence[str]) -> None:
    """Import a checkpoint."""
    parser = Parser(
        "import",
        "Turn a checkpoint of the original SCAR, a sequence classifier of one logit, or a folder of "
        "`scar export --to-hub-folder`, into a bundle.",
    )
    parser.add_argument("checkpoint", type=str, help="folder, or name on the hub")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument(
        "--encoder",
        type=str,
        help="folder or hub name that config and tokenizer of the encoder come from, never its weights; "
        "default: the checkpoint's encoder_name, and the checkpoint's own tokenizer where it has one",
    )
    parser.add_argument(
        "--revision", type=str, help="hub revision of the encoder; what was found is recorded"
    )
    parser.add_argument(
        "--name",
        type=str,
        help="name of the ranker: its column in the scores; default: style, or quality of a classifier",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    values = parser.read(arguments)
    try:
        from scar.training.imports import import_checkpoint
    except ImportError as error:
        raise InputError(f"import needs the train extra: pip install 'scar-rank[train]' ({error})") from None
    quiet()
    report = import_checkpoint(
        values["checkpoint"],
        values["out"],
        encoder=values["encoder"],
        revision=values["revision"],
        name=values["name"],
        overwrite=values["overwrite"],
    )
    source = report.source
    print(f"imported {source['what']}: {source['name']}, {source['file']} sha256 {source['sha256'][:12]}")
    text = "text" if report.ranker.kind == "style" else "sequence"
    pooling = str(report.ranker.head["pooling"]).replace("_", " ")
    print(f"encoder {report.encoder}; a {text} is represented by its {pooling}")
    if report.largest_difference is not None:
        print(f"compared with transformers: logits differ by at most {report.largest_difference:.2g}")
    print(f"bundle: {report.out}   next: scar export {report.out} --rows POOL")
