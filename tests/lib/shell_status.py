"""Exit statuses as a shell says them."""


def shell_status(status):
    """128 + N of a program that signal N ended, for which Python has -N."""
    return status if status >= 0 else 128 - status
