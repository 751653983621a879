import secrets

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, FastAPI

from watchword import Credentials, Subject
from watchword.core.session import Session
from watchword.integrations.fastapi import Auth

hasher = PasswordHasher()
User = tuple[int | None, str]
USERS: dict[str, User] = {"ann": (7, hasher.hash("four words make a phrase"))}
# Whoever is not there costs a hash as well, and is nobody even if it should match.
NOBODY: User = (None, hasher.hash(secrets.token_urlsafe()))


def check(given: Credentials) -> Subject | None:
    number, stored = USERS.get(given.username, NOBODY)
    try:
        hasher.verify(stored, given.password)
    except VerifyMismatchError:
        return None
    return None if number is None else Subject(number, roles=("clerk",))


async def claims(session: Session) -> dict[str, str]:
    return {"plan": "gold"}


auth = Auth("sqlite:///app.db", authenticate=check, claims_hook=claims)
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)


@app.delete("/users/{number}", dependencies=[Depends(auth.requires(roles=["clerk"]))])
async def disable(number: int) -> int:
    for name, (one, _) in USERS.items():
        if one == number:
            USERS[name] = NOBODY
    return await auth.end_all(number)  # how many sessions there were
