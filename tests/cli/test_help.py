#!/usr/bin/python3
"""What porthole says of itself: help, manual pages, completions and versions, all from one table."""

import os
import re
import subprocess
import tempfile
import unittest

PROGRAM = os.path.abspath(os.environ["PORTHOLE"])
VERBS = ("scan", "lookup", "help", "portscanner", "get", "sockets", "curl", "nc", "netstat")


def run(*words, **options):
    """The finished process; its output is text."""
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False,
                          **options)


def check(*words, stdin):
    """Runs a checker over a text; returns what it complains about."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr if done.returncode else done.stderr


class Help(unittest.TestCase):
    def test_the_overview_names_every_verb(self):
        for words in (["help"], ["--help"], ["-h"]):
            done = run(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for verb in VERBS:
                self.assertRegex(done.stdout, rf"\b{verb}\b")

    def test_each_verb_has_help(self):
        for verb in VERBS:
            by_verb, by_option = run("help", verb), run(verb, "--help")
            self.assertEqual(by_verb.returncode, 0)
            self.assertEqual(by_verb.stdout, by_option.stdout)
            self.assertIn(f"Usage: porthole {verb}", by_verb.stdout)

    def test_help_fits_a_terminal(self):
        for verb in VERBS:
            for line in run("help", verb).stdout.splitlines():
                self.assertLessEqual(len(line), 80, line)

    def test_versions_agree(self):
        version = run("--version").stdout
        self.assertRegex(version, r"^porthole \d+\.\d+\.\d+\n$")
        self.assertEqual(run("scan", "--version").stdout, version)

    def test_help_to_a_full_disk_fails(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([PROGRAM, "help", "scan"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("No space left on device", done.stderr)


class Manual(unittest.TestCase):
    def test_pages_are_clean(self):
        for verb in (None, *VERBS):
            page = run("help", "--format", "man", *([verb] if verb else [])).stdout
            self.assertIn(".TH", page)
            self.assertEqual(check("mandoc", "-T", "lint", "-W", "warning", stdin=page), "")

    def test_every_option_is_in_the_page(self):
        """Those of the help, and the refused ones that the help leaves out."""
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run("help", "scan").stdout))
        page = run("help", "--format", "man", "scan").stdout.replace("\\-", "-")
        for option in options:
            self.assertIn(option, page)
        self.assertIn("-sS", page)


class Completion(unittest.TestCase):
    def test_scripts_are_clean(self):
        for shell, checkers in {
            "bash": (["bash", "-n"], ["shellcheck", "-s", "bash", "-"]),
            "zsh": (["zsh", "-n"],),
            "fish": (["fish", "-n"],),
        }.items():
            script = run("help", "--format", shell).stdout
            self.assertIn("scan", script)
            for checker in checkers:
                self.assertEqual(check(*checker, stdin=script), "", checker)

    def test_bash_completes(self):
        def complete(*words):
            script = run("help", "--format", "bash").stdout
            line = " ".join(words)
            program = f"""{script}
COMP_WORDS=({' '.join("'" + word + "'" for word in words)})
COMP_CWORD={len(words) - 1}
COMP_LINE='{line}'
COMP_POINT={len(line)}
completer=$(complete -p porthole | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$completer porthole '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
            with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
                file.write(program)
                file.flush()
                done = subprocess.run(["bash", file.name], capture_output=True, text=True, check=False)
            return {word.strip() for word in done.stdout.split()}

        self.assertIn("scan", complete("porthole", "sc"))
        self.assertIn("--checkpoint", complete("porthole", "scan", "--che"))
        self.assertNotIn("--checkpoint", complete("porthole", "lookup", "--che"))
        self.assertIn("--tcp-syn", complete("porthole", "scan", "--tcp"))
        self.assertIn("lo", complete("porthole", "scan", "-e", "l"))
        self.assertIn("lo", complete("porthole", "scan", "--interface", ""))


if __name__ == "__main__":
    unittest.main()
