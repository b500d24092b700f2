"""Where data and weights come from: pinned packages, the user's files, the hub, or code."""


class SourceError(RuntimeError):
    """Data are not what they must be: which, what was expected and found, and what to do."""
