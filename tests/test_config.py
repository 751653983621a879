"""Settings: every fault at once, by the name the user wrote, without a secret."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from tests.rows import in_one
from watchword.config import Settings, load_settings
from watchword.config.effective import effective_settings
from watchword.core import limits
from watchword.errors import SettingsError
from watchword.stores import SESSION_STORES, STORES

SECRET = "s3cret-of-thirty-two-bytes-or-more"
PUBLIC = {"host": "0.0.0.0", "behind_proxy": "10.0.0.0/8"}

# What no browser sends, and so would never match; and what must not.
NO_ORIGINS = [
    *["*", "null", "app.example", "http://app.example", "https://", "https://:8443"],
    *["https://*.app.example", "https://app.example/", "https://app.example/login"],
    *["https://app.example?", "https://App.example", "HTTPS://app.example"],
    *["https://app.example:443", "http://localhost:80", "https://app.example:08443"],
    *["https://app.example:", "https://app.example:0", "https://app.example:65536"],
    *["https://app..example", "https://bücher.example", "https://u@app.example"],
    *("https://[::1", " , ", "https://a.example;https://b.example"),
    *["https://a.example https://B.example", "capacitor://", "capacitor://localhost/"],
    *["Capacitor://localhost", "tauri://LocalHost", "file://", "app://localhost"],
    *["htps://app.example", "http://localhost.example", "http://localhost:80"],
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Any:
    def setenv(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"WATCHWORD_{name}", value)

    return setenv


def faults(**flags: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(**flags)
    return raised.value.faults


def fault(**flags: Any) -> str:
    found = faults(**flags)
    assert len(found) == 1, found
    return found[0]


def test_nothing_given_is_a_server_on_loopback() -> None:
    settings = load_settings()
    assert settings.data == Path("watchword-data")
    assert settings.database_url == "sqlite:///watchword-data/watchword.db"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.effective_issuer == "http://127.0.0.1:8000"
    assert settings.audience == "api"
    assert settings.access_ttl * limits.SECOND == limits.ACCESS_TTL
    assert settings.refresh_idle * limits.SECOND == limits.REFRESH_IDLE
    assert settings.refresh_absolute * limits.SECOND == limits.REFRESH_ABSOLUTE
    assert settings.rotation_grace == 0
    assert settings.retry_window * limits.SECOND == limits.RETRY_WINDOW
    assert settings.rewind_limit == limits.REWIND_LIMIT
    assert settings.signing_alg == "ES256"
    assert settings.secret == ()
    assert settings.behind_proxy == ()


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    folder: Path, env: Any
) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "watchword.toml").write_text("port = 1\nworkers = 1\nhost = '::1'")
    env(DATA="d", PORT="2", WORKERS="2")
    settings = load_settings(workers=3, tls_cert=None, behind_proxy=())
    assert (settings.host, settings.port, settings.workers) == ("::1", 2, 3)
    assert settings.effective_issuer == "http://[::1]:2"


def test_the_database_follows_the_data_folder(folder: Path) -> None:
    assert load_settings(data=folder / "a b").database_url == (
        f"sqlite:///{folder}/a%20b/watchword.db"
    )


def test_a_named_file_is_read_instead_and_may_name_the_data_folder(
    folder: Path, env: Any
) -> None:
    (folder / "w.toml").write_text("data = 'elsewhere'\naccess_ttl = '5m'")
    env(CONFIG="w.toml")
    settings = load_settings()
    assert (settings.data, settings.access_ttl) == (Path("elsewhere"), 300)


def test_settings_are_frozen_and_made_from_their_arguments_alone(env: Any) -> None:
    env(PORT="9")
    settings = Settings()
    assert settings.port == 8000
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_mail_goes_to_a_folder_on_loopback_and_nowhere_else() -> None:
    local = load_settings()
    assert local.effective_mail_url == "outbox:"
    assert local.outbox_folder == Path("watchword-data/outbox")
    assert local.effective_mail_from == "no-reply@127.0.0.1"
    assert local.effective_service_name == "127.0.0.1"
    assert local.effective_links == "http://127.0.0.1:8000"
    assert local.mail_rate == limits.MAIL_RATE
    public = load_settings(issuer="https://id.example")
    assert public.effective_mail_url is None
    assert public.effective_mail_from == "no-reply@id.example"
    assert public.effective_service_name == "id.example"
    assert load_settings(host="::1").effective_mail_from == "no-reply@[IPv6:::1]"


def test_mail_as_an_operator_sets_it(folder: Path, env: Any) -> None:
    (folder / "url").write_text("smtp://u:p@m.example?tls=starttls\n")
    (folder / "templates").mkdir()
    env(MAIL_URL_FILE="url", MAIL_FROM="Hello@Bücher.example", TEMPLATES="templates")
    env(SERVICE_NAME="Bücher", LINKS="https://app.example/me", MAIL_RATE="5")
    settings = load_settings(issuer="https://id.example")
    assert settings.effective_mail_url == "smtp://u:p@m.example?tls=starttls"
    assert settings.effective_mail_from == "Hello@xn--bcher-kva.example"
    assert settings.effective_service_name == "Bücher"
    assert settings.effective_links == "https://app.example/me"
    assert settings.mail_rate == 5
    env(REGISTRATION="open", REGISTRATION_DOMAINS="a.example, Bücher.example")
    settings = load_settings()
    assert settings.registration == "open"
    assert settings.registration_domains == ("a.example", "xn--bcher-kva.example")


def test_a_folder_takes_no_mail_of_a_server_that_others_use(env: Any) -> None:
    env(MAIL_URL="outbox:")
    assert load_settings().effective_mail_url == "outbox:"
    assert fault(issuer="https://id.example") == (
        "WATCHWORD_MAIL_URL: outbox: sends nothing, and is only for an issuer on "
        "loopback: --issuer is https://id.example"
    )
    env(MAIL_URL="", TEMPLATES="none")
    assert fault() == "WATCHWORD_TEMPLATES: there is no folder none"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120s", 120), ("2m", 120), ("1h", 3600), ("90", 90), (90, 90), (" 2m ", 120)],
)
def test_a_duration_is_whole_seconds(text: object, seconds: int) -> None:
    assert load_settings(access_ttl=text).access_ttl == seconds


@in_one(
    ("name", "value"),
    [
        *[("ACCESS_TTL", v) for v in ("0s", "61m", "2 minutes", "-1", "1.5m", "m")],
        ("ACCESS_TTL", "9" * 50),
        ("REFRESH_IDLE", "0"),
        ("REFRESH_ABSOLUTE", "99999d"),
        ("ROTATION_GRACE", "61s"),
        *[("FIRST_PARTY_SCOPE", v) for v in (" ", 'a"b', "a\\b", "ä", "a" * 1025)],
        ("FIRST_PARTY_SCOPE", "a" * 1000 + " " + "b" * 1000),
        ("FIRST_PARTY_SCOPE", "read admin:read"),
        ("RETRY_WINDOW", "8d"),
        ("REWIND_LIMIT", "-1"),
        ("REWIND_LIMIT", "many"),
        ("SIGNING_ALG", "HS256"),
        ("SIGNING_ALG", "none"),
        ("PORT", "65536"),
        ("WORKERS", "0"),
        *[("ADMIN_LISTEN", v) for v in ("9000", ":9000", "::1:9000", "a b:1", "a:")],
        *[("ADMIN_LISTEN", v) for v in ("h:65536", "[::1]", "[h]:1", "http://h:1")],
        *[("BEHIND_PROXY", v) for v in ("proxy.example", "10.0.0.1/8", " , ")],
        *[
            ("MAIL_URL", v)
            for v in ("smtp://m.example", "smtp://localhost:0", "outbox")
        ],
        *[("MAIL_URL", v) for v in ("smtps://", "smtps://m?tls=starttls", "m.example")],
        *[("MAIL_URL", v) for v in ("smtp://m?tls=none", "smtps://m/x", "smtps://m#x")],
        *[("MAIL_URL", v) for v in ("http://m.example", "smtp://[::1", "outbox:x")],
        *[("MAIL_FROM", v) for v in ("no-reply", "Us <a@b.example>", "a@b@c.example")],
        *[("MAIL_RATE", v) for v in ("0", "60001", "many")],
        *[("SECOND_FACTOR", v) for v in ("on", "required:", "required: ,", "Required")],
        *[("SECOND_FACTOR", v) for v in ("optional:a", 'required:"a"', "required:ä")],
        ("PASSKEYS", "maybe"),
        *[("RP_ID", v) for v in ("https://a.example", "A.example", "a.example:1", ".")],
        ("RP_NAME", "a" * 65),
        ("PASSKEY_ORIGINS", "https://a.example/"),
        *[("REGISTRATION", v) for v in ("yes", "OPEN")],
        *[("REGISTRATION_DOMAINS", v) for v in ("a@b.example", "-.example", ",")],
        *[("LINKS", v) for v in ("app.example", "http://app.example", "https://a/?b")],
        ("SERVICE_NAME", "a" * 65),
        *[("DATABASE_URL", v) for v in ("mysql://h/d", "sqlite:", "sqlite:///", "x")],
        ("DATABASE_URL", "sqlite://file.db"),
        ("DATABASE_URL", "postgresql://[::1/name"),
        *[("SESSION_STORE_URL", v) for v in ("http://h", "redis:", "redis://", "h")],
        *[("SESSION_STORE_URL", v) for v in ("postgresql://h/d", "redis://[::1")],
        *[("SESSION_STORE_WAIT", v) for v in ("1", "2,0", "1,101", "-1,0", "1,a")],
        ("SESSION_STORE_WAIT", "1,0,0"),
        ("SECRET", "short"),
        ("SECRET", f"{SECRET} short"),
        ("SECRET", " "),
        *[("CORS_ORIGINS", v) for v in NO_ORIGINS],
        ("ISSUER", "http://api.example"),
        ("ISSUER", "api.example"),
        ("ISSUER", "https://"),
        ("ISSUER", "https:///path"),
        ("ISSUER", "ftp://localhost"),
        ("ISSUER", "https://api.example/?a"),
        ("ISSUER", "https://api.example/#a"),
        ("ISSUER", "https://u:p@api.example"),
        ("ISSUER", "https://api.example:port"),
        ("ISSUER", "https://[::1"),
        ("ISSUER", "https://api.example/a b"),
    ],
)
def test_a_wrong_value_is_told_by_its_name_and_what_is_allowed(
    name: str, value: str, env: Any
) -> None:
    env(**{name: value})
    assert fault().startswith(f"WATCHWORD_{name} must be ")
    env(**{name: ""})


def test_a_fault_is_one_sentence_for_humans(env: Any) -> None:
    env(ACCESS_TTL="2h")
    assert faults(port="x") == [
        (
            "WATCHWORD_ACCESS_TTL must be a duration from 1s to 1h, "
            "such as 120s, 2m, 24h or 7d, not '2h'"
        ),
        "--port must be a number from 0 to 65535, not 'x'",
    ]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://a.example",
        "https://a.example/auth",
        "http://localhost:8000",
        "http://127.0.0.2",
        "http://[::1]:80/x",
    ],
)
def test_an_issuer_is_kept_as_given(issuer: str) -> None:
    assert load_settings(issuer=issuer).effective_issuer == issuer


def test_all_faults_come_at_once(folder: Path, env: Any) -> None:
    (folder / "watchword-data").mkdir()
    file = Path("watchword-data/watchword.toml")
    file.write_text("acces_ttl = '1m'\nrefresh_idle = true\ndata = 'x'")
    env(WORKERS="none", SECRT="x", REFRESH_ABSOLUTE="1m")
    assert faults(port=-1, host="0.0.0.0", behind_proxys="::1") == [
        "WATCHWORD_SECRT is not a setting; did you mean WATCHWORD_SECRET?",
        f"data (in {file}): this file lies in the data folder",
        f"acces_ttl (in {file}) is not a setting; did you mean access_ttl (in {file})?",
        "--behind-proxys is not a setting; did you mean --behind-proxy?",
        "--port must be a number from 0 to 65535, not '-1'",
        (
            f"refresh_idle (in {file}) must be a duration from 1s to 3650d, "
            "such as 120s, 2m, 24h or 7d, not 'True'"
        ),
        "WATCHWORD_WORKERS must be a number from 1 to 256, not 'none'",
        (
            "--host 0.0.0.0 is not loopback, and plain HTTP would be heard: give "
            "--tls-cert and --tls-key (WATCHWORD_TLS_CERT, WATCHWORD_TLS_KEY) to serve "
            "HTTPS, or --behind-proxy (WATCHWORD_BEHIND_PROXY) with the proxy that does"
        ),
        (
            "--host 0.0.0.0 is not loopback: "
            "give WATCHWORD_SECRET or WATCHWORD_SECRET_FILE"
        ),
        (
            "--host 0.0.0.0 is not loopback: "
            "give WATCHWORD_ISSUER, the URL that callers use"
        ),
    ]


def test_a_variable_that_is_empty_is_not_given(env: Any) -> None:
    env(SECRET="", BEHIND_PROXY="", PORT="")
    assert load_settings().port == 8000


PLATFORM = {
    # Kubernetes, beside services called watchword, -postgresql, -db and -web-2.
    "PORT": "tcp://10.0.0.7:8000",
    "SERVICE_HOST": "10.0.0.7",
    "SERVICE_PORT": "8000",
    "SERVICE_PORT_HTTP": "8000",
    "PORT_8000_TCP": "tcp://10.0.0.7:8000",
    "PORT_8000_TCP_ADDR": "10.0.0.7",
    "POSTGRESQL_SERVICE_HOST": "fd00::7",
    "POSTGRESQL_SERVICE_PORT": "5432",
    "POSTGRESQL_SERVICE_PORT_TCP_POSTGRESQL": "5432",
    "POSTGRESQL_PORT": "tcp://[fd00::7]:5432",
    "POSTGRESQL_PORT_5432_TCP_PROTO": "tcp",
    "DB_PORT": "udp://10.0.0.8:53",
    "DB_PORT_53_UDP_PORT": "53",
    "WEB_2_PORT": "sctp://10.0.0.9:9",
    "WEB_2_PORT_9_SCTP": "sctp://10.0.0.9:9",
    # Docker, linked as watchword-redis.
    "REDIS_NAME": "/web/watchword-redis",
    "REDIS_ENV_PASSWORD": "a\nb",
    "REDIS_PORT_6379_TCP_START": "tcp://172.17.0.2:6379",
    "REDIS_PORT_6379_TCP_PORT_END": "6380",
}


def test_the_variables_that_a_platform_makes_are_not_ours(env: Any) -> None:
    env(**PLATFORM)
    assert load_settings().port == 8000


@pytest.mark.parametrize(
    "name", ["POSTGRESQL_PORT", "SERVICE_HOSTS", "PORT_X", "DATABASE_NAME", "PORTS"]
)
def test_a_name_that_no_platform_makes_is_still_told(name: str, env: Any) -> None:
    env(**{name: "5432"})
    assert fault().startswith(f"WATCHWORD_{name} is not a setting")


BOM = "\ufeff"


@in_one("end", ["\n", "\r\n", BOM, " ", "\t", "\x7f", "\N{NO-BREAK SPACE}"])
@in_one(
    ("name", "value"),
    [
        ("audience", "my api"),
        ("data", "a folder"),
        ("database_url", "sqlite:///a b.db"),
        ("session_store_url", "redis://h"),
        ("host", "::1"),
        ("port", 8001),
        ("issuer", "https://a.example"),
        ("secret", SECRET),
        ("cors_origins", "https://a.example"),
        ("behind_proxy", "10.0.0.0/8"),
        ("signing_alg", "EdDSA"),
        ("access_ttl", "5m"),
    ],
)
def test_what_cannot_be_seen_at_an_end_is_not_part_of_a_value(
    folder: Path, env: Any, name: str, value: Any, end: str
) -> None:
    expected = getattr(load_settings(**{name: value}), name)
    written = f"{end}{value}{end}"
    assert getattr(load_settings(**{name: written}), name) == expected
    env(**{name.upper(): written})
    assert getattr(load_settings(), name) == expected
    env(**{name.upper(): ""}, CONFIG=f"w.toml{end}")
    (folder / "w.toml").write_text(f"{BOM}{name} = {json.dumps(written)}", "utf-8")
    assert getattr(load_settings(), name) == expected
    env(CONFIG="")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\x00", BOM])
def test_a_password_has_no_line_end_and_no_blank_at_an_end(
    folder: Path, env: Any, end: str
) -> None:
    def given(**flags: str) -> str:
        password = load_settings(**flags).admin_password
        assert password is not None
        return password.get_secret_value()

    assert given(admin_password=f"{end}a b{end}") == "a b"
    (folder / "p").write_text(f"{BOM}a b{end}", "utf-8")
    env(ADMIN_PASSWORD_FILE=f"p{BOM}")
    assert given() == "a b"
    for blank in (f"a b {end}", " a b", "a b\N{NO-BREAK SPACE}"):
        (folder / "p").write_text(blank, "utf-8")
        expected = "WATCHWORD_ADMIN_PASSWORD_FILE must not begin or end with a blank"
        assert fault() == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", BOM])
def test_every_secret_of_a_file_is_without_its_ends(
    folder: Path, env: Any, end: str
) -> None:
    (folder / "s").write_text(
        f"{BOM}{SECRET}-new{end}\n\n{BOM}{SECRET} old{end}", "utf-8"
    )
    (folder / "u").write_text(f"{BOM}postgresql://h/d{end}", "utf-8")
    env(SECRET_FILE="s", DATABASE_URL_FILE="u")
    settings = load_settings()
    secrets = [one.get_secret_value() for one in settings.secret]
    assert secrets == [f"{SECRET}-new", f"{SECRET} old"]
    assert settings.database_url == "postgresql://h/d"


@pytest.mark.parametrize("name", ["audience", "data", "database_url", "admin_password"])
def test_a_control_character_inside_is_named(name: str) -> None:
    value = "sqlite:///a\nb" if name == "database_url" else "a\nb"
    assert f"--{name.replace('_', '-')} must not contain a control character" in faults(
        **{name: value}
    )


@pytest.mark.parametrize("name", ["data", "audience", "secret", "port"])
def test_a_value_of_blanks_alone_is_told(name: str, env: Any) -> None:
    env(**{name.upper(): " \n"})
    assert fault().startswith(f"WATCHWORD_{name.upper()} must be ")


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite:///a#b/app.db", "sqlite:///app.db?mode=ro", "sqlite:///:memory:"),
        "postgresql://u:pa#ss@h/d",
    ],
)
def test_a_url_that_would_lead_elsewhere_is_refused(url: str) -> None:
    assert fault(database_url=url).startswith("--database-url must be a URL")


@pytest.mark.parametrize("missing", ["behind_proxy", "secret", "issuer"])
def test_what_others_can_reach_needs_https_a_secret_and_an_issuer(missing: str) -> None:
    given = {**PUBLIC, "secret": SECRET, "issuer": "https://a.example"}
    load_settings(**given)
    del given[missing]
    assert f"WATCHWORD_{missing.upper()}" in fault(**given)


def test_tls_is_enough_beyond_loopback(folder: Path) -> None:
    pem = folder / "both.pem"
    pem.touch()
    settings = load_settings(
        host="192.0.2.1",
        tls_cert=pem,
        tls_key=pem,
        secret=SECRET,
        issuer="https://a.example",
    )
    assert settings.tls_key == pem
    assert load_settings(tls_cert=pem, tls_key=pem).effective_issuer == (
        "https://127.0.0.1:8000"
    )


def test_the_listener_of_operators_is_of_this_machine_or_has_tls(folder: Path) -> None:
    """And its port is its own: requests are known by it."""
    pem = folder / "both.pem"
    pem.touch()
    for text in ("127.0.0.1:9000", "[::1]:9000", "localhost:0"):
        assert str(load_settings(admin_listen=text).admin_listen) == text
    wide, tls = {"admin_listen": "0.0.0.0:9000"}, {"tls_cert": pem, "tls_key": pem}
    assert fault(**wide).startswith("--admin-listen 0.0.0.0:9000 is not loopback, and")
    assert "is not loopback" in fault(**wide, behind_proxy="127.0.0.1")
    assert load_settings(**wide, **tls).admin_listen == ("0.0.0.0", 9000)
    same = fault(admin_listen="127.0.0.2:8000")
    assert same.endswith("must have another port than WATCHWORD_PORT, 8000")


def test_half_a_tls_setting_is_none(folder: Path, env: Any) -> None:
    (folder / "pem").touch()
    env(TLS_KEY="pem")
    assert fault() == "WATCHWORD_TLS_KEY needs WATCHWORD_TLS_CERT beside it"


def test_tls_files_are_there(folder: Path) -> None:
    assert faults(tls_cert="absent", tls_key=folder) == [
        "--tls-cert: the file cannot be read (No such file or directory)",
        "--tls-key: the file cannot be read (Is a directory)",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"access_ttl": "1h", "refresh_idle": "59m"}, "--access-ttl (3600s) must not"),
        ({"refresh_idle": "31d"}, "--refresh-idle (2678400s) must not exceed WATCH"),
        ({"sign_in_idle": "31d"}, "--sign-in-idle (2678400s) must not exceed WATCH"),
        ({"refresh_absolute": "6d"}, "WATCHWORD_REFRESH_IDLE (604800s) must not exc"),
    ],
)
def test_lifetimes_are_nested(given: dict[str, str], expected: str) -> None:
    assert fault(**given).startswith(expected)


def test_several_secrets_come_in_order(env: Any) -> None:
    env(SECRET=f"{SECRET}-new\n {SECRET}-old")
    assert [s.get_secret_value() for s in load_settings().secret] == [
        f"{SECRET}-new",
        f"{SECRET}-old",
    ]


def test_a_secret_is_measured_in_bytes() -> None:
    assert len(load_settings(secret="\N{KEY}" * 8).secret) == 1


def test_secrets_come_from_files(folder: Path, env: Any) -> None:
    (folder / "s").write_text(f"{SECRET}-new\n\n  {SECRET} with spaces\n")
    (folder / "p").write_text("a pass phrase\n")
    (folder / "d").write_text("postgresql://ada:pass@db.example/watchword\n")
    env(SECRET_FILE="s", ADMIN_PASSWORD_FILE="p", DATABASE_URL_FILE="d")
    settings = load_settings()
    assert settings.database_url == "postgresql://ada:pass@db.example/watchword"
    assert [s.get_secret_value() for s in settings.secret] == [
        f"{SECRET}-new",
        f"{SECRET} with spaces",
    ]
    assert settings.admin_password is not None
    assert settings.admin_password.get_secret_value() == "a pass phrase"


@pytest.mark.parametrize("content", ["", "\n \n", "short\n", f"{SECRET}\nshort\n"])
def test_a_secret_file_without_good_secrets_is_named(
    content: str, folder: Path, env: Any
) -> None:
    (folder / "s").write_text(content)
    env(SECRET_FILE="s")
    assert fault().startswith("WATCHWORD_SECRET_FILE must be secrets of at least 32 ")


def test_a_secret_is_given_once(folder: Path, env: Any) -> None:
    (folder / "s").write_text(SECRET)
    env(SECRET=SECRET, SECRET_FILE="s", ADMIN_PASSWORD="p", ADMIN_PASSWORD_FILE="s")
    assert faults() == [
        "give WATCHWORD_SECRET or WATCHWORD_SECRET_FILE, not both",
        "give WATCHWORD_ADMIN_PASSWORD or WATCHWORD_ADMIN_PASSWORD_FILE, not both",
    ]


def test_neither_faults_nor_settings_show_a_secret(folder: Path, env: Any) -> None:
    (folder / "watchword-data").mkdir()
    file = folder / "watchword-data" / "watchword.toml"
    file.write_text(f"secret = {SECRET}")
    env(
        SECRET_FILE=SECRET,
        TLS_KEY=SECRET,
        ADMIN_PASSWORD_FILE=f"/{SECRET}",
        DATABASE_URL=f"mysql://u:{SECRET}@h/d",
        SESSION_STORE_URL=f"memcached://u:{SECRET}@h",
        ISSUER=f"https://u:{SECRET}@h",
    )
    with pytest.raises(SettingsError) as raised:
        load_settings(secret=[SECRET[:20]])
    assert len(raised.value.faults) == 9
    assert SECRET[:20] not in str(raised.value)
    assert raised.value.__context__ is None
    settings = Settings(secret=[SECRET], admin_password=SECRET)
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump())
    url = f"postgresql://u:{SECRET}@h/d"
    settings = Settings(database_url=url, session_store_url=f"redis://:{SECRET}@h")
    assert SECRET not in repr(settings) + str(settings)


def test_a_file_that_is_named_has_to_be_there_and_be_toml(
    folder: Path, env: Any
) -> None:
    env(CONFIG="absent.toml")
    assert fault() == "WATCHWORD_CONFIG: there is no file absent.toml"
    (folder / "absent.toml").write_bytes(b"\xff")
    assert fault() == "absent.toml is not a TOML file in UTF-8"
    env(CONFIG=str(folder))
    assert fault() == f"{folder} cannot be read: Is a directory"


def test_the_memory_store_is_never_selected_by_accident(env: Any) -> None:
    assert load_settings(database_url="memory:").database_url == "memory:"
    env(DATABASE_URL="memory:")
    assert fault().startswith("WATCHWORD_DATABASE_URL: memory: forgets all")


@pytest.mark.parametrize("scheme", sorted(STORES.keys() - {"memory"}))
def test_settings_accept_every_store_that_there_is(scheme: str) -> None:
    assert load_settings(database_url=f"{scheme}:///f").database_url


@pytest.mark.parametrize("scheme", sorted(SESSION_STORES))
def test_settings_accept_every_store_of_sessions_that_there_is(scheme: str) -> None:
    url = f"{scheme}://:password@host:6379/0?prefix=here"
    assert load_settings(session_store_url=url).session_store_url == url


def test_what_a_revocation_waits_for_is_two_numbers(folder: Path, env: Any) -> None:
    assert load_settings().session_store_url is None
    assert load_settings().session_store_wait == (1, 0)
    env(SESSION_STORE_WAIT="0, 2")
    assert load_settings().session_store_wait == (0, 2)
    (folder / "watchword-data").mkdir()
    file = folder / "watchword-data" / "watchword.toml"
    file.write_text("session_store_wait = [1, 3]")
    env(SESSION_STORE_WAIT="")
    assert load_settings().session_store_wait == (1, 3)


def test_proxies_are_networks() -> None:
    given = load_settings(behind_proxy=["10.0.0.0/8", "::1"]).behind_proxy
    assert list(map(str, given)) == ["10.0.0.0/8", "::1/128"]
    given = load_settings(behind_proxy="10.0.0.1, 10.0.0.2  fd00::/8").behind_proxy
    assert list(map(str, given)) == ["10.0.0.1/32", "10.0.0.2/32", "fd00::/8"]


def test_origins_are_as_browsers_send_them() -> None:
    origins = (
        *(
            "https://app.example",
            "https://app.example:8443",
            "https://xn--bcher-kva.de",
        ),
        *("http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8000"),
        # Pages within apps: Capacitor and Ionic, and Tauri on macOS and on Windows.
        *("capacitor://localhost", "ionic://localhost", "tauri://localhost"),
        *("capacitor://app.example", "http://tauri.localhost"),
    )
    assert load_settings().cors_origins == ()
    assert load_settings(cors_origins=", ".join(origins)).cors_origins == origins
    assert load_settings(cors_origins=list(origins)).cors_origins == origins


@pytest.mark.parametrize("given", [" a:read  b\ta:read ", ["a:read", "b", "a:read"]])
def test_scopes_are_a_list_of_words_each_once(given: Any) -> None:
    assert load_settings().first_party_scope == ()
    assert load_settings(first_party_scope=given).first_party_scope == ("a:read", "b")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("required:admin", "required:admin"),
        (" required: admin, staff,admin ", "required:admin,staff"),
        ("required", "required"),
        ("", "optional"),
    ],
)
def test_a_second_factor_is_demanded_of_all_or_of_some_roles(
    given: str, kept: str, env: Any
) -> None:
    env(SECOND_FACTOR=given, PASSKEYS="off")
    assert load_settings().second_factor == kept
    assert not load_settings().passkeys


DOMAIN_FAULT: Final = "--rp-id must be the host of the issuer or a domain above it"
ORIGIN_FAULT: Final = "--passkey-origins: no passkey works at "


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"rp_id": "auth.shop.example"}, None),
        ({"rp_id": "shop.example", "passkey_origins": "https://shop.example"}, None),
        ({"rp_id": "example"}, DOMAIN_FAULT),
        ({"rp_id": "op.example"}, DOMAIN_FAULT),
        ({"rp_id": "a.auth.shop.example"}, DOMAIN_FAULT),
        ({"passkey_origins": "https://shop.example"}, ORIGIN_FAULT),
        ({"passkey_origins": "https://xauth.shop.example"}, ORIGIN_FAULT),
        ({"passkey_origins": "capacitor://auth.shop.example"}, ORIGIN_FAULT),
        ({"passkey_origins": "https://a.auth.shop.example:8443"}, None),
        ({"issuer": "http://localhost:8000", "rp_id": "localhost"}, None),
        ({"issuer": "http://127.0.0.1", "rp_id": "localhost"}, "--rp-id: passkeys are"),
        ({"issuer": "http://[::1]:80", "rp_id": "1"}, "--rp-id: passkeys are bound"),
        (
            {"issuer": "http://[::1]", "passkey_origins": "https://a.example"},
            "--passkey-origins: passkeys are bound to a name, and --issuer is the a",
        ),
        ({"passkeys": "off", "rp_id": "else.example"}, None),
        ({"issuer": "https://a.example:0", "rp_id": "b"}, "--issuer must be an absol"),
    ],
)
def test_passkeys_are_bound_to_a_domain_that_browsers_take(
    given: dict[str, str], expected: str | None
) -> None:
    settings = {"issuer": "https://auth.shop.example", **given}
    if expected is None:
        load_settings(**settings)
    else:
        assert fault(**settings).startswith(expected)


def test_each_setting_says_where_it_came_from_and_no_secret(
    folder: Path, env: Any
) -> None:
    """As a worker shows it, which got the settings from its parent."""
    (folder / "d").mkdir()
    (folder / "d" / "watchword.toml").write_text("access_ttl = '90s'\nrp_name = 'A'")
    (folder / "secrets").write_text(f"{SECRET}\n{SECRET}2\n")
    (folder / "mail").write_text("smtps://user:p%40ss@m.example")
    env(DATA="d", PASSKEYS="off", SECRET_FILE="secrets", MAIL_URL_FILE="mail")
    env(DATABASE_URL="postgresql://u:p@ss@db/w?sslmode=require&sslpassword=hidden")
    env(ADMIN_PASSWORD="hidden too", CORS_ORIGINS="https://b.example,https://a.example")
    settings = load_settings(sessions_max=3)
    there = pickle.loads(pickle.dumps(settings)).model_copy(update={"port": 8000})
    found = {one.name: one for one in effective_settings(there, secrets=2)}
    table = {
        "DATA": ("d", "environment"),
        "PASSKEYS": ("off", "environment"),
        "CORS_ORIGINS": ("https://b.example https://a.example", "environment"),
        "ADMIN_PASSWORD": ("set", "environment"),
        "DATABASE_URL": (
            "postgresql://u:•••@db/w?sslmode=require&sslpassword=•••",
            "environment",
        ),
        "ACCESS_TTL": ("90s", "watchword.toml"),
        "SECRET": ("set, 2 secrets", "WATCHWORD_SECRET_FILE"),
        "MAIL_URL": ("smtps://user:•••@m.example", "WATCHWORD_MAIL_URL_FILE"),
        "SESSIONS_MAX": ("3", "--sessions-max"),
        "REFRESH_IDLE": ("7d", "default"),
        "ISSUER": ("http://127.0.0.1:8000", "default"),
        "PORT": ("8000", "default"),
        "SESSION_STORE_URL": (None, "default"),
    }
    for name, expected in table.items():
        one = found[f"WATCHWORD_{name}"]
        assert (name, one.value, one.source) == (name, *expected)
    assert len(found) == len(Settings.model_fields) - 5  # those that name files
    shown = repr(found)
    assert [one for one in (SECRET, "hidden", "ss@", "p%40") if one in shown] == []


def test_what_an_application_gives_comes_from_it(folder: Path) -> None:
    settings = load_settings(str, issuer="https://id.example", data=folder)
    learned = Settings(data=folder).model_copy(update={"issuer": "https://id.example"})
    for one in (settings, learned):
        sources = [one.source_of(key) for key in ("issuer", "data", "port", "secret")]
        assert sources == ["application", "application", "default", "default"]
    (secret,) = [
        one
        for one in effective_settings(settings, secrets=1)
        if one.name == "WATCHWORD_SECRET"
    ]
    assert (secret.value, secret.source) == ("set, 1 secret", "the data folder")
