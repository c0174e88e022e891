"""Errors meant for the person at the terminal: one line that names the place, the value and the remedy."""


class UserError(Exception):
    """Something the user can mend; printed as one line, without a traceback."""


class ConfigError(UserError):
    """A setting is wrong. The message names its full key, its value and what is valid."""


class DataError(UserError):
    """A data file is missing or malformed. The message names ``path`` or ``path:line``."""


class TrainingError(UserError):
    """Training can't go on. The message says where it stands and what to try."""


class CheckpointError(UserError):
    """A run directory or checkpoint can't be used as asked."""
