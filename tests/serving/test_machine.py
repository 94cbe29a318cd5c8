"""What the machine is said to have, by folders made for it."""

import pytest

from scar.serving.engines.machine import cards, hardware, memory, peak_memory, quota


def groups(folder, files):
    """Write files of control groups, and what /proc/self/cgroup says."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("own", "files", "wanted"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
        # In a container the path is the host's, and the folder is its own root.
        ("0::/docker/abc\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            "4:cpu,cpuacct:/job\n1:name=systemd:/\n",
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "250000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
            2.5,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/\n", {}, None),
        ("5:memory:/job\n", {"memory/job/cpu.max": "100000 100000"}, None),
    ],
)
def test_the_quota_is_the_least_of_all_groups_above(tmp_path, own, files, wanted):
    root = groups(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(own)
    assert quota(root, tmp_path / "self") == wanted


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert quota(tmp_path, tmp_path / "none") is None


def test_cards_are_named_in_the_order_of_their_addresses(tmp_path):
    for address, name in (("0000:41:00.0", "NVIDIA H200"), ("0000:01:00.0", "NVIDIA L4")):
        (tmp_path / address).mkdir()
        (tmp_path / address / "information").write_text(f"Model: \t\t {name}\nIRQ: 5\n")
    assert cards(tmp_path) == ["NVIDIA L4", "NVIDIA H200"]
    assert cards(tmp_path / "none") == []


def test_memory_is_what_is_available(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   2048 kB\n")
    assert memory(tmp_path / "meminfo") == 2048 * 1024
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\n")
    assert memory(tmp_path / "meminfo") is None and memory(tmp_path / "none") is None


def test_the_peak_is_that_of_this_program_and_grows_with_it(tmp_path):
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 9 kB\n")
    assert peak_memory(tmp_path / "status") == 1234 * 1024
    before = peak_memory()
    held = bytearray(before + (64 << 20))
    assert peak_memory() >= len(held)


def test_a_card_among_others_of_another_kind_is_unknown(monkeypatch):
    for names, card in ((["A", "A"], "A"), (["A", "B"], "unknown"), ([], "unknown")):
        monkeypatch.setattr("scar.serving.engines.machine.cards", lambda names=names: names)
        assert hardware("cuda:1") == {"card": card}
