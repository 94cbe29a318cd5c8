"""Fixtures that many tests share."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

from tests.make import labelled_rows, tier_rows, tiny_encoder, write_jsonl

# A busy machine is not a wrong program: no deadline, and the same examples every time.
hypothesis.settings.register_profile("scar", deadline=None, derandomize=True)
hypothesis.settings.load_profile("scar")

# A shell's background job is deaf to SIGINT, and so would be whatever the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

RECIPE = Path(__file__).parent.parent / "train" / "style-minilm.yaml"


@pytest.fixture(scope="session")
def scar_data():
    """The folder of real data, where there is one."""
    folder = os.environ.get("SCAR_DATA")
    if not folder:
        pytest.skip("SCAR_DATA is not set: the test needs the real data")
    return Path(folder)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """A tiny random BERT with a pooler."""
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def settings(encoder):
    """Settings that train the tiny encoder in a second."""
    from scar.settings import StyleSettings

    return StyleSettings(encoder=str(encoder), max_tokens=32, head_width=16, epochs=3, lr=3e-3, batch_size=4)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, settings):
    """A trained and exported bundle. Tests that change one copy it."""
    from scar.training.export import export
    from scar.training.style.train import train_style

    folder = tmp_path_factory.mktemp("bundle")
    data = write_jsonl(folder / "tiers.jsonl", tier_rows(40, source="made"))
    train_style(settings, data, folder / "style")
    export(folder / "style")
    return folder / "style"


@pytest.fixture(scope="session")
def quality_bundle(tmp_path_factory, encoder):
    """A trained, calibrated and exported quality bundle. Tests that change one copy it."""
    from scar.settings import QualitySettings
    from scar.training.export import export
    from scar.training.quality.train import train_quality

    folder = tmp_path_factory.mktemp("quality")
    data = write_jsonl(folder / "labels.jsonl", labelled_rows(160))
    settings = QualitySettings(encoder=str(encoder), max_tokens=48, epochs=6, batch_size=8, lr=5e-3)
    train_quality(settings, data, folder / "quality")
    export(folder / "quality")
    return folder / "quality"


@pytest.fixture(scope="session")
def encoder_bundle(tmp_path_factory, encoder):
    """A bundle of the tiny encoder, which gives embeddings alone. Tests that change it copy it."""
    from scar.training.export_encoder import export_encoder

    out = tmp_path_factory.mktemp("embedding") / "encoder"
    export_encoder(str(encoder), out, max_tokens=40)
    return out
