"""What can go wrong, as types. Leaf module: imports nothing of the package."""


class BasisError(Exception):
    """Base of every error the package raises on purpose."""


class InputError(BasisError, ValueError):
    """The input is wrong (configuration, data or usage): exit code 2 on the command line."""


class ConfigError(InputError):
    """A configuration key or value is wrong; the message names the path, what was given and what is allowed."""


class DataError(InputError):
    """A data set cannot be used; the message names the series, the instant and what to do."""


class EngineError(BasisError):
    """A component failed: the message names it and the row, the cause is chained."""


class ExecutionError(EngineError):
    """A venue's answer cannot be taken into the book."""


class RunStoppedWarning(UserWarning):
    """A run stopped itself before its end (broken identity, data hole, insolvency); the rows so far are kept."""
