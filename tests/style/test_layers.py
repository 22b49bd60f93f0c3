#!/usr/bin/python3
"""The layer law: a file includes its own folder or a lower layer, and plug-in folders not one another."""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = {"base": 0, "net": 1, "scan": 2, "link": 3, "probe": 3, "sink": 3, "talk": 3, "local": 3, "api": 3, "cmd": 4, ".": 5}
# What a lower layer may not do: print, exit, or read the environment behind its caller's back.
SPOKEN = re.compile(r"\b(printf|puts|putchar|perror|exit|_exit|abort|getenv)\s*\(")


def sources():
    """Every C file below src, with its folder."""
    for path in sorted((ROOT / "src").rglob("*.[ch]")) + sorted((ROOT / "src").rglob("*.def")):
        folder = path.parent.relative_to(ROOT / "src")
        yield path, str(folder)


def breaches(folder, text):
    """The includes of a file in `folder` that break the law."""
    for line, included in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', included)
        if not found:
            continue
        target = found.group(1)
        if target == "porthole.h":
            if LAYERS[folder] >= 3:
                continue
            yield line, target
        elif target.endswith(".skel.h"):  # made by bpftool from the program next to it
            if not (ROOT / "src" / folder / target.replace(".skel.h", ".bpf.c")).exists():
                yield line, target
        elif "/" not in target:
            yield line, target
        else:
            other = target.split("/")[0]
            allowed = other == folder or (
                other in LAYERS and LAYERS[other] < LAYERS[folder]
            )
            if not allowed:
                yield line, target


class Layers(unittest.TestCase):
    def test_every_folder_has_a_layer(self):
        folders = {folder for _, folder in sources()}
        self.assertLessEqual(folders, set(LAYERS), "give the new folder a layer in this test")

    def test_includes_point_down(self):
        wrong = [
            f"{path.relative_to(ROOT)}:{line}: includes {target}"
            for path, folder in sources()
            for line, target in breaches(folder, path.read_text(encoding="utf-8"))
        ]
        self.assertEqual(wrong, [], "a file includes its own folder or a lower layer")

    def test_a_breach_is_seen(self):
        self.assertEqual(list(breaches("net", '#include "scan/plan.h"')), [(1, "scan/plan.h")])
        self.assertEqual(list(breaches("sink", '#include "probe/x.h"')), [(1, "probe/x.h")])
        self.assertEqual(list(breaches("scan", '#include "net/address.h"')), [])

    def test_the_library_is_silent(self):
        wrong = []
        for path, folder in sources():
            if LAYERS[folder] >= 4:
                continue
            for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                code = re.sub(r"/?\*.*|//.*|\"(\\.|[^\"\\])*\"", "", text)
                if SPOKEN.search(code):
                    wrong.append(f"{path.relative_to(ROOT)}:{line}: {text.strip()}")
        self.assertEqual(wrong, [], "below src/cmd nothing prints, exits or reads the environment")


class Rows(unittest.TestCase):
    def test_each_row_is_a_file(self):
        for folder in ("link", "probe", "sink", "cmd"):
            text = (ROOT / "src" / folder / f"{folder}.def").read_text(encoding="utf-8")
            names = re.findall(r"^[A-Z]+\((\w+)", text, re.MULTILINE)
            self.assertTrue(names)
            for name in names:
                self.assertTrue((ROOT / "src" / folder / f"{name}.c").exists(), f"{folder}/{name}.c")


class Files(unittest.TestCase):
    def test_a_line_at_the_top_says_the_subject(self):
        wrong = []
        for path, _ in sources():
            text = path.read_text(encoding="utf-8")
            if not text.startswith("/* "):
                wrong.append(str(path.relative_to(ROOT)))
        self.assertEqual(wrong, [])

    def test_files_have_one_subject(self):
        long = [
            f"{path.relative_to(ROOT)}: {count} lines"
            for path, _ in sources()
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > 700
        ]
        self.assertEqual(long, [], "more than 700 lines are perhaps two subjects")

    def test_no_line_is_longer_than_a_hundred_columns(self):
        wrong = [
            f"{path.relative_to(ROOT)}:{line}"
            for path, _ in sources()
            for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if len(text) > 100
        ]
        self.assertEqual(wrong, [])

    def test_no_unfinished_work(self):
        words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
        wrong = [
            str(path.relative_to(ROOT))
            for path, _ in sources()
            if words.search(path.read_text(encoding="utf-8"))
        ]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
