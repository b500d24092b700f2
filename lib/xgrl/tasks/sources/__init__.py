"""Where data and weights come from: pinned registry packages, a folder of files, the hub, or code
(the offline fixture).
"""


class SourceError(RuntimeError):
    """Data are not what they must be: which, what was expected and found, and what to do."""
