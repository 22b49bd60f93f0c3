"""Some tests of the raw scan on simnet's networks, done by the XDP link: those in which it could
matter how packets leave and come in. simnet's device queues what it is sent, and counts it late."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import test_lab_scan
from namespaces import need
from test_xdp import BUILT, WALKED


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter")
class Scans(test_lab_scan.LabTest):
    """What a scan says is held to what is true."""

    check = test_lab_scan.Losses.check

    test_many_hosts = test_lab_scan.Sizes.test_one_port_of_many_hosts
    test_losses = test_lab_scan.Losses.test_five_in_a_hundred_each_way
    test_limits = test_lab_scan.Limits.test_resets_of_some_hosts
    test_strangers = test_lab_scan.Strangers.test_forgeries_and_accidents
    test_absent_hosts = test_lab_scan.Strangers.test_absent_hosts_and_what_routers_say_of_them

    def scan(self, lab, ports, *targets, words=("-sS",), absent=test_lab_scan.ABSENT):
        found = super().scan(lab, ports, *targets, words=(*words, *WALKED), absent=absent)
        self.assertEqual(found.summary["link"], "xdp")
        return found


if __name__ == "__main__":
    unittest.main()
