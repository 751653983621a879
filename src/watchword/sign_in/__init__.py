"""The front door: from what a user proves to a session.

A way in proves something and returns `Authenticated`. Every way counts its tries by
`attempts`, and every session begins by `begin`: no caller repeats a step.

attempts    one try, whatever the factor: counted before it is made, then recorded
password    the way in by name and password of an account
own_users   the way in of users that an app keeps itself
begin       from `Authenticated` to a session, or to none if the user has changed
"""
