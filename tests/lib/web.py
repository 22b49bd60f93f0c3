"""Web servers for tests of `get` and `curl`: nginx with pages of many kinds, and a server that answers
with exactly the bytes that a test gives it."""

import contextlib
import os
import socket
import threading

from servers import Server
from sockets import listening_ports
from talk_peers import Certificate, directory, free_port

PAGES = """
location = /echo { return 200 "$request_method|$http_content_type|$http_authorization|$http_cookie\\n"; }
location = /moved { return 302 /index.html; }
location = /see { return 303 /echo; }
location = /found { return 302 /echo; }
location = /same { return 307 /echo; }
location = /loop { return 302 /loop; }
location = /three { return 302 /two; }
location = /two { return 301 /one; }
location = /one { return 308 /index.html; }
location = /file { return 302 file:///etc/passwd; }
location = /secure { return 302 https://localhost:%(tls_port)d/index.html; }
location = /cookie { add_header Set-Cookie "taste=sweet"; return 302 /echo; }
location = /fails { return 503 "not today\\n"; }
location = /empty { return 204; }
location = /slow { limit_rate 1000; alias %(folder)s/big; }
location = /body { client_body_in_single_buffer on; proxy_pass http://127.0.0.1:%(port)d/said; }
location = /said { return 200 "$request_method $content_length\\n"; }
location = /packed.txt { gzip on; gzip_min_length 1; gzip_types text/plain; }
location = /private { auth_basic us; auth_basic_user_file %(folder)s/users; alias %(folder)s/index.html; }
"""


class Nginx:
    """nginx on 127.0.0.1 and ::1, `plain` and `secure` being the URLs of its two ports without a
    path. `protocol`: " http2" makes the plain one speak HTTP/2 alone. Files in `folder`: index.html,
    big, packed.txt."""

    def __init__(self, test, protocol=""):
        self.protocol = protocol
        self.folder = directory(test)
        self.certificate = Certificate(self.folder)
        self.port, self.tls_port = free_port(), free_port()
        self.plain = f"http://localhost:{self.port}"
        self.secure = f"https://localhost:{self.tls_port}"
        self.index = "hello\n"
        self.big = os.urandom(5_000_000)
        (self.folder / "index.html").write_text(self.index)
        (self.folder / "packed.txt").write_text("again and " * 1000)
        (self.folder / "big").write_bytes(self.big)
        (self.folder / "users").write_text("somebody:{PLAIN}secret\n")
        config = self.folder / "nginx.conf"
        config.write_text(self._config(), encoding="utf-8")
        server = Server(test, ["nginx", "-p", str(self.folder), "-c", str(config)])
        server.wait_for(lambda: {self.port, self.tls_port} <= set(listening_ports("127.0.0.1")))

    def _config(self):
        folder = self.folder
        places = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        pages = PAGES % {"folder": folder, "port": self.port, "tls_port": self.tls_port}
        listens = "".join(
            f"listen {host}:{self.port}{self.protocol}; listen {host}:{self.tls_port} ssl http2;\n"
            for host in ("127.0.0.1", "[::1]")
        )
        return (
            f"daemon off;\n{user}pid {folder}/nginx.pid;\nerror_log stderr crit;\n"
            f"worker_processes 1;\nevents {{ worker_connections 64; }}\n"
            f"http {{\n{places}access_log off;\ndefault_type text/plain;\nkeepalive_timeout 5;\n"
            f"server {{\n{listens}ssl_certificate {self.certificate.file};\n"
            f"ssl_certificate_key {self.certificate.key};\nssl_protocols TLSv1.2 TLSv1.3;\n"
            f"root {folder};\nclient_max_body_size 100m;\n{pages}\n}}\n}}\n"
        )


class Script:
    """A server on loopback, or on a Unix socket where `host` is a path, that reads one request from
    each connection, answers with the next of `answers`, bytes or a list of bytes, and closes. After
    the last answer it begins again with the first. `requests` has what was asked, headers and body.

    `stays`: it does not close before the test ends. `hasty`: it answers whatever came first.
    `gate`: an event that it waits for before the last part of each answer."""

    def __init__(self, test, *answers, host="127.0.0.1", stays=False, hasty=False, gate=None):
        self.answers = [[said] if isinstance(said, bytes) else said for said in answers]
        self.stays, self.hasty, self.gate = stays, hasty, gate
        self.requests = []
        self.arrived = threading.Semaphore(0)  # one for each request
        self._open = contextlib.ExitStack()
        if "/" in host:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(host)
            self._listener.listen()
        else:
            self._listener = socket.create_server((host, 0))
            self.port = self._listener.getsockname()[1]
            self.where = f"{host}:{self.port}"
            self.url = f"http://{self.where}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        test.addCleanup(self.stop)

    def stop(self):
        """Ends it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self.gate:
            self.gate.set()
        self._thread.join()
        self._open.close()

    def _serve(self):
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.enter_context(connection)
            connection.settimeout(60)
            with contextlib.suppress(OSError):
                self.requests.append(self._read_request(connection))
                self.arrived.release()
                self._answer(connection, self.answers[number % len(self.answers)])
            number += 1
            if not self.stays:
                connection.close()

    def _answer(self, connection, parts):
        for part in parts[:-1]:
            connection.sendall(part)
        if self.gate:
            self.gate.wait(60)
        connection.sendall(parts[-1])

    def _read_request(self, connection):
        if self.hasty:
            return connection.recv(65536)
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            if not data:
                return request
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += connection.recv(65536)
        if b"chunked" in head.lower():
            while not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


def answer(body=b"", status="200 OK", headers=()):
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
