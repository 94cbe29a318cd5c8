"""Keep the training libraries' advice and progress off the screen; what concerns the user stays."""

import logging
import warnings

ADVICE = (
    ".*Checkpoint directory .* exists.*",
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*in eval mode.*",
    ".*across ranks is zero.*",
)


def quiet() -> None:
    """Silence what the user can do nothing about."""
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").propagate = False
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    for advice in ADVICE:
        warnings.filterwarnings("ignore", advice)
