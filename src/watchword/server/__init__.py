"""The HTTP surface: JSON calls, OAuth, pages for users, health, keys, documentation.

Processes and sockets:
    starting, listening    the sockets and the files for TLS, before anything is made
    serve, workers         one process, or several on the same sockets
    connections            how many connections there may be, and which one gives way

One connection:
    handshakes             TLS handshakes under way
    protocol, heads        what may be sent over it
    read_buffer, outgoing  its buffer, and what is written to it
    deadlines              how long it may take

One request:
    app, embedded          the layers that it passes, in order; the same inside an app
    https, cors, edge      these layers
    unread_bodies          inside an app: bodies that its server left unread
    request_ids            the id of each request
    request_counts         which requests there were
    access_log, logs       a line for each request, and for all else
    routing                the endpoint of its path
    parsing                bytes to typed values, once
    client_auth, token_auth, cookies   what it proves
    beginning, presenting  what calls share that begin a session, or rotate one
    local, listeners       what is shown on the machine of the server alone, and where
                           operators reach it
    responses, static_files, problems  the answers; the one map from errors to the wire

Pages:
    csrf                   forms, and that no other site sends them
    sign_in_cookie, page_cookies   the cookies of a browser
    page_response          a page, the same with an error, or the next page
    pages                  what pages show: views, words and markup

Endpoints:
    operation              an endpoint as one declaration, which all else is made from
    endpoints              a folder for each domain; a file calls the engine and answers
    openapi                the document, made from the structs that parse

Knows HTTP and nothing of rotation; the engine knows nothing of HTTP.
"""

from watchword.extras import needs

with needs("watchword[server]"):
    from watchword.server.logs import log_to_standard_error
    from watchword.server.serve import run
    from watchword.server.starting import as_bound, bind, file_faults

__all__ = ["as_bound", "bind", "file_faults", "log_to_standard_error", "run"]
