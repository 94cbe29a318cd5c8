"""Signals as the command line takes them; with real processes: tests/faults/test_signals.py."""

import os
import signal
import threading

import pytest

from scar.cli.signals import SIGNALS, Stopped, stopping
from scar.errors import InputError


def never(stop):
    raise AssertionError(stop)


@pytest.fixture(autouse=True)
def handlers():
    """Every handler is as it was, whatever happened."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_raised_with_its_name_and_exit_code(number):
    with pytest.raises(Stopped, match=number.name) as stopped, stopping(never):
        os.kill(os.getpid(), number)
    assert stopped.value.exit_code == 128 + number


def test_an_echo_is_not_a_second_wish():
    with pytest.raises(Stopped), stopping(never):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)


def test_an_error_that_a_stop_became_is_the_stop():
    with pytest.raises(Stopped, match="SIGUSR1"), stopping(never):
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
        except KeyboardInterrupt:
            raise InputError("no runtime is installed") from None


def test_an_error_without_a_stop_is_itself():
    with pytest.raises(InputError, match="mine"), stopping(never):
        raise InputError("mine")


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping(never):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_that_is_told_of_no_signal_is_left_alone():
    done = []

    def work():
        with stopping(never):
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]
