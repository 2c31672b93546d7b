"""The one error of this package that a person reads."""


class CannotStart(RuntimeError):
    """Surefill cannot start here. The message is one line that says why and what to do."""
