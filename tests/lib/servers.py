"""Real servers from Debian's packages, each with a configuration of its own in a directory."""

import os
import pathlib
import subprocess
import time

from namespaces import run

PATIENCE = 60  # seconds for a server to begin


class Server:
    """A server that runs in the foreground, killed at the end of the test."""

    def __init__(self, test, words, namespace=None):
        prefix = namespace.prefix if namespace else []
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(
            [*prefix, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        test.addCleanup(self.stop)

    def stop(self):
        """Ends it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()

    def wait_for(self, listening):
        """Waits until `listening()` is true; a server that ended says why."""
        deadline = time.monotonic() + PATIENCE
        while not listening():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args}: {self.process.stdout.read().decode()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.process.args} does not listen")
            time.sleep(0.02)


def sshd(test, directory, port, namespace=None):
    """OpenSSH on 127.0.0.1 and ::1, with a host key of its own."""
    directory = pathlib.Path(directory)
    key = directory / "host_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    config = directory / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey {key}\n"
        f"PidFile none\nUsePAM no\nStrictModes no\n",
        encoding="utf-8",
    )
    words = ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
    if os.geteuid() == 0:
        # As root it wants /run/sshd, which Debian's unit makes: here it gets a /run of its own.
        script = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", *words]
    return Server(test, words, namespace)


def nginx(test, directory, port, namespace=None):
    """nginx on 127.0.0.1 and ::1."""
    directory = pathlib.Path(directory)
    config = directory / "nginx.conf"
    places = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"daemon off;\n{user}pid {directory}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n"
        f"events {{ worker_connections 64; }}\n"
        f"http {{\n{places}access_log off;\n"
        f"server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; return 204; }}\n}}\n",
        encoding="utf-8",
    )
    return Server(test, ["nginx", "-p", str(directory), "-c", str(config)], namespace)


def redis(test, directory, port, namespace=None):
    """Redis on 127.0.0.1 and ::1, keeping nothing."""
    return Server(
        test,
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "::1", "--dir", str(directory),
         "--save", "", "--appendonly", "no", "--daemonize", "no"],
        namespace,
    )  # fmt: skip
