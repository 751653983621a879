"""Every error that Watchword raises: one root, a stable ``code`` each.

    WatchwordError
    ├── InvalidRequest                         invalid_request
    │   ├── RetryKeyReused                     retry_key_reused
    │   ├── InvalidScope                       invalid_scope
    │   ├── InvalidTarget                      invalid_target
    │   ├── UnauthorizedClient                 unauthorized_client
    │   ├── UnsupportedGrantType               unsupported_grant_type
    │   ├── UnsupportedResponseType            unsupported_response_type
    │   ├── RequestNotSupported                request_not_supported
    │   ├── UnsupportedTokenType               unsupported_token_type
    │   ├── InvalidProof                       invalid_dpop_proof
    │   ├── NonceNeeded                        use_dpop_nonce
    │   ├── EmailInvalid                       email_invalid
    │   └── NameInvalid                        name_invalid
    ├── CsrfRejected                           csrf_rejected
    ├── InsufficientScope                      insufficient_scope
    ├── InsufficientRole                       insufficient_role
    ├── VersionChanged                         version_changed
    ├── VersionRequired                        version_required
    ├── NotFound                               not_found
    ├── RegistrationRefused                    registration_refused
    ├── NameTaken                              name_taken
    ├── EmailTaken                             email_taken
    ├── LastAdmin                              last_admin
    ├── LastFactor                             last_factor
    ├── ConfirmationInvalid                    confirmation_invalid
    ├── PasswordRejected                       password_rejected
    ├── AuthenticationError
    │   ├── InvalidCredentials                 invalid_credentials
    │   ├── SecondFactorRequired               second_factor_required
    │   │   └── SecondFactorEnrolmentRequired  second_factor_enrolment_required
    │   ├── SecondFactorInvalid                second_factor_invalid
    │   ├── ContinuationExpired                continuation_expired
    │   ├── InteractionExpired                 interaction_expired
    │   ├── InvalidClient                      invalid_client
    │   ├── AccessTokenError
    │   │   ├── TokenMissing                   token_missing
    │   │   ├── TokenInvalid                   token_invalid
    │   │   ├── TokenExpired                   token_expired
    │   │   ├── TokenRevoked                   token_revoked
    │   │   ├── TokenProofInvalid              invalid_dpop_proof
    │   │   ├── TokenNonceNeeded               use_dpop_nonce
    │   │   └── InsufficientAuthentication     insufficient_user_authentication
    │   └── RefreshError
    │       ├── RefreshInvalid                 refresh_invalid
    │       ├── RefreshReused                  refresh_reused
    │       ├── SessionExpired                 session_expired
    │       ├── SessionRevoked                 session_revoked
    │       ├── CodeInvalid                    code_invalid
    │       ├── CodeReused                     code_reused
    │       └── SignedOut                      signed_out
    ├── TryAgain
    │   ├── Throttled                          throttled
    │   ├── Overloaded                         overloaded
    │   ├── StoreUnavailable                   store_unavailable
    │   └── Unreachable                        unreachable
    ├── MailNotSent                            mail_not_sent
    └── ConfigurationError
        ├── SettingsError                      settings_invalid
        ├── SchemaError                        schema_mismatch
        ├── KeyRingError                       key_ring
        │   └── KeyNotReady                    key_not_ready
        └── TokenFileError                     token_file

They stand in a file for each concern, and are imported from here. Nothing here knows
HTTP: ``server/problems.py`` is the one map to the wire. It begins with the rows of
``tokens/challenges.py``, which resource servers answer by. Messages never hold a token,
a password or a retry key.
"""

# ruff: noqa: F403 - a list by hand would be one more thing to forget

from watchword.errors.accounts import *
from watchword.errors.accounts import PasswordFault as PasswordFault
from watchword.errors.authentication import *
from watchword.errors.operation import *
from watchword.errors.requests import *
from watchword.errors.root import WatchwordError as WatchwordError

__all__ = [
    name
    for name, thing in sorted(globals().items())
    if isinstance(thing, type) and issubclass(thing, WatchwordError)
]

# A traceback names an error by what it is imported as.
for _name in __all__:
    globals()[_name].__module__ = __name__
