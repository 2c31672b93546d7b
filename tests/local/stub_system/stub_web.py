"""Stands in for the web process: answers 200 to everything but a key that ended, and tells its environment."""

import http.server
import json
import os


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401 if self.headers["Authorization"] == "Bearer an-ended-key" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
