"""porthole curl beside the real curl: the same words, the same requests, bodies, formats and exit statuses."""

import os
import re
import subprocess
import unittest

from porthole import PROGRAM, TIMEOUT
from talk_peers import directory, free_port
from web import Nginx, Script, answer

BODY = b"line one\nline two\n"


class CurlTest(unittest.TestCase):
    maxDiff = None

    def both(self, *words, stdin=b"", folder=None, environment=None):
        """(ours, the real one's) finished processes for the same words."""
        environment = {**os.environ, "HOME": "/nonexistent", **(environment or {})}
        return tuple(
            subprocess.run([*program, *map(str, words)], input=stdin, capture_output=True,
                           timeout=TIMEOUT, check=False, cwd=folder, env=environment)
            for program in ([PROGRAM, "curl"], ["curl", "-A", self.agent()])
        )  # fmt: skip

    @staticmethod
    def agent():
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, check=True).stdout
        return version.decode().strip().replace(" ", "/")

    def same(self, *words, **others):
        """The same status and standard output; returns ours."""
        ours, theirs = self.both(*words, **others)
        said = ours.stderr.decode()
        self.assertEqual((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout), said)
        return ours


class Pages(CurlTest):
    """Against nginx."""

    @classmethod
    def setUpClass(cls):
        cls.web = Nginx(cls)

    @classmethod
    def addCleanup(cls, *words):  # servers of the class end with it
        cls.addClassCleanup(*words)

    def test_pages(self):
        plain, secure = self.web.plain, self.web.secure
        for words in [
            [plain],
            [f"localhost:{self.web.port}/index.html"],
            ["-s", f"{plain}/big"],
            ["-sk", f"{secure}/big"],
            ["-k", "--http1.1", f"{secure}/"],
            ["--cacert", self.web.certificate.file, f"{secure}/"],
            [f"{secure}/"],
            ["-L", f"{plain}/three"],
            ["-sL", "-o", "/dev/null", "-w", "%{url_effective}", f"{plain}/three"],
            ["-L", "--max-redirs", "2", f"{plain}/three"],
            ["-L", "--max-redirs", "0", f"{plain}/moved"],
            ["-L", f"{plain}/loop"],
            ["-L", f"{plain}/file"],
            ["-f", f"{plain}/fails"],
            ["--fail-with-body", f"{plain}/fails"],
            ["-fL", f"{plain}/moved", f"{plain}/fails", "--fail-early", f"{plain}/"],
            [f"{plain}/fails", f"{plain}/", f"{plain}/echo"],
            ["-d", "a=b", f"{plain}/echo"],
            ["-Ld", "a=b", f"{plain}/see"],
            ["-Ld", "a=b", f"{plain}/found"],
            ["-Ld", "a=b", f"{plain}/same"],
            ["-L", "-X", "POST", f"{plain}/found"],
            ["-L", "-X", "POST", "-d", "a=b", f"{plain}/see"],
            ["-L", "--post302", "-d", "a=b", f"{plain}/found"],
            ["-u", "somebody:secret", f"{plain}/private"],
            ["-u", "somebody:wrong", "-f", f"{plain}/private"],
            ["--anyauth", "-u", "somebody:secret", f"{plain}/private"],
            ["-b", "a=b", f"{plain}/echo"],
            ["-L", "-b", "", f"{plain}/cookie"],
            ["-r", "1-3", f"{plain}/"],
            ["--compressed", f"{plain}/packed.txt"],
            ["-H", "Authorization: x", "-H", "Cookie: y=z", "-L", f"{plain}/found"],
            ["--json", '{"a": 1}', f"{plain}/echo"],
            ["--json", "{}", "-H", "Content-Type: text/x", f"{plain}/echo"],
            ["-G", "-d", "a=b", f"{plain}/echo"],
            ["-T", self.web.folder / "big", f"{plain}/body"],
            ["--data-binary", f"@{self.web.folder}/big", f"{plain}/body"],
            ["-g", "-q", "-N", "--tlsv1.2", "--no-progress-meter", f"{plain}/"],
        ]:
            with self.subTest(words=words):
                self.same(*words)

    def test_headers(self):
        """But for what differs each time."""
        for words in (["-I"], ["-i"], ["-iL"], ["-IL"], ["-sD", "-", "-o", "/dev/null"]):
            with self.subTest(words=words):
                ours, theirs = self.both(*words, f"{self.web.plain}/moved")
                self.assertEqual(*(re.sub(rb"Date: .*", b"", done.stdout) for done in (ours, theirs)))

    def test_formats(self):
        names = ["content_type", "errormsg", "exitcode", "filename_effective", "http_code",
                 "http_connect", "http_version", "method", "num_certs", "num_connects", "num_headers",
                 "num_redirects", "redirect_url", "referer", "remote_ip", "remote_port",
                 "response_code", "scheme", "size_download", "size_header", "size_request", "size_upload",
                 "ssl_verify_result", "url_effective", "urlnum", "nonsense"]  # fmt: skip
        text = "".join(f"{name}=%{{{name}}}\\n" for name in names)
        text += "%header{server} %header{Content-Type} %% % %{ \\t\\r\\x %header{nonsense}"
        for words in (
            [f"{self.web.plain}/"],
            [f"{self.web.plain}/moved"],
            ["-L", f"{self.web.plain}/three"],
            ["-k", f"{self.web.secure}/"],
            ["-d", "a=b", f"{self.web.plain}/fails"],
            ["-I", f"{self.web.plain}/empty"],
            ["-e", "http://before/", f"{self.web.plain}/", f"{self.web.plain}/echo"],
        ):
            with self.subTest(words=words):
                ours, theirs = self.both("-s", *words, "-o", "/dev/null", "-o", "/dev/null", "-w", text)
                self.assertEqual(ours.stdout.decode(), theirs.stdout.decode())

    def test_times(self):
        text = " ".join(f"%{{time_{name}}}" for name in (
            "namelookup", "connect", "appconnect", "pretransfer", "starttransfer", "total"))  # fmt: skip
        done = self.both("-sk", "-o", "/dev/null", "-w", text, f"{self.web.secure}/")[0]
        times = [float(word) for word in done.stdout.split()]
        self.assertEqual(len(times), 6)
        self.assertEqual(times, sorted(times))
        self.assertRegex(done.stdout.decode(), r"^(\d+\.\d{6} ?){6}$")

    def test_formats_from_elsewhere(self):
        file = directory(self) / "format"
        file.write_text("%{http_code}\\n")
        for words in (["-w", f"@{file}"], ["-w", "@-"], ["-w", "%{stderr}x%{stdout}y"]):
            self.same("-s", "-o", "/dev/null", *words, f"{self.web.plain}/", stdin=b"%{http_code}")

    def test_files(self):
        for words in (
            ["-o", "a", f"{self.web.plain}/"],
            ["-O", f"{self.web.plain}/index.html"],
            ["-O", "-o", "b", f"{self.web.plain}/index.html", f"{self.web.plain}/echo"],
            ["-o", "b", f"{self.web.plain}/empty"],
            ["-f", "-o", "b", f"{self.web.plain}/fails"],
            ["-D", "headers", "-o", "b", f"{self.web.plain}/empty"],
            ["-c", "jar", "-o", "b", f"{self.web.plain}/cookie"],
        ):
            with self.subTest(words=words):
                folders = [directory(self), directory(self)]
                ours = self.both("-s", *words, folder=folders[0])[0]
                for file in folders[0].iterdir():
                    file.unlink()
                ours, _ = self.both("-s", *words, folder=folders[0])
                found = self.read(folders[0])
                theirs = subprocess.run(["curl", "-s", "-A", self.agent(), *words], cwd=folders[1],
                                        capture_output=True, timeout=TIMEOUT, check=False)  # fmt: skip
                self.assertEqual(ours.returncode, theirs.returncode)
                self.assertEqual(found, self.read(folders[1]))

    @staticmethod
    def read(folder):
        """{name: text without what differs each time}"""
        return {
            file.name: re.sub(rb"Date: .*", b"", file.read_bytes()) for file in folder.iterdir()
        }

    def test_a_link_by_the_name(self):
        link = directory(self) / "curl"
        link.symlink_to(PROGRAM)
        done = subprocess.run([link, "-s", self.web.plain], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"hello\n", b""))
        done = subprocess.run([link, "-V"], capture_output=True, check=False)
        self.assertIn(b"porthole", done.stdout)

    def test_verbose(self):
        """The lines of the request and the answer are those of the real one."""
        lines = []
        for done in self.both("-sv", "-o", "/dev/null", f"{self.web.plain}/index.html"):
            text = re.sub(r"Date: .*", "", done.stderr.decode())
            lines.append([line.rstrip() for line in text.splitlines() if line[:1] in "<>"])
        self.assertEqual(*lines)


