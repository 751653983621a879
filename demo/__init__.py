"""`make demo`: a server with 10,000 accounts and a week of events, to look at.

    __main__   the folder, the filling, and the server
    people     accounts and what they have
    clients    the clients that they use
    happenings what happened to them
    traffic    figures, minute by minute
    filling    all of it through the stores

It is the same each time, but for what depends on the clock, and for secrets.
"""
