"""porthole get: pages, the conversation, redirects, records and faults, with nginx and with servers that
are not to be trusted."""

import base64
import gzip
import hashlib
import os
import pathlib
import pty
import signal
import subprocess
import threading
import time
import unittest

import records
from porthole import PROGRAM, TIMEOUT, run, start
from talk_peers import directory, free_port
from terminal import Terminal
from web import Nginx, Script, answer

BODY = b"line one\nline two\n"


def fetch(*words, **others):
    """`porthole get` with bytes as output."""
    return subprocess.run(
        [PROGRAM, "get", *map(str, words)], capture_output=True, timeout=TIMEOUT, check=False,
        **{"stdin": subprocess.DEVNULL, **others},
    )  # fmt: skip


class GetTest(unittest.TestCase):
    maxDiff = None

    def expect(self, done, status, body=None, said=None):
        """How it ended, what it printed, and words that it said."""
        stderr = done.stderr.decode()
        self.assertEqual(done.returncode, status, stderr)
        if body is not None:
            self.assertEqual(done.stdout, body)
        if said is None:
            self.assertEqual(stderr, "")
        else:
            self.assertIn(said, stderr)


class Pages(GetTest):
    """Against nginx."""

    @classmethod
    def setUpClass(cls):
        cls.web = Nginx(cls)
        cls.index = cls.web.index.encode()

    @classmethod
    def addCleanup(cls, *words):  # servers of the class end with it
        cls.addClassCleanup(*words)

    def test_a_page(self):
        for url in (f"{self.web.plain}/", f"localhost:{self.web.port}",
                    f"127.0.0.1:{self.web.port}/index.html",
                    f"[::1]:{self.web.port}"):  # fmt: skip
            with self.subTest(url):
                self.expect(fetch(url), 0, self.index)

    def test_several_pages(self):
        done = fetch(f"{self.web.plain}/", f"{self.web.plain}/empty", f"{self.web.plain}/echo")
        self.expect(done, 0, self.index + b"GET|||\n")

    def test_big_bodies_are_whole(self):
        wanted = hashlib.sha256(self.web.big).hexdigest()
        folder = directory(self)
        for url in (f"{self.web.plain}/big", f"{self.web.secure}/big"):
            with self.subTest(url):
                done = fetch("-k", url)
                self.expect(done, 0)
                self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), wanted)
                self.expect(fetch("-k", url, "-o", folder / "copy"), 0, b"")
                copy = (folder / "copy").read_bytes()
                self.assertEqual(hashlib.sha256(copy).hexdigest(), wanted)

    def test_a_slow_reader_gets_everything(self):
        with start("get", f"{self.web.plain}/big", encoding=None, bufsize=0) as process:
            data = b""
            while part := process.stdout.read(70001):
                data += part
                if len(data) < 500_000:
                    time.sleep(0.01)
            self.assertEqual(process.wait(TIMEOUT), 0)
            self.assertEqual(data, self.web.big)

    def test_head(self):
        done = fetch("-I", f"{self.web.plain}/")
        self.expect(done, 0)
        self.assertRegex(done.stdout, rb"^HTTP/1\.1 200 OK\r\n(?s:.*)\r\nContent-Length: 6\r\n")
        self.assertTrue(done.stdout.endswith(b"\r\n\r\n"))

    def test_include(self):
        head, _, body = fetch("-i", f"{self.web.plain}/").stdout.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(body, self.index)

    def test_dump_header(self):
        file = directory(self) / "headers"
        self.expect(fetch("-D", file, f"{self.web.plain}/"), 0, self.index)
        self.assertRegex(file.read_bytes(), rb"^HTTP/1\.1 200 OK\r\n")
        self.expect(fetch("-D", file, f"{self.web.plain}/empty", f"{self.web.plain}/fails"), 0)
        self.assertRegex(file.read_bytes(), rb"^HTTP/1\.1 204 (?s:.*)\nHTTP/1\.1 503 ")
        self.expect(fetch("-D", "/nowhere/x", f"{self.web.plain}/"), 3, b"", "/nowhere/x")

    def test_fail(self):
        self.expect(fetch(f"{self.web.plain}/fails"), 0, b"not today\n")
        self.expect(fetch("-f", f"{self.web.plain}/fails"), 1, b"", "status 503")
        self.expect(fetch("--fail-with-body", f"{self.web.plain}/fails"), 1, b"not today\n", "503")
        self.expect(fetch("-fs", f"{self.web.plain}/fails"), 1, b"")
        self.expect(fetch("-fsS", f"{self.web.plain}/fails"), 1, b"", "status 503")
        self.expect(fetch("-f", f"{self.web.plain}/fails", f"{self.web.plain}/"), 1, self.index, "503")

    def test_range(self):
        self.expect(fetch("-r", "1-3", f"{self.web.plain}/"), 0, b"ell")

    def test_compressed(self):
        text = (self.web.folder / "packed.txt").read_bytes()
        self.expect(fetch("--compressed", f"{self.web.plain}/packed.txt"), 0, text)
        raw = fetch("-H", "Accept-Encoding: gzip", f"{self.web.plain}/packed.txt").stdout
        self.assertEqual(gzip.decompress(raw), text)

    def test_login(self):
        url = f"localhost:{self.web.port}/private"
        self.expect(fetch("-f", url), 1, b"", "401")
        self.expect(fetch("-u", "somebody:secret", url), 0, self.index)
        self.expect(fetch(f"http://somebody:secret@{url}"), 0, self.index)

    def test_remote_name(self):
        folder = directory(self)
        self.expect(fetch("-O", f"{self.web.plain}/index.html?a/b", cwd=folder), 0, b"")
        self.assertEqual([file.name for file in folder.iterdir()], ["index.html"])
        self.expect(fetch("-O", f"{self.web.plain}/", cwd=folder), 2, b"", "names no file")
        self.expect(fetch("-O", "--path-as-is", f"{self.web.plain}/..", cwd=folder), 2, b"", "names no")

    # ---- the conversation ----

    def test_verbose(self):
        done = fetch("-v", f"{self.web.plain}/")
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.stdout, self.index)
        self.assertEqual(lines[0][:9], "* Trying ")
        self.assertIn(f"* Connected to localhost (127.0.0.1) port {self.web.port} (#0)", lines)
        for line in ("> GET / HTTP/1.1", f"> Host: localhost:{self.web.port}", "> Accept: */*", ">",
                     "< HTTP/1.1 200 OK", "< Content-Length: 6", "<"):  # fmt: skip
            self.assertIn(line, lines)
        self.assertRegex(lines[-1], r"^DNS [\d.]+ ms, connect [\d.]+ ms, first byte [\d.]+ ms, total "
                         r"[\d.]+ ms$")  # fmt: skip

    def test_verbose_with_tls(self):
        done = fetch("-v", "--ca", self.web.certificate.file, f"{self.web.secure}/")
        self.assertEqual((done.returncode, done.stdout), (0, self.index))
        text = done.stderr.decode()
        for line in (r"\* SSL connection using TLSv1.3 / TLS_\w+", r"\*  *subject: CN=localhost",
                     r"\* issuer: CN=localhost", r"\* expire date: .* GMT",
                     r"\* SSL certificate verify ok", r"\* ALPN: server accepted h2",
                     r"> GET / HTTP/2", r"< HTTP/2 200 ?",
                     r"DNS .* ms, connect .* ms, TLS .* ms, first byte .* ms, total .* ms"):  # fmt: skip
            self.assertRegex(text, rf"(?m)^{line}\.?$")

    def test_certificates(self):
        self.expect(fetch(f"{self.web.secure}/"), 1, b"", "self-signed certificate; --ca FILE")
        self.expect(fetch("-k", f"{self.web.secure}/"), 0, self.index)
        self.expect(fetch("--insecure", f"{self.web.secure}/"), 0, self.index)
        for file in (self.web.certificate.file, self.web.certificate.key):
            trusted = file == self.web.certificate.file
            done = fetch("--ca", file, f"{self.web.secure}/")
            self.assertEqual(done.returncode == 0, trusted)
        environment = {**os.environ, "SSL_CERT_FILE": self.web.certificate.file}
        self.expect(fetch(f"{self.web.secure}/", env=environment), 0, self.index)
        self.expect(fetch("--ca", "/nowhere", f"{self.web.secure}/"), 3, b"", "/nowhere")
        other = f"https://127.0.0.2:{self.web.tls_port}/"
        to = f"127.0.0.2:{self.web.tls_port}:127.0.0.1:{self.web.tls_port}"
        done = fetch("--ca", self.web.certificate.file, "--connect-to", to, other)
        self.expect(done, 1, b"", "127.0.0.2")

    def test_versions(self):
        for words, url, version in [
            ([], self.web.secure, "2"),
            (["--http1.1"], self.web.secure, "1.1"),
            (["--http1.1"], self.web.plain, "1.1"),
            (["--http1.0"], self.web.plain, "1.1"),  # nginx answers so
        ]:
            with self.subTest(words=words, url=url):
                done = fetch("-k", "--json", *words, f"{url}/")
                (record,) = records.parse(done.stdout.decode())
                self.assertEqual(record["http_version"], version)
        cleartext = Nginx(self, " http2").plain
        (record,) = records.parse(run("get", "--http2-prior-knowledge", "--json", cleartext).stdout)
        self.assertEqual((record["http_version"], record["status"]), ("2", 200))
        self.assertIn("> GET / HTTP/1.0", fetch("-v0", f"{self.web.plain}/").stderr.decode())

    def test_a_name_that_leads_elsewhere(self):
        done = fetch("--resolve", f"web.example:{self.web.port}:127.0.0.1",
                     f"http://web.example:{self.web.port}/")  # fmt: skip
        self.expect(done, 0, self.index)

    # ---- redirects ----

    def test_redirects(self):
        done = fetch(f"{self.web.plain}/three")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"302 Found", done.stdout)
        done = fetch("-L", f"{self.web.plain}/three")
        self.expect(done, 0, self.index)
        done = fetch("-Lv", f"{self.web.plain}/three")
        shown = [line for line in done.stderr.decode().splitlines() if "→" in line]
        self.assertEqual(shown, [f"302 → {self.web.plain}/two", f"301 → {self.web.plain}/one",
                                 f"308 → {self.web.plain}/index.html"])  # fmt: skip

    def test_redirects_are_shown_on_a_terminal(self):
        with Terminal([PROGRAM, "get", "-L", f"{self.web.plain}/moved"]) as terminal:
            self.assertEqual(terminal.finish(), 0)
            self.assertEqual(terminal.text, f"302 → {self.web.plain}/index.html\r\nhello\r\n")

    def test_too_many_redirects(self):
        self.expect(fetch("-L", f"{self.web.plain}/loop"), 1, b"", "50 redirects followed")
        self.expect(fetch("-L", "--max-redirs", "2", f"{self.web.plain}/three"), 1, b"", "2 redirects")
        self.expect(fetch("-L", "--max-redirs", "3", f"{self.web.plain}/three"), 0, self.index)

    def test_redirects_do_not_leave_the_web(self):
        done = fetch("--json", "-L", f"{self.web.plain}/file")
        self.expect(done, 1, None, "'file' is not spoken")
        (record,) = records.parse(done.stdout.decode())
        self.assertEqual((record["redirect"], record["followed"]), ("file:///etc/passwd", False))
        self.assertEqual(record["error"], "EPROTO")

    def test_redirect_to_tls(self):
        done = fetch("-L", "--ca", self.web.certificate.file, f"{self.web.plain}/secure")
        self.expect(done, 0, self.index)
        self.expect(fetch("-L", f"{self.web.plain}/secure"), 1, b"", "certificate")

    def test_what_becomes_of_a_post(self):
        form = b"application/x-www-form-urlencoded"
        for words, page, said in [
            ([], "see", b"GET|"),
            ([], "found", b"GET|"),
            ([], "same", b"POST|" + form),
            (["--post302"], "found", b"POST|" + form),
            (["-X", "POST"], "found", b"GET|"),
            (["-X", "POST"], "same", b"POST|" + form),
        ]:
            with self.subTest(words=words, page=page):
                done = fetch("-L", "-d", "a=b", *words, f"{self.web.plain}/{page}")
                self.expect(done, 0, said + b"||\n")

    def test_cookies(self):
        url = f"{self.web.plain}/cookie"
        jar = directory(self) / "jar"
        self.expect(fetch("-L", url), 0, b"GET|||\n")
        self.expect(fetch("-L", "-b", "", url), 0, b"GET|||taste=sweet\n")
        self.expect(fetch("-L", "-c", jar, url), 0, b"GET|||taste=sweet\n")
        self.expect(fetch("-b", jar, f"{self.web.plain}/echo"), 0, b"GET|||taste=sweet\n")
        self.expect(fetch("-b", "a=b", "-b", "c=d", f"{self.web.plain}/echo"), 0, b"GET|||a=b; c=d\n")

    # ---- records ----

    def test_records(self):
        done = fetch("--json", "-L", "-k", f"{self.web.plain}/secure", f"{self.web.plain}/fails")
        self.expect(done, 0)
        first, second, third = records.parse(done.stdout.decode())
        self.assertEqual((first["status"], first["followed"]), (302, True))
        self.assertEqual(first["redirect"], second["url"])
        self.assertEqual(first["remote"], f"127.0.0.1:{self.web.port}")
        self.assertNotIn("tls", first)
        self.assertEqual(second["body_bytes"], 6)
        self.assertIn(["content-length", "6"], second["headers"])
        tls = second["tls"]
        self.assertEqual((tls["protocol"], tls["alpn"]), ("TLSv1.3", "h2"))
        self.assertEqual((tls["verified"], tls["verdict"]), (False, "self-signed certificate"))
        self.assertEqual(tls["certificates"][0]["subject"], "CN=localhost")
        self.assertEqual(set(second["timing_ms"]), {"dns", "connect", "tls", "first_byte", "total"})
        self.assertEqual((third["status"], third["body_bytes"]), (503, 10))

    def test_records_and_a_body(self):
        file = directory(self) / "body"
        done = fetch("--json", "-o", file, f"{self.web.plain}/")
        (record,) = records.parse(done.stdout.decode())
        self.assertEqual((record["body_bytes"], file.read_bytes()), (6, self.index))

    def test_records_of_failures(self):
        port = free_port()
        done = fetch("--json", "-f", f"localhost:{port}", f"{self.web.plain}/fails",
                     f"http://u:p@localhost:{self.web.port}/")  # fmt: skip
        refused, failed, fine = records.parse(done.stdout.decode())
        self.assertEqual(done.returncode, 1)
        self.assertEqual(refused["error"], "ECONNREFUSED")
        self.assertEqual((failed["status"], failed["error"]), (503, "EBADMSG"))
        self.assertEqual(fine["url"], f"{self.web.plain}/")  # without the password
        self.assertNotIn("error", fine)

    # ---- uploads ----

    def test_uploads_arrive_whole(self):
        data = self.web.big
        file = directory(self) / "upload"
        file.write_bytes(data)
        said = b"%s " + str(len(data)).encode() + b"\n"
        self.expect(fetch("-T", file, f"{self.web.plain}/body"), 0, said % b"PUT")
        self.expect(fetch("--data-binary", f"@{file}", f"{self.web.plain}/body"), 0, said % b"POST")


