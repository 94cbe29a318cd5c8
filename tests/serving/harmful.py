"""What a worker runs where its records do harm by the words that they hold: in the place of `worker.work`."""

import os
import signal
import time

from scar.serving.workers import worker

real = worker._answer


def work(pipe, share, specs):
    """Do what the real one does, until a word is met."""
    worker._answer = answer
    worker.work(pipe, share, specs)


def answer(crew, task, tell):
    """Die, or hang, of a record."""
    texts = [record.response for record in task.records]
    if any("deadly" in text for text in texts):
        os.kill(os.getpid(), signal.SIGSEGV)
    if any("endless" in text for text in texts):
        time.sleep(1000)
    return real(crew, task, tell)
