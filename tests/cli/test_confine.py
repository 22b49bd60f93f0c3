"""A scan by connect() runs without rights that it does not need, and still does all it should."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from confined import NOBODY, ORDINARY, Confined
from namespaces import need


class Connect(Confined, unittest.TestCase):
    technique = ("-sT",)

    @need("setpriv")
    def test_an_ordinary_user(self):
        os.chown(self.directory, NOBODY, NOBODY)
        left = self.interrupt_and_resume(self.directory, ORDINARY, self.copy_program())
        self.assertEqual((left["CapPrm"], left["CapEff"]), (0, 0))
        self.check_outputs(self.directory, NOBODY)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
