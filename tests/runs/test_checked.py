"""A file that tells when a byte of it is not what was written."""

import json

import pytest

from scar.runs.checked import checked, read_checked

VALUE = {"a": 1, "b": {"c": [1, 2, None]}, "d": 'größer "}\n'}


def written(value=VALUE):
    return checked(json.dumps(value, indent=2, ensure_ascii=False))


def test_what_is_read_back_is_what_was_written():
    assert read_checked(written()) == VALUE
    assert json.loads(written()) == {**VALUE, "checksum": json.loads(written())["checksum"]}


def test_equal_values_give_equal_bytes():
    assert written() == written(dict(VALUE))


def test_no_byte_can_change_unnoticed():
    raw = written()
    for place in range(len(raw)):
        for bit in range(8):
            harmed = bytearray(raw)
            harmed[place] ^= 1 << bit
            with pytest.raises(ValueError):
                read_checked(bytes(harmed))
        with pytest.raises(ValueError):
            read_checked(raw[:place])
        with pytest.raises(ValueError):
            read_checked(raw[:place] + raw[place + 1 :])


@pytest.mark.parametrize("raw", [b"", b"{}", b"null", b"[1]", b'{"checksum": "x"}', b"\xff\xfe", b"[" * 5000])
def test_what_was_never_sealed_is_refused(raw):
    with pytest.raises(ValueError):
        read_checked(raw)
