"""Drives http_echo over raw sockets: what HTTP/1.1 asks for, every limit, and clients that misbehave.

usage: test_http.py PATH_TO_HTTP_ECHO [name of one test]"""
import re
import signal
import socket
import subprocess
import sys
import threading
import time

ECHO = sys.argv[1]
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Server:
    def __init__(self, **options):
        self.process = subprocess.Popen([ECHO] + [f"{k}={v}" for k, v in options.items()], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if not failure[0]:
            assert code == 0, f"the server ended with {code}"

    def saw(self, text, seconds=3):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(text in line for line in self.lines):
                return True
            time.sleep(0.01)
        raise AssertionError(f"{text!r} not in {self.lines}")

    def counters(self):
        n = len(self.lines)
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for line in self.lines[n:]:
                if line.startswith("counters"):
                    return {k: int(v) for k, v in (pair.split("=") for pair in line.split()[1:])}
            time.sleep(0.01)
        raise AssertionError("no counters")

    def client(self, rcvbuf=None):
        return Client(self.port, rcvbuf)


class Client:
    def __init__(self, port, rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(5)
        self.s.connect(("127.0.0.1", port))
        self.rest = b""

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def _more(self):
        data = self.s.recv(65536)
        self.rest += data
        return bool(data)

    def head(self):
        while b"\r\n\r\n" not in self.rest:
            assert self._more(), f"closed before the end of a head: {self.rest!r}"
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}

    def exactly(self, n):
        while len(self.rest) < n:
            assert self._more(), "closed inside a body"
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def line(self):
        while b"\r\n" not in self.rest:
            assert self._more(), "closed inside a line"
        data, self.rest = self.rest.split(b"\r\n", 1)
        return data

    def answer(self, has_body=True):
        status, headers = self.head()
        body = b""
        if headers.get("transfer-encoding") == "chunked" and has_body:
            while True:
                n = int(self.line(), 16)
                body += self.exactly(n)
                assert self.line() == b""
                if not n:
                    break
        elif has_body:
            body = self.exactly(int(headers.get("content-length", 0)))
        return status, headers, body

    def ask(self, data, has_body=True):
        return self.send(data).answer(has_body)

    def is_closed(self, seconds=3):
        self.s.settimeout(seconds)
        try:
            while self._more():
                pass
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False
        return True

    def close(self):
        self.s.close()


def get(path, *headers, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", *headers, "", ""])


def refused(server, request, status, code=None):
    c = server.client()
    got, headers, body = c.ask(request)
    assert got == status, f"{request[:80]!r}: {got} {body!r}, wanted {status}"
    assert headers["connection"] == "close", headers
    if code:
        assert f'"code":"{code}"'.encode() in body, body
    assert c.is_closed(), "the connection stays open"
    c.close()


@test
def keep_alive_and_its_absence():
    with Server() as server:
        c = server.client()
        for path in ["/const", "/task", "/const"]:
            status, headers, body = c.ask(get(path))
            assert (status, body) == (200, b'{"status":"ok"}')
            assert "connection" not in headers and headers["content-length"] == "15"
            assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
        status, headers, body = c.ask(get("/task", "Connection: close"))
        assert headers["connection"] == "close" and c.is_closed()
        c = server.client()
        status, headers, body = c.ask(get("/task", "Connection: keep-alive", version="1.0"))
        assert headers["connection"] == "keep-alive"
        status, headers, body = c.ask("GET /task HTTP/1.0\r\n\r\n")
        assert headers["connection"] == "close" and body and c.is_closed()


@test
def pipelined_requests_are_answered_in_order():
    with Server() as server:
        c = server.client()
        kinds = ["/slow?ms=30", "/const", "/info?q=a", "/task", "/const", "/info?q=b", "/slow?ms=1"] * 20
        c.send("".join(get(k) for k in kinds))
        for k in kinds:
            status, _, body = c.answer()
            assert status == 200
            if "info" in k:
                assert ("q=" + k[-1]).encode() in body
        many = 3000
        sender = threading.Thread(target=lambda: c.send("".join(get(f"/info?q={i}") for i in range(many))))
        sender.start()
        for i in range(many):
            assert f"|q={i}|".encode() in c.answer()[2]
        sender.join()


@test
def a_request_may_come_byte_by_byte():
    with Server() as server:
        c = server.client()
        for byte in "\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n":
            c.send(byte)
        assert c.answer()[2] == b"abc0123456789"
        for byte in "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello":
            c.send(byte)
            time.sleep(0.001)
        assert c.answer()[2] == b"hello"


@test
def bodies_by_length_and_in_chunks():
    with Server(body_max=400000) as server:
        c = server.client()
        for n in [1, 100, 16383, 16384, 16385, 70000, 300000]:
            body = bytes(i % 251 for i in range(n))
            assert c.ask(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n".encode() + body)[2] == body
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 777]), body[i:i + 777]) for i in range(0, n, 777))
            assert c.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n" + chunks + b"0\r\n\r\n")[2] == body
        assert c.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")[2] == b""
        assert c.ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")[2] == b""


