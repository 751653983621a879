"""The HTTP surface: native JSON calls, health, keys, documentation.

    listening  the socket and the files for TLS, before anything is made
    protocol   what a connection may send, and for how long
    app        the layers a request passes, in order, and the routes
    parsing    bytes to typed values, once
    endpoints  one file per concern; each calls the engine and answers
    problems   the one map from errors to the wire
    openapi    the document, made from the structs that parse

Knows HTTP and nothing of rotation; the engine knows nothing of HTTP.
"""

from watchword.extras import needs

with needs("watchword[server]"):
    from watchword.server.listening import bind, tls_faults
    from watchword.server.serve import run

__all__ = ["bind", "run", "tls_faults"]
