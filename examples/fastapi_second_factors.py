import logging

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, FastAPI

from watchword import Credentials, Subject
from watchword.integrations.fastapi import Auth

log = logging.getLogger("shop")
hasher = PasswordHasher()
NUMBER, STORED = 7, hasher.hash("four words make a phrase")
NOBODY = hasher.hash("what no user has")


def check(given: Credentials) -> Subject | None:
    known = given.username == "ann"
    try:
        hasher.verify(STORED if known else NOBODY, given.password)
    except VerifyMismatchError:
        return None
    return Subject(NUMBER) if known else None


def load(subject: str) -> Subject | None:
    return Subject(NUMBER) if int(subject.replace("-", ""), 16) == NUMBER else None


def tell(subject: str, kind: str) -> None:
    log.warning("mail the user %s about: %s", subject, kind)


auth = Auth(
    "sqlite:///app.db",
    authenticate=check,
    load_subject=load,
    on_security_notice=tell,
)
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)


@app.post("/users/{number}/lost", dependencies=[Depends(auth.requires(roles=["desk"]))])
async def lost(number: int) -> str:
    await auth.reset_factors(number)
    return await auth.enrol_code(number)
