class Refused(Exception):
    """The bytes are not what the format documents allow."""


def check(condition, what):
    if not condition:
        raise Refused(what)
