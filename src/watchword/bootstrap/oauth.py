"""The parts of the authorization server, wired."""

from __future__ import annotations

import msgspec

from watchword.accounts.registry import Accounts
from watchword.bootstrap.foundation import Foundation
from watchword.clients.registry import Clients
from watchword.core.policies import Policies
from watchword.core.ticket import Tickets
from watchword.factors.registry import Factors
from watchword.keys.ring import KeyRing
from watchword.oauth.authorize import AuthorizationServer
from watchword.oauth.codes import Codes
from watchword.oauth.consents import Consents
from watchword.oauth.exchange import CodeExchange
from watchword.oauth.id_tokens import IdTokens
from watchword.oauth.logout import Logout
from watchword.oauth.userinfo import UserInfo
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions import Sessions
from watchword.sessions.redeeming import Redeemer
from watchword.sign_in.begin import SignIn
from watchword.tokens.dpop import Proofs


class OAuthParts(msgspec.Struct, frozen=True, kw_only=True):
    """What endpoints and pages use: `engine.oauth`."""

    authorization: AuthorizationServer
    consents: Consents
    codes: Codes
    exchange: CodeExchange
    id_tokens: IdTokens
    userinfo: UserInfo
    logout: Logout

    def issue_as(self, issuer: str) -> None:
        """Use that issuer from now on."""
        self.authorization.issuer = self.id_tokens.issuer = issuer


def oauth_parts_of(
    base: Foundation,
    *,
    issuer: str,
    clients: Clients,
    accounts: Accounts,
    sessions: Sessions,
    revocations: RevocationTracker,
    policies: Policies,
    proofs: Proofs,
    sign_in: SignIn,
    factors: Factors,
    keys: KeyRing,
    tickets: Tickets,
) -> OAuthParts:
    """The parts, on the stores of `base`."""
    id_tokens = IdTokens(
        keys=keys, ends_at=sessions.ends_at, issuer=issuer, clock=base.clock
    )
    consents = Consents(
        consents=base.stores.consents, sessions=sessions, clock=base.clock
    )
    codes = _codes_of(base, policies, tickets)
    return OAuthParts(
        authorization=AuthorizationServer(
            clients=clients,
            accounts=accounts,
            sessions=sessions,
            factors=factors,
            consents=consents,
            codes=codes,
            id_tokens=id_tokens,
            tickets=tickets,
            once=base.stores.once,
            policy=policies.apps,
            issuer=issuer,
            clock=base.clock,
        ),
        consents=consents,
        codes=codes,
        exchange=CodeExchange(
            codes=codes,
            redeemer=_redeemer_of(base, sessions, revocations, policies),
            clients=clients,
            sessions=sessions,
            sign_in=sign_in,
            consents=consents,
            id_tokens=id_tokens,
            proofs=proofs,
            policies=policies,
            clock=base.clock,
            entropy=base.entropy,
            metrics=base.metrics,
        ),
        id_tokens=id_tokens,
        userinfo=UserInfo(accounts, sessions),
        logout=Logout(
            clients=clients, sessions=sessions, id_tokens=id_tokens, tickets=tickets
        ),
    )


def _codes_of(base: Foundation, policies: Policies, tickets: Tickets) -> Codes:
    return Codes(
        tickets,
        life=policies.apps.refresh_absolute,
        clock=base.clock,
        entropy=base.entropy,
    )


def _redeemer_of(
    base: Foundation,
    sessions: Sessions,
    revocations: RevocationTracker,
    policies: Policies,
) -> Redeemer:
    return Redeemer(
        store=base.stores.sessions,
        audit=base.stores.audit,
        token_issuer=sessions.token_issuer,
        revocations=revocations,
        policies=policies,
        clock=base.clock,
        sessions_max=base.settings.sessions_max,
        claims_hook=base.claims_hook,
    )