class Faults(GetTest):
    """Servers that say whatever the test wants them to."""

    def test_what_is_sent(self):
        server = Script(self, answer(BODY))
        self.expect(fetch(f"localhost:{server.port}"), 0, BODY)
        version = run("--version").stdout.split()[1]
        self.assertEqual(server.requests[0].decode(), f"GET / HTTP/1.1\r\nHost: localhost:{server.port}"
                         f"\r\nUser-Agent: porthole/{version}\r\nAccept: */*\r\n\r\n")  # fmt: skip

    def test_netcat_shows_the_request(self):
        """As a tutorial has it: `nc -l 8080` here, the request of the other side there."""
        port = free_port()
        reply = b"HTTP/1.0 200 OK\r\n\r\nhi\n"
        with subprocess.Popen(["nc.openbsd", "-l", "-N", "127.0.0.1", str(port)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as netcat:  # fmt: skip
            deadline = time.monotonic() + 60
            while fetch_port_is_free(port):
                self.assertLess(time.monotonic(), deadline)
            with start("get", f"http://localhost:{port}", encoding=None) as process:
                lines = [netcat.stdout.readline() for _ in range(5)]
                netcat.stdin.write(reply)
                netcat.stdin.close()
                self.assertEqual(process.stdout.read(), b"hi\n")
                self.assertEqual(process.wait(TIMEOUT), 0)
        version = run("--version").stdout.split()[1]
        self.assertEqual(
            [line.decode() for line in lines],
            ["GET / HTTP/1.1\r\n", f"Host: localhost:{port}\r\n",
             f"User-Agent: porthole/{version}\r\n", "Accept: */*\r\n", "\r\n"],
        )  # fmt: skip

    def test_headers(self):
        server = Script(self, answer())
        file = directory(self) / "headers"
        file.write_text("X-One: 1\r\nX-Two: 2\n\n")
        fetch("-H", "Accept:", "-H", "Host: other", "-H", "X-Empty;", "-H", f"@{file}", "-A", "",
              "-e", "http://before/", server.url)  # fmt: skip
        self.assertEqual(server.requests[0].split(b"\r\n"),
                         [b"GET / HTTP/1.1", b"Host: other", b"Referer: http://before/", b"X-Empty:",
                          b"X-One: 1", b"X-Two: 2", b"", b""])  # fmt: skip

    def test_options_do_not_smuggle(self):
        for option in ["-H", "-A", "-e", "-b", "-r", "-X", "--request-target"]:
            with self.subTest(option=option):
                done = fetch(option, "X=1: 1\r\nY: 2", "http://localhost:1/")
                self.expect(done, 2, b"", "line end")

    def test_data(self):
        server = Script(self, answer())
        file = directory(self) / "data"
        file.write_bytes(b"one\r\ntwo\0\n")
        for words, data in [
            (["-d", "a=1", "-d", "b=2"], b"a=1&b=2"),
            (["-d", f"@{file}"], b"onetwo"),
            (["--data-binary", f"@{file}"], b"one\r\ntwo\0\n"),
            (["--data-raw", "@x"], b"@x"),
            (["--data-urlencode", "a=b c&d"], b"a=b+c%26d"),
            (["--data-urlencode", "b c"], b"b+c"),
            (["--data-urlencode", "=b=c"], b"b%3Dc"),
            (["--data-urlencode", f"f@{file}"], b"f=one%0D%0Atwo%00%0A"),
            (["-d", ""], b""),
        ]:
            with self.subTest(words=words):
                self.expect(fetch(*words, server.url), 0, b"")
                head, _, body = server.requests[-1].partition(b"\r\n\r\n")
                self.assertEqual((head.split()[0], body), (b"POST", data))

    def test_data_in_the_url(self):
        server = Script(self, answer())
        fetch("-G", "-d", "a=1", "--data-urlencode", "b=c d", server.url + "x?y=z")
        self.assertTrue(server.requests[0].startswith(b"GET /x?y=z&a=1&b=c+d HTTP"))

    def test_standard_input(self):
        server = Script(self, answer(BODY))
        done = fetch("-T", "-", server.url, stdin=None, input=b"typed")
        self.expect(done, 0, BODY)
        self.assertTrue(server.requests[0].startswith(b"PUT / HTTP"))
        self.assertTrue(server.requests[0].endswith(b"5\r\ntyped\r\n0\r\n\r\n"))
        self.expect(fetch("-d", "@-", server.url, stdin=None, input=b"said"), 0, BODY)
        self.assertTrue(server.requests[1].endswith(b"\r\n\r\nsaid"))

    def test_an_answer_comes_before_the_input_ends(self):
        """Standard input that says nothing does not keep an answer from being shown."""
        server = Script(self, answer(BODY), hasty=True)
        with start("get", "-T", "-", server.url, stdin=subprocess.PIPE, encoding=None) as process:
            self.assertEqual(process.stdout.read(), BODY)
            process.stdin.close()

    def test_credentials_stay_with_the_first_host(self):
        second = Script(self, answer(BODY))
        first = Script(self, answer(status="302 Found", headers=[f"Location: {second.url}"]))
        words = ["-L", "-u", "me:pw", "-b", "c=1", "-H", "Cookie: d=2", "-H", "authorization: x",
                 "-H", "Host: h", "-H", "X-Mine: 1"]  # fmt: skip
        self.expect(fetch(*words, first.url), 0, BODY)
        self.assertIn(b"Cookie: ", first.requests[0])
        told = second.requests[0]
        for secret in (b"uthorization", b"Cookie", b"Host: h\r\n"):
            self.assertNotIn(secret, told)
        self.assertIn(b"X-Mine: 1\r\n", told)
        self.expect(fetch("-L", f"http://me:pw@{first.where}/"), 0, BODY)
        self.assertIn(base64.b64encode(b"me:pw"), first.requests[1])
        self.assertNotIn(b"uthorization", second.requests[1])
        self.expect(fetch(*words, "--location-trusted", first.url), 0, BODY)
        self.assertIn(b"uthorization", second.requests[2])

    def test_credentials_stay_on_the_same_host(self):
        server = Script(self, answer(status="302 Found", headers=["Location: /b"]), answer(BODY))
        self.expect(fetch("-L", f"http://me:pw@{server.where}/a"), 0, BODY)
        for request in server.requests:
            self.assertIn(base64.b64encode(b"me:pw"), request)

    def test_digest(self):
        asks = answer(status="401 No", headers=['WWW-Authenticate: Digest realm="us", nonce="n1"'])
        for words in (["--digest"], ["--anyauth"]):
            server = Script(self, asks, answer(BODY))
            self.expect(fetch(*words, "-f", "-u", "me:pw", server.url), 0, BODY)
            self.assertNotIn(b"Basic", server.requests[0] + server.requests[1])
            self.assertRegex(server.requests[1], rb'Authorization: Digest username="me", ?realm="us"')

    def test_chunks(self):
        server = Script(self, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n")  # fmt: skip
        self.expect(fetch(server.url), 0, b"hello world")

    def test_bodies_that_are_cut_off(self):
        folder = directory(self)
        file = folder / "file"
        for cut in (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"):  # fmt: skip
            server = Script(self, cut)
            self.expect(fetch(server.url), 1, b"only this", "porthole get: ")
            self.expect(fetch("-o", file, server.url), 1, b"", "porthole get: ")
            self.assertEqual(list(folder.iterdir()), [])
        file.write_bytes(b"old")
        self.expect(fetch("-o", file, server.url), 1, b"", "porthole get: ")
        self.assertEqual(file.read_bytes(), b"old")
        self.assertEqual(list(folder.iterdir()), [file])

    def test_no_answer(self):
        for said in (b"", b"\xff\xfe\x00nonsense\r\n\r\n", b"HTTP/1.1 99999999999 x\r\n\r\n"):
            with self.subTest(said):
                self.expect(fetch(Script(self, said).url), 1, b"", "porthole get: ")

    def test_refused(self):
        port = free_port()
        self.expect(fetch(f"127.0.0.1:{port}"), 1, b"", "Connection refused")

    def test_unknown_host(self):
        name = "x" * 64 + ".example"  # too long for a name, so that nobody is asked
        self.expect(fetch(f"http://{name}/"), 1, b"", "Could not resolve host")

    def test_no_url(self):
        for words, said in [
            (["http://[::1"], "no URL"),
            (["http://localhost:99999/"], "no URL"),
            (["ftp://localhost/"], "'ftp' is not spoken"),
            (["file:///etc/passwd"], "'file' is not spoken"),
            (["http://a b/"], "no URL"),
            ([""], "no URL"),
        ]:
            with self.subTest(words=words):
                self.expect(fetch(*words), 2, b"", said)

    def test_time_is_over(self):
        server = Script(self, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslowly", stays=True)
        self.expect(fetch("-m", "0.3", server.url), 1, b"slowly", "timed out")

    def test_https_by_its_port(self):
        server = Script(self, b"this is no TLS", hasty=True)
        to = f"::127.0.0.1:{server.port}"
        self.expect(fetch("--connect-to", to, "localhost:443"), 1, b"", "SSL")
        self.expect(fetch("--connect-to", to, "localhost:8443"), 1, b"", "SSL")

    def test_hostile_headers(self):
        evil = "X-Evil: \x1b[2Jboo\x07 \u202eback\u202c\x9b1m"
        server = Script(self, answer(BODY, headers=[evil]))
        for words in (["-v"], ["-vv"], ["-L"]):
            stderr = fetch(*words, server.url).stderr
            self.assertTrue(stderr.decode().replace("\n", "").isprintable(), stderr)
        self.assertIn(rb"\x1b[2Jboo\x07", fetch("-v", server.url).stderr)
        # Raw where it is no terminal, and escaped where it is one.
        self.assertIn(evil.encode(), fetch("-i", server.url).stdout)
        for words in (["-i"], ["-I"]):
            with Terminal([PROGRAM, "get", *words, server.url]) as terminal:
                terminal.finish()
                self.assertTrue(terminal.text.replace("\r\n", "").isprintable(), terminal.text)
                self.assertIn("\\x1b[2J", terminal.text)

    def test_hostile_redirects(self):
        server = Script(self, answer(status="302 \x1b[31mred", headers=["Location: /\x1b[2J\x9b"]))
        for words in (["-Lv"], ["-L"], ["-v"]):
            done = fetch("--max-redirs", "1", *words, server.url)
            self.assertTrue(done.stderr.decode().replace("\n", "").isprintable(), done.stderr)

    def test_hostile_records(self):
        server = Script(self, b"HTTP/1.1 200 OK\r\nX: \xff\x1b\r\nContent-Length: 0\r\n\r\n")
        done = fetch("--json", server.url)
        (record,) = records.parse(done.stdout.decode("ascii"))
        self.assertEqual(record["headers"][0], ["X", "\\xff\\x1b"])

    def test_binary_bodies_stay_off_a_terminal(self):
        server = Script(self, answer(b"text\n\0\x1b[2Jbinary"))
        with Terminal([PROGRAM, "get", server.url]) as terminal:
            self.assertEqual(terminal.finish(), 3)
            self.assertEqual(terminal.text,
                             "porthole get: binary body: give -o FILE or pipe it\r\n")  # fmt: skip
        with Terminal([PROGRAM, "get", "-o", "-", server.url]) as terminal:
            self.assertEqual(terminal.finish(), 0)
            self.assertIn("binary", terminal.text)
        self.expect(fetch(server.url), 0, b"text\n\0\x1b[2Jbinary")

    # ---- outputs and signals ----

    def test_full_disk(self):
        server = Script(self, answer(BODY))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "get", server.url], stdout=full, stderr=subprocess.PIPE,
                                  check=False)  # fmt: skip
        self.assertEqual(done.returncode, 3)
        self.assertEqual(done.stderr.decode(),
                         "porthole get: cannot write standard output: No space left on device\n")  # fmt: skip
        done = fetch("--json", "-o", "/dev/full", server.url)
        self.assertEqual(done.returncode, 3)

    def test_output_that_cannot_be(self):
        server = Script(self, answer(BODY))
        self.expect(fetch("-o", "/nowhere/file", server.url), 3, b"", "/nowhere/file")
        self.assertEqual(server.requests, [])  # nothing was asked for

    def test_closed_pipe(self):
        server = Script(self, answer(b"x" * 1_000_000))
        for words in ([], ["--json"], ["-i"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([PROGRAM, "get", *words, server.url], stdout=writer,
                                  stderr=subprocess.PIPE, check=False)  # fmt: skip
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (141, b""))

    def test_interrupted(self):
        server = Script(self, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslowly", stays=True)
        folder = directory(self)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with start("get", "-o", folder / "file", server.url) as process:
                server.arrived.acquire()
                process.send_signal(number)
                self.assertEqual(process.wait(TIMEOUT), -number)
                self.assertEqual(process.stderr.read(), "")
            self.assertEqual(list(folder.iterdir()), [])

    def test_interrupted_while_nobody_reads(self):
        server = Script(self, answer(b"x" * 10_000_000))
        with start("get", server.url, encoding=None) as process:
            server.arrived.acquire()
            process.stdout.read(10)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(TIMEOUT), -signal.SIGINT)

    def test_ignored_signals_stay_ignored(self):
        gate = threading.Event()
        server = Script(self, answer(BODY), gate=gate)
        script = 'trap "" INT; exec "$0" get "$1"'
        with subprocess.Popen(["sh", "-c", script, PROGRAM, server.url], stdout=subprocess.PIPE) as p:
            server.arrived.acquire()
            p.send_signal(signal.SIGINT)
            gate.set()
            self.assertEqual(p.stdout.read(), BODY)
            self.assertEqual(p.wait(TIMEOUT), 0)

    def test_progress_on_a_terminal(self):
        """It appears where the body goes elsewhere, and leaves nothing behind."""
        gate = threading.Event()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n"
        server = Script(self, [head + b"x" * 1024, b"x" * 3072], gate=gate)
        file = directory(self) / "body"
        with Terminal([PROGRAM, "get", "-o", str(file), server.url]) as terminal:
            terminal.wait_for(r"\r1\.0 KiB of 4\.0 KiB, 25%, ")
            gate.set()
            self.assertEqual(terminal.finish(), 0)
            self.assertRegex(terminal.text, r"\r +\r$")
        self.assertEqual(file.stat().st_size, 4096)

    # ---- ways ----

    def test_unix_socket(self):
        folder = directory(self)
        server = Script(self, answer(BODY), host=str(folder / "socket"))
        done = fetch("--unix-socket", folder / "socket", "--json", "-o", "-", "http://web.example/")
        body, _, record = done.stdout.partition(BODY)
        self.assertEqual((done.returncode, body), (0, b""))
        self.assertEqual(records.parse(record.decode())[0]["remote"], f"unix:{folder}/socket")
        self.assertIn(b"Host: web.example\r\n", server.requests[0])

    def test_proxies(self):
        proxy = Script(self, answer(BODY))
        target = "http://web.example/page"
        self.expect(fetch("-x", proxy.where, target), 0, BODY)
        self.assertTrue(proxy.requests[0].startswith(b"GET http://web.example/page HTTP/1.1\r\n"))
        environment = {**os.environ, "http_proxy": proxy.url}
        self.expect(fetch(target, env=environment), 0, BODY)
        server = Script(self, answer(b"direct"))
        self.expect(fetch("--noproxy", "*", server.url, env=environment), 0, b"direct")
        self.expect(fetch("-x", "", server.url, env=environment), 0, b"direct")
        fetch("-x", proxy.where, "-U", "me:pw", target)
        self.assertIn(b"Proxy-Authorization: Basic " + base64.b64encode(b"me:pw"), proxy.requests[-1])

    def test_no_files_of_the_home_directory(self):
        home = directory(self)
        (home / ".netrc").write_text("machine 127.0.0.1 login me password pw\n")
        (home / ".curlrc").write_text("--header X-Mine: 1\n")
        server = Script(self, answer(BODY))
        self.expect(fetch(server.url, env={**os.environ, "HOME": str(home)}), 0, BODY)
        self.assertNotIn(b"uthorization", server.requests[0])
        self.assertNotIn(b"X-Mine", server.requests[0])


def fetch_port_is_free(port):
    """Does nobody listen there yet?"""
    table = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii")
    return f"0100007F:{port:04X} 00000000:0000 0A" not in table


if __name__ == "__main__":
    unittest.main()
