"""HTTP byte by byte, for what a client library would not send."""
import contextlib
import json
import re
import socket
from urllib.parse import urlsplit

TCP_REPAIR = 19    # linux/tcp.h


@contextlib.contextmanager
def reserved(address="127.0.0.1:0"):
    """host:port that no other socket is given meanwhile, and where nobody answers until the service listens there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)      # as the service's own has it: then both may be bound
        held.bind((host, int(port)))
        yield f"{host}:{held.getsockname()[1]}"


class Connection:
    def __init__(self, url, timeout=60, source=None):
        address = urlsplit(url)
        self.host = address.netloc
        self.socket = socket.create_connection((address.hostname, address.port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def get(self, path, *headers, method="GET"):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers, "", ""]
        self.send("\r\n".join(lines))

    def post(self, path, body, *headers):
        """body: text or a document; headers as they stand on the wire."""
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.get(path, "Content-Type: application/json", f"Content-Length: {len(text)}", *headers, method="POST")
        self.send(text)

    def answer(self, to_head=False):
        """(status, headers in lower case, body) of the next answer."""
        head = self.until(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        headers = {
            name.lower(): value.strip()
            for name, value in re.findall(r"(?m)^([^:\r\n]+):([^\r\n]*)\r?$", head.decode("latin-1"))
        }
        if to_head or status == 100 or status in (204, 304):
            return status, headers, b""
        if "content-length" in headers:
            return status, headers, self._exactly(int(headers["content-length"]))
        body = b""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            chunk = self._exactly(size + 2)[:size]
            if size == 0:
                return status, headers, body
            body += chunk

    def vanish(self):
        """Is gone without a word, as if its machine had lost power: the other side's end stays open. Needs CAP_NET_ADMIN; does
        nothing without it."""
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            self.socket.close()

    def is_closed(self):
        """True when the other side closes without saying more."""
        try:
            return self.buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {self.buffer!r}")
        self.buffer += data

    def until(self, end):
        while end not in self.buffer:
            self._more()
        found, self.buffer = self.buffer.split(end, 1)
        return found + end

    def _exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found