class Faults(CurlTest):
    def test_statuses(self):
        port = free_port()
        silent = Script(self, b"")
        slow = Script(self, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow", stays=True)
        cut = Script(self, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")
        long = Script(self, answer(b"x" * 1_000_000))
        odd = Script(self, b"this is no TLS\r\n", hasty=True)
        strange = Script(self, b"\x01\x02strange\r\n\r\n")
        unpackable = Script(self, answer(b"no gzip", headers=["Content-Encoding: gzip"]))
        for status, words in [
            (1, ["ftps2://localhost/"]),
            (3, ["http://localhost:99999/"]),
            (6, ["http://" + "x" * 64 + ".example/"]),  # too long a name for anybody to be asked
            (5, ["-x", "http://" + "x" * 64 + ".example:80", "http://localhost/"]),
            (7, [f"http://127.0.0.1:{port}/"]),
            (18, [cut.url]),
            (28, ["-m", "0.3", slow.url]),
            (35, [f"https://{odd.where}/"]),
            (52, [silent.url]),
            (1, [strange.url]),
            (61, ["--compressed", unpackable.url]),
            (23, ["-o", "/dev/full", long.url]),
            (7, ["--unix-socket", "/nowhere/socket", "http://localhost/"]),
            (58, ["-k", "--cert", "/nowhere/file", f"https://{odd.where}/"]),
            (77, ["--cacert", "/nowhere/file", f"https://{odd.where}/"]),
            (2, ["--no-such-option", "http://localhost/"]),
            (2, []),
            (26, ["-T", "/nowhere/file", "http://localhost/"]),
        ]:
            with self.subTest(words=words):
                ours, theirs = self.both(*words)
                self.assertEqual((ours.returncode, theirs.returncode), (status, status), ours.stderr)
                self.assertEqual(len(ours.stderr.splitlines()), 1, ours.stderr)
                if status not in (2, 26):
                    self.assertIn(f"porthole curl: ({status}) ".encode(), ours.stderr)

    def test_silence(self):
        url = f"http://127.0.0.1:{free_port()}/"
        for words, lines in (["-s"], 0), (["-sS"], 1), ([], 1):
            done = self.both(*words, url)[0]
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (7, lines))

    def test_requests(self):
        """Byte for byte what the real one sends, but for the name that is its own."""
        folder = directory(self)
        (folder / "file").write_bytes(b"one\r\ntwo\0\n")
        (folder / "headers").write_text("X-One: 1\nX-Two: 2\n")
        for words in [
            [],
            ["-I"],
            ["-X", "DELETE"],
            ["-d", "a=1", "-d", "b=2"],
            ["-d", "@file", "--data-binary", "@file", "--data-raw", "@x"],
            ["-d", "@-"],
            ["--data-urlencode", "a=b c&d", "--data-urlencode", "ä ö", "--data-urlencode", "=~x"],
            ["--data-urlencode", "n@file", "--data-urlencode", "@file"],
            ["-G", "-d", "a=1", "--data-urlencode", "b=c d"],
            ["-G", "-I", "-d", "a=1"],
            ["--json", "[1]", "--json", "[2]"],
            ["-T", "file"],
            ["-T", "-"],
            ["-H", "Accept:", "-H", "X-Empty;", "-H", "@headers", "-H", "Host: other"],
            ["-A", "me", "-e", "http://before/"],
            ["-A", ""],
            ["-u", "me:pw", "-b", "a=b; c=d", "-r", "5-"],
            ["--compressed", "-0"],
            ["--http2"],
            ["--path-as-is", "--request-target", "/x/../y"],
            ["-H", "Expect:", "-d", "x" * 3000],
            ["-x", "{where}", "-U", "me:pw", "--noproxy", "other"],
        ]:
            with self.subTest(words=words):
                server = Script(self, answer(BODY))
                words = [word.replace("{where}", server.where) for word in words]
                self.both(*words, f"{server.url}a/../b?c=d#e", stdin=b"in\nput", folder=folder)
                ours, theirs = server.requests
                if words == ["--compressed", "-0"]:
                    self.assertIn(b"gzip", ours)
                self.assertEqual(ours, theirs)

    def test_environment(self):
        proxy = Script(self, answer(BODY))
        self.same("http://web.example/", environment={"http_proxy": proxy.url})
        self.same("http://web.example/", environment={"ALL_PROXY": proxy.url})
        server = Script(self, answer(b"direct"))
        self.same(server.url, environment={"http_proxy": proxy.url, "no_proxy": "127.0.0.1"})

    def test_what_is_refused_says_what_to_do(self):
        for words in (["-F", "a=b"], ["-K", "file"], ["-C", "-"], ["--retry", "3"], ["-n"]):
            done = self.both(*words, "http://127.0.0.1:1/")[0]
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"option '{words[0]}' is refused: ".encode(), done.stderr)

    def test_closed_pipe(self):
        server = Script(self, answer(b"x" * 1_000_000))
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([PROGRAM, "curl", "-s", server.url], stdout=writer, check=False,
                              stderr=subprocess.PIPE)  # fmt: skip
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (23, b""))


if __name__ == "__main__":
    unittest.main()
