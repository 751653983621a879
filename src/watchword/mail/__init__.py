"""Mail: what is asked to be sent, what it says, and how it leaves.

    addresses   mail addresses: one spelling, the key of their account, their mask
    message     `Mail`: what is to be told, and to which address, sealed in the outbox
    writing     makes a `Mail`, its token and its row of the outbox
    locales     the languages that have templates
    composing   templates: a `Mail` as a message of text and HTML
    url         the setting that says where mail goes
    transports  SMTP, and the folder that takes its place on one machine
    sender      leases messages from the outbox and sends them, again if need be

Nothing is sent inside a request. What a request causes is a row in the outbox, and the
sender decides afterwards what becomes of it.
"""
