"""The Dockerfiles: not root, one entry point, and the steps that .ci/run takes in a bare environment."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTRAS = {"Dockerfile": "cpu,openvino", "Dockerfile.gpu": "train"}


@pytest.fixture(params=EXTRAS)
def steps(request):
    lines = (ROOT / "serve" / request.param).read_text().replace("\\\n", " ").splitlines()
    return request.param, [line for line in lines if line and not line.startswith("#")]


def test_an_image_ends_as_somebody_who_is_not_root_at_the_command(steps):
    _, lines = steps
    last = lines[max(n for n, line in enumerate(lines) if line.startswith("FROM")) :]
    users = [line.split()[1] for line in last if line.startswith("USER")]
    assert users and re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])
    assert lines[-1] == 'ENTRYPOINT ["scar"]'


def test_an_image_installs_by_the_script_that_ci_runs(steps):
    name, lines = steps
    assert f"RUN serve/install.sh /src /opt/scar {EXTRAS[name]}" in lines
    assert (
        f'serve/install.sh "$PWD" "$temp/venv" {EXTRAS["Dockerfile"]}' in (ROOT / ".ci" / "run").read_text()
    )


def test_what_an_image_copies_is_there_and_not_ignored(steps):
    _, lines = steps
    copied = [
        part
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for part in line.split()[1:-1]
    ]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == kept and all((ROOT / part).exists() for part in copied)
