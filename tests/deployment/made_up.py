"""Options, loads and servers that nobody measured or started."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from recipe_helpers.deployment.decision import Option
from recipe_helpers.deployment.serving import Load, Loads, Server
from recipe_helpers.recipe.timing import Ratio

WAIT_S = 0.03


def option(name, file_bytes=100, relative=0.01, speedup=(1.0, 0.9, 1.1), peak=10):
    return Option(name, "nothing", file_bytes, relative, 100.0, Ratio(*speedup), peak)


A = option("a", 300, 0.0, (1.0, 0.9, 1.1), 30)
B = option("b", 200, 0.01, (2.0, 1.8, 2.2), 20)
C = option("c", 100, 0.02, (1.7, 1.5, 1.9), 25)
BROKEN = option("broken", 1, 0.9, (9.0, 8.0, 10.0), 1)

LOADS = Loads(
    tuple(
        Load(name, clients, tuple(base * clients * (i + 1) for i in range(100)), 2.0 * clients)
        for clients in (1, 4)
        for name, base in (("FP32", 100.0), ("INT8", 50.0))
    )
)


@contextmanager
def stand_in(status=200):
    """A server that answers after 30 ms, however many ask at once; and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(WAIT_S)
            body = b'{"error": "no"}' if status != 200 else b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Server(server.server_address[1], 0, 1), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
