"""Flask, for `flask run`, gunicorn and the server of Python's own library."""

import sys
from wsgiref.simple_server import make_server

from flask import Flask, request

from tests.integrations.apps.people import check
from watchword.integrations.flask import Auth

auth = Auth("sqlite:///app.db", authenticate=check)
app = Flask(__name__)
auth.init_app(app)


@app.before_request
def look() -> None:
    """As a hook does that logs bodies."""
    if request.headers.get("X-Look"):
        request.get_data()


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
