"""The HTTP surface: native JSON calls, health, keys, documentation.

    starting   the sockets and the files for TLS, before anything is made
    protocol   what a connection may send, and for how long
    app        the layers a request passes, in order
    operation  an endpoint as one declaration, which all else is made from
    endpoints  a folder for each domain; a file calls the engine and answers
    parsing    bytes to typed values, once
    problems   the one map from errors to the wire
    openapi    the document, made from the structs that parse
    embedded   the endpoints that are served inside another application

Knows HTTP and nothing of rotation; the engine knows nothing of HTTP.
"""

from watchword.extras import needs

with needs("watchword[server]"):
    from watchword.server.serve import run
    from watchword.server.starting import bind, tls_faults

__all__ = ["bind", "run", "tls_faults"]
