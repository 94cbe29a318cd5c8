"""The errors that a user is meant to read. One line each, with the remedy."""


class InputError(ValueError):
    """The user's input is wrong: the command line prints this one line and exits with 2."""


class GateError(RuntimeError):
    """A graph does not give the scores of its model: it is not written or used, and the command exits with 1."""


class RunError(RuntimeError):
    """A run was stopped because its scores cannot be trusted: the command exits with 1."""
