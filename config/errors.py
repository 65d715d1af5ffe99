"""The one base class of errors that a person can put right."""


class Problem(Exception):
    """An error whose message tells a person what to do next.

    The message names the file or key, what was found and what was expected. Commands print it without
    a traceback and exit with status 1; anything that is not a `Problem` is a defect of ours and keeps
    its traceback.
    """
