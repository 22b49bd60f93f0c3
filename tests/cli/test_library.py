#!/usr/bin/python3
"""The library as its users have it: installed, found by pkg-config, compiled against, called."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("PORTHOLE_BUILD", "")


def run(*words, **options):
    """The finished process; its output is text."""
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **options)


@unittest.skipUnless(BUILD, "PORTHOLE_BUILD does not name a build directory")
class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.mkdtemp(prefix="porthole-install-")
        cls.addClassCleanup(shutil.rmtree, cls.place)
        environment = dict(os.environ, DESTDIR=cls.place)
        installed = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", env=environment)
        assert installed.returncode == 0, installed.stderr
        cls.pkgconfig = next(pathlib.Path(cls.place).rglob("libporthole.pc")).parent
        cls.libraries = next(pathlib.Path(cls.place).rglob("libporthole.so")).parent

    def flags(self, *more):
        """What pkg-config says, for the installation in DESTDIR."""
        environment = dict(
            os.environ,
            PKG_CONFIG_PATH=str(self.pkgconfig),
            PKG_CONFIG_SYSROOT_DIR=self.place,
        )
        found = run("pkg-config", "--cflags", "--libs", *more, "libporthole", env=environment)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout.split()

    def compile_example(self, *flags):
        """Compiles examples/open_ports.c and returns the program's path."""
        program = os.path.join(self.place, "open_ports")
        source = str(ROOT / "examples" / "open_ports.c")
        compiled = run("cc", "-Wall", "-Wextra", "-Werror", source, *flags, "-o", program)
        self.assertEqual(compiled.returncode, 0, compiled.stderr)
        return program

    def check_example(self, program):
        """The example prints exactly the one port that listens among five."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            environment = dict(os.environ, LD_LIBRARY_PATH=str(self.libraries))
            found = run(program, "127.0.0.1", str(port), str(port), env=environment)
            self.assertEqual((found.returncode, found.stdout), (0, f"{port}\n"), found.stderr)
        closed = run(program, "127.0.0.1", str(port), str(port), env=environment)
        self.assertEqual((closed.returncode, closed.stdout), (0, ""))
        wrong = run(program, "no such host", env=environment)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("Invalid argument", wrong.stderr)

    def test_the_example_with_the_shared_library(self):
        self.check_example(self.compile_example(*self.flags()))

    def test_the_example_with_the_static_library(self):
        archive = str(self.libraries / "libporthole.a")
        flags = [flag for flag in self.flags("--static") if flag != "-lporthole"]
        include = [flag for flag in flags if flag.startswith("-I")]
        libraries = [flag for flag in flags if not flag.startswith("-I")]
        self.check_example(self.compile_example(*include, archive, *libraries))

    def test_only_the_public_names_are_exported(self):
        symbols = run("nm", "-D", "--defined-only", str(self.libraries / "libporthole.so")).stdout
        names = {line.split()[-1] for line in symbols.splitlines() if " T " in line}
        names = {name for name in names if not name.startswith("__")}
        header = (ROOT / "include" / "porthole.h").read_text(encoding="utf-8")
        for name in names:
            self.assertIn(f"{name}(", header)
        self.assertIn("porthole_open_ports", names)

    def test_the_header_is_cplusplus_too(self):
        checked = run("c++", "-fsyntax-only", "-Wall", "-Werror", "-x", "c++",
                      str(ROOT / "include" / "porthole.h"))
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_manual_pages_and_completions_are_installed(self):
        files = {path.name for path in pathlib.Path(self.place).rglob("*") if path.is_file()}
        self.assertLessEqual(
            {"porthole.1", "porthole-scan.1", "_porthole", "porthole.fish", "porthole.h"}, files)


if __name__ == "__main__":
    unittest.main()
