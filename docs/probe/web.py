"""A page for the probe: web.py PORT serves it by the single-threaded http.server.

As a module it is the WSGI application `web:app`. See subjects.sh.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

PAGE = b"hello\n"


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(PAGE)))])
    return [PAGE]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # With the default, 1.0, it closes after each answer.

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
