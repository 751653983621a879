"""The front door: from what a user proves to a session.

A way in proves something and returns `Authenticated`. Every way counts its tries by
`attempts`, and every session begins by `begin`: no caller repeats a step.

password    the way in by password of an account, and its name or mail address
step_up     a new proof by the user of a session
browser     the session of a browser at this server, which the pages stand on
own_users   the way in of users that an app keeps itself
begin       from `Authenticated` to a session, or to none if the user has changed
"""
