"""The command line: quick help, recipes and flags, one line an error."""

import subprocess
import sys

import pytest

from scar.cli import COMMANDS, main


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    assert f"usage: scar {command}" in capsys.readouterr().out


def test_help_loads_no_heavy_library():
    code = (
        "import sys; from scar.cli import main; main(['--help']);"
        "print([m for m in ('torch', 'numpy', 'pyarrow', 'onnxruntime', 'jsonargparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_flags_win_over_the_recipe_and_the_recipe_over_the_defaults(tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("lr: 1e-3\nepochs: 7\n")
    with pytest.raises(SystemExit):
        main(
            [
                "train",
                "style",
                "--config",
                str(recipe),
                "--epochs",
                "2",
                "--data",
                "d",
                "--out",
                "o",
                "--print_config",
            ]
        )
    shown = capsys.readouterr().out
    assert "lr: 0.001" in shown and "epochs: 2" in shown and "margin: 0.5" in shown


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("scar-rank ")


def test_hyphens_do_for_underscores(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(
            [
                "train",
                "style",
                "--data",
                "d",
                "--out",
                "o",
                "--max-tokens",
                "99",
                "--batch-size=3",
                "--print_config",
            ]
        )
    shown = capsys.readouterr().out
    assert "max_tokens: 99" in shown and "batch_size: 3" in shown
