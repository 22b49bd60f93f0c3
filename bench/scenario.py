"""What run.py knows of a scenario. Those of scans are in scenarios.py, those of conversations and
relays in talk_scenarios.py, those of lists of sockets in sockets_scenarios.py."""

import contextlib
import math


class Scenario:
    """A setting in which peers run in turns, and what the first of them must reach there."""

    key = ""  # the word for it on the command line
    name = ""
    groups = ()  # of the peers that take part
    runs = 1  # of each peer, in turns
    patience = math.inf  # seconds in all runs, after which a peer is not run again
    report = None  # the module that tells of its runs: told_of(run), print_tables(all_results)

    def __init__(self):
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    @classmethod
    def heading(cls):
        """One line about it."""
        return cls.name

    def entrants(self, peers):
        """Who takes part; the first of them is compared with the others."""
        raise NotImplementedError

    def run(self, entrant, number):
        """One measured run; raises Failure."""
        raise NotImplementedError

    def demands(self, first, others):
        """(what is demanded of the first peer, whether it holds), one after another."""
        raise NotImplementedError
