from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request

from watchword.integrations.fastapi import Auth
from watchword.verify import Claims

auth = Auth("sqlite:///app.db")
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)
Session = Annotated[Claims, Depends(auth.session)]


@app.get("/account")
async def show_account(session: Session) -> dict[str, Any]:
    account = await auth.accounts.get_by_subject(session.sub)
    devices = [
        {"id": one.sid, "device": one.user_agent, "here": one.sid == session.sid}
        for one in await auth.sessions.list_of_account(account.id)
    ]
    return {"name": account.name, "roles": account.roles, "devices": devices}


@app.post("/account/password")
async def change_password(
    session: Session,
    request: Request,
    old: Annotated[str, Body()],
    new: Annotated[str, Body()],
) -> int:
    account = await auth.accounts.get_by_subject(session.sub)
    address = request.client.host if request.client else ""
    await auth.sign_in.check_password(account.name, old, address=address)
    return await auth.accounts.set_password(account.id, new, keep_session=session.sid)


@app.post("/account/sign-out-elsewhere")
async def sign_out_elsewhere(session: Session) -> int:
    return await auth.end_all(session.sub, but=session.sid)