@test
def expect_100_continue():
    with Server() as server:
        c = server.client()
        c.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert c.head() == (100, {})
        assert c.ask("body")[2] == b"body"
        refused(server, "POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", 403)
        refused(server, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n", 413)
        refused(server, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: magic\r\n\r\n", 417, "expectation_failed")
        status, headers, _ = c.ask("GET /refused HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status == 403 and "connection" not in headers


@test
def head_has_the_length_but_no_body():
    with Server() as server:
        c = server.client()
        for path in ["/const", "/task"]:
            status, headers, _ = c.ask(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n", has_body=False)
            assert status == 200 and headers["content-length"] == "15"
        status, headers, _ = c.ask(get("/none"), has_body=False)
        assert status == 204 and "content-length" not in headers
        assert c.ask("HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n", has_body=False)[0] == 200
        assert c.ask(get("/const"))[2] == b'{"status":"ok"}'


@test
def targets_and_headers():
    with Server() as server:
        c = server.client()
        info = lambda target, *h: c.ask(get(target, *h))[2].decode()
        assert info("/info?q=a%20b+c&z=1", "X-Test:  v w \t") == "GET|/info?q=a%20b+c&z=1|/info|q=a b c|x=v w|2|127.0.0.1|1.1"
        assert info("http://h.example:80/info?q=1").split("|")[2:4] == ["/info", "q=1"]
        assert info("/info?q=1&q=2").startswith("invalid_query")
        assert info("/info?q=%zz").startswith("invalid_query")
        assert info("/info?q=%00").startswith("invalid_query")
        assert info("/info?q=%ff").startswith("invalid_query")
        assert info("/info", "X-Test:") .split("|")[4] == "x="
        assert c.ask(get("/info", "X-Test: h\u00e9"))[2].split(b"|")[4] == b"x=h\xe9"
        status, headers, _ = c.ask(get("/split"))
        assert "x-injected" not in headers and headers["x-value"] == "a  X-Injected: yes"


@test
def what_is_malformed_is_refused():
    h = "Host: x\r\n"
    post = "POST /echo HTTP/1.1\r\n" + h
    te = post + "Transfer-Encoding: chunked\r\n\r\n"
    with Server() as server:
        for request, status in [
            ("GET / HTTP/1.1\r\n\r\n", 400), (get("/", "Host: y"), 400), (get("/", "Host : y"), 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
            ("NOPE / HTTP/1.1\r\n" + h + "\r\n", 400), ("get / HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET  / HTTP/1.1\r\n" + h + "\r\n", 400), ("GET /a b HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET /\t HTTP/1.1\r\n" + h + "\r\n", 400), ("GET /\x00 HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET /\xe9 HTTP/1.1\r\n" + h + "\r\n", 400), ("GET /#f HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET * HTTP/1.1\r\n" + h + "\r\n", 400), ("OPTIONS * HTTP/1.1\r\n" + h + "\r\n", 400),
            ("CONNECT a:80 HTTP/1.1\r\n" + h + "\r\n", 400), ("GET a:80 HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET ftp://a/ HTTP/1.1\r\n" + h + "\r\n", 400), ("GET http:///x HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET http://u@a/x HTTP/1.1\r\n" + h + "\r\n", 400),
            ("GET / HTTP/2.0\r\n" + h + "\r\n", 505), ("GET / HTTP/1.2\r\n" + h + "\r\n", 505), ("GET / HTTP/11\r\n" + h + "\r\n", 505),
            ("GET /\r\n\r\n", 505), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("\x16\x03\x01\x02\x00\x01\x00\x01", 400),
            ("GET / HTTP/1.1\n" + h + "\n", 400), ("GET / HTTP/1.1\r\nHost: x\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400), (get("/", "A: b\r\n folded"), 400), (get("/", "A: b\r\n\tfolded"), 400),
            (get("/", "A: b\x00"), 400), (get("/", "A: b\x01"), 400), (get("/", "A: b\x7f"), 400), (get("/", "A\x00: b"), 400),
            (get("/", "no colon"), 400), (get("/", ": empty"), 400), (get("/", "A B: c"), 400), (get("/", "A\xe9: c"), 400),
            (get("/", "Content-Length: 5", "Content-Length: 5"), 400), (get("/", "Content-Length: 5", "Content-Length: 6"), 400),
            (get("/", "Content-Length: 5, 5"), 400), (get("/", "Content-Length: +5"), 400), (get("/", "Content-Length: -5"), 400),
            (get("/", "Content-Length: 0x5"), 400), (get("/", "Content-Length:"), 400), (get("/", "Content-Length: 5 5"), 400),
            (get("/", "Content-Length: 99999999999999999999999"), 400), (get("/", "Content-Length: 1e3"), 400),
            (get("/", "Content-Length : 5"), 400), (get("/", "Content-Length\t: 5"), 400),
            (get("/", "Content-Length: 5", "Transfer-Encoding: chunked"), 400), (get("/", "Transfer-Encoding: chunked", "Content-Length: 5"), 400),
            (get("/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
            (get("/", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400),
            (get("/", "Transfer-Encoding: gzip"), 501), (get("/", "Transfer-Encoding: gzip, chunked"), 501),
            (get("/", "Transfer-Encoding: chunked, chunked"), 400), (get("/", "Transfer-Encoding: chunked, identity"), 400),
            (get("/", "Transfer-Encoding: xchunked"), 501), (get("/", "Transfer-Encoding: \x0bchunked"), 400),
            (get("/", "Transfer-Encoding:"), 501), (get("/", "Transfer-Encoding : chunked"), 400),
            (get("/", "Transfer-Encoding: chunked", version="1.0"), 400),
            (te + "5\nhello\r\n0\r\n\r\n", 400), (te + "5\r\nhello\n0\r\n\r\n", 400), (te + "5\r\nhelloX\r\n0\r\n\r\n", 400),
            (te + "0x5\r\nhello\r\n0\r\n\r\n", 400), (te + "+5\r\nhello\r\n0\r\n\r\n", 400), (te + "-5\r\nhello\r\n0\r\n\r\n", 400),
            (te + " 5\r\nhello\r\n0\r\n\r\n", 400), (te + "5 \r\nhello\r\n0\r\n\r\n", 400), (te + "\r\nhello\r\n0\r\n\r\n", 400),
            (te + "5;\nx\r\nhello\r\n0\r\n\r\n", 400), (te + "5;a\rb\r\nhello\r\n0\r\n\r\n", 400), (te + "G\r\n", 400),
            (te + "0\r\nA: b\n\r\n", 400), (te + "0\r\n A: b\r\n\r\n", 400), (te + "0\r\nA: \x00\r\n\r\n", 400),
            (te + "0000000000000005\r\nhello\r\n0\r\n\r\n", 400), (te + "FFFFFFFFFFFFFFFF\r\n", 400),
            (te + "5;" + "a" * 20000 + "\r\n", 400), (te + "0\r\n" + "A: b\r\n" * 5000, 400),
        ]:
            refused(server, request, status)
        c = server.client()
        assert c.ask(get("/const"))[0] == 200


@test
def limits_on_the_head():
    with Server() as server:
        c = server.client()
        assert c.ask(get("/const?" + "a" * 8000))[0] == 200
        assert c.ask(get("/const", *[f"A{i}: b" for i in range(99)]))[0] == 200
        assert c.ask(get("/const", "A: " + "b" * 30000))[0] == 200
        refused(server, get("/const?" + "a" * 8190), 414, "uri_too_long")
        refused(server, "GET /" + "a" * 100000, 414, "uri_too_long")
        refused(server, get("/const", *[f"A{i}: b" for i in range(100)]), 431, "request_header_fields_too_large")
        refused(server, get("/const", "A: " + "b" * 33000), 431, "request_header_fields_too_large")
        refused(server, get("/const", *["A" * 700 + ": b"] * 60), 431)


@test
def limits_on_the_body():
    with Server(bodies_max=100000) as server:
        post = "POST /small HTTP/1.1\r\nHost: x\r\n"
        c = server.client()
        assert c.ask(post + "Content-Length: 10\r\n\r\n0123456789")[0] == 200
        assert c.ask(post + "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")[0] == 200
        refused(server, post + "Content-Length: 11\r\n\r\n", 413, "request_entity_too_large")
        refused(server, post + "Content-Length: 11\r\n\r\n01234567890", 413)
        refused(server, post + "Content-Length: 999999999999999999\r\n\r\n", 413)
        refused(server, post + "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n", 413)
        refused(server, post + "Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", 413)
        big = server.client().send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + "x" * 150000)
        assert big.answer()[0] == 503


@test
def slow_clients_are_cut_off():
    with Server(head_timeout_ms=200, body_timeout_ms=200, idle_timeout_ms=400, linger_ms=200) as server:
        c = server.client().send("GET /const HT")
        status, headers, body = c.answer()
        assert status == 408 and b"request_timeout" in body and c.is_closed()
        c = server.client().send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc")
        assert c.answer()[0] == 408 and c.is_closed()
        c = server.client()
        c.ask(get("/const"))
        began = time.monotonic()
        assert c.is_closed() and c.rest == b"" and 0.3 < time.monotonic() - began < 30
        c = server.client()
        assert c.is_closed()
        c = server.client().send("\r\n")
        assert c.is_closed() and c.rest == b""
        drip = server.client().send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n")
        try:
            for _ in range(50):
                drip.send("x")
                time.sleep(0.05)
        except OSError:
            pass
        assert drip.answer()[0] == 408
        assert server.counters()["timed_out"] == 4


@test
def a_steady_body_may_take_longer():
    with Server(body_timeout_ms=200, body_min_rate=10000) as server:
        c = server.client().send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(20):
            c.send("x" * 1000)
            time.sleep(0.04)
        assert c.answer()[0] == 200


@test
def an_answer_that_nobody_reads_is_given_up():
    with Server(write_timeout_ms=300) as server:
        c = server.client(rcvbuf=4096).send(get("/big?n=30000000"))
        end = time.monotonic() + 30
        while server.counters()["connections"]:
            assert time.monotonic() < end, "it was not cut off"
            time.sleep(0.05)
        c.close()
        c = server.client(rcvbuf=65536).send(get("/big?n=8000000"))
        got, began = 0, time.monotonic()
        while got < 8000000:
            got += len(c.s.recv(65536))
            time.sleep(0.006)
        assert time.monotonic() - began > 0.6


@test
def large_answers_and_what_is_pipelined_behind_them():
    with Server() as server:
        c = server.client(rcvbuf=8192)
        c.send(get("/big?n=5000000") + get("/const") + get("/task"))
        time.sleep(0.1)
        assert c.answer()[2] == b"b" * 5000000
        assert c.answer()[0] == 200 and c.answer()[0] == 200


@test
def a_client_that_leaves_cancels_its_request():
    with Server() as server:
        c = server.client().send(get("/slow?ms=5000"))
        time.sleep(0.1)
        assert server.counters()["requests"] == 1
        c.close()
        server.saw("slow cancelled gone=1")
        server.saw("finished /slow 499")
        c = server.client().send(get("/must?ms=300"))
        time.sleep(0.05)
        c.close()
        server.saw("must slept gone=1")
        c = server.client().send(get("/slow?ms=200"))
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        time.sleep(0.05)
        c.close()
        time.sleep(0.1)
        counters = server.counters()
        assert counters["requests"] == 0 and counters["connections"] == 0


@test
def too_many_requests_and_connections():
    with Server(max_requests=2, max_connections=4) as server:
        clients = [server.client().send(get("/slow?ms=400")) for _ in range(2)]
        time.sleep(0.05)
        third = server.client()
        status, headers, body = third.ask(get("/task"))
        assert status == 503 and headers["retry-after"] == "1" and b"service_unavailable" in body and "connection" not in headers
        assert third.ask(get("/const"))[0] == 200
        fourth = server.client()
        assert fourth.ask(get("/const"))[0] == 200
        fifth = server.client()
        status, headers, _ = fifth.answer()
        assert status == 503 and headers["retry-after"] == "1" and headers["connection"] == "close" and fifth.is_closed()
        for c in clients:
            assert c.answer()[0] == 200
        assert third.ask(get("/task"))[0] == 200
        fifth.close()
        time.sleep(0.05)
        assert server.counters()["turned_away"] == 2


@test
def streams():
    with Server() as server:
        c = server.client()
        status, headers, body = c.ask(get("/events?n=3&ms=5"))
        assert headers["transfer-encoding"] == "chunked" and headers["content-type"] == "text/event-stream"
        assert body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n" and "content-length" not in headers
        assert c.ask(get("/const"))[0] == 200
        old = server.client().send("GET /events?n=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        status, headers = old.head()
        assert headers["connection"] == "close" and "transfer-encoding" not in headers
        assert old.is_closed() and old.rest == b"data: 0\n\ndata: 1\n\n"
        c.send(get("/events?n=1000&ms=20"))
        c.head()
        c.close()
        server.saw("events cancelled")
        fast = server.client(rcvbuf=4096).send(get("/events?n=200&ms=0&size=100000"))
        time.sleep(0.2)
        assert len(fast.answer()[2]) > 200 * 100000
    with Server(write_timeout_ms=500) as server:
        stuck = server.client(rcvbuf=4096).send(get("/events?n=2000&ms=0&size=100000"))
        server.saw("events cancelled", seconds=10)
        assert server.counters()["requests"] == 0
        stuck.close()


@test
def drain_finishes_what_is_in_flight():
    with Server() as server:
        idle, kept, fresh, busy, streaming, half = [server.client() for _ in range(6)]
        idle.ask(get("/const"))
        kept.ask(get("/const"))
        busy.send(get("/slow?ms=400"))
        streaming.send(get("/events?n=1000&ms=20"))
        streaming.head()
        half.send("GET /task HTTP/1.1\r\nHo")
        time.sleep(0.05)
        server.process.terminate()
        time.sleep(0.05)
        try:
            socket.create_connection(("127.0.0.1", server.port), 1)
            raise AssertionError("still accepting")
        except ConnectionRefusedError:
            pass
        for c, rest in [(kept, get("/const")), (fresh, get("/const")), (half, "st: x\r\n\r\n"), (busy, "")]:
            status, headers, _ = c.ask(rest)
            assert status == 200 and headers["connection"] == "close" and c.is_closed()
        assert streaming.is_closed() and streaming.rest.endswith(b"0\r\n\r\n")
        assert idle.is_closed()
        server.saw("drained")
        assert server.process.wait(3) == 0


@test
def drain_cuts_off_at_its_deadline():
    with Server() as server:
        c = server.client().send(get("/slow?ms=60000"))
        time.sleep(0.05)
        server.process.terminate()
        server.saw("slow cancelled gone=1", 4)
        assert server.process.wait(3) == 0 and c.is_closed()


@test
def many_clients_at_once():
    with Server() as server:
        def work(seed):
            c = server.client()
            for i in range(50):
                kind = (i * 7 + seed) % 5
                if kind == 4:
                    body = f"{seed}-{i}" * 50
                    assert c.ask(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}")[2] == body.encode()
                else:
                    assert c.ask(get(["/const", "/task", "/slow?ms=1", "/info?q=1"][kind]))[0] == 200
            if seed % 2:
                c.send(get("/slow?ms=3000"))
            c.close()
        threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        time.sleep(0.2)
        counters = server.counters()
        assert counters["connections"] == counters["requests"] == 0, counters


def main():
    failed = 0
    for fn in TESTS:
        if len(sys.argv) > 2 and sys.argv[2] != fn.__name__:
            continue
        began = time.monotonic()
        try:
            fn()
            print(f"ok   {fn.__name__} {time.monotonic() - began:.2f} s", flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is reported, then the run fails
            failed += 1
            line = e.__traceback__
            while line.tb_next and line.tb_next.tb_frame.f_code.co_name == fn.__name__ or line.tb_frame.f_code.co_name == "main":
                line = line.tb_next
            print(f"FAIL {fn.__name__} line {line.tb_lineno}: {type(e).__name__} {e}", flush=True)
    sys.exit(1 if failed else 0)


main()
