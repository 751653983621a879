"""The front door: from what a user proves to a session.

A way in proves something and returns `Authenticated`. Every way counts its tries by
`attempts`, and every session begins by `begin`: no caller repeats a step.

password      the way in by password of an account, and its name or mail address
own_users     the way in of users that an app keeps itself
passkey       the way in by a passkey alone
continuation  the gate that every sign-in passes, and the ticket of one that it stops
second_step   from such a ticket and a second factor to the session
enrolment     the first factor of a user that needs one to get in
begin         from `Authenticated` to a session, or to none if the user has changed
browser       the session of a browser at this server, which the pages stand on
step_up       a new proof by the user of a session
new_factors   a factor more for the user of a session
"""
