"""compose.yaml, the Containerfile and the manifests name what there is, and agree.

What they do when they run is in test_composition.py.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

import watchword
from tests.composition import (
    COMPOSE,
    CONTAINERFILE,
    SERVERS,
    SERVICES,
    build_wheel,
    command_of,
    copied,
    image_environment,
    instructions,
)
from tests.pages import ROOT, blocks_of
from tests.test_docs_references import assert_parses
from watchword.config import ENV_PREFIX, FILE_VARIABLE, Settings
from watchword.server.endpoints import ENDPOINTS
from watchword.server.serve import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from watchword.server.workers import STOP_SECONDS

MANIFESTS: Final = ROOT / "deploy/kubernetes"
CADDYFILE: Final = (ROOT / "deploy/Caddyfile").read_text()
UNIT: Final = (ROOT / "deploy/watchword.service").read_text()
PAGE: Final = ROOT / "docs/deployment.md"
KUBERNETES: Final = ("1.30", "1.37")
"""The oldest version whose `preStop` can sleep, and a newer one."""

IMAGE: Final = f"watchword:{watchword.__version__}"
PINNED: Final = r"[\w./]+:\d+\.\d+(\.\d+)?(-[\w.-]+)?"
OURS: Final = [name for name, one in SERVICES.items() if one["image"] == IMAGE]
SETTINGS: Final = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
LONGEST_STOP: Final = max(GRACE_SECONDS, STOP_SECONDS) + 1


def objects() -> Iterator[dict[str, Any]]:
    """What `kubectl apply -k` applies, as it is written."""
    plan = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    for name in plan["resources"]:
        yield from yaml.safe_load_all((MANIFESTS / name).read_text())


KINDS: Final = {one["kind"]: one for one in objects()}
PODS: Final = {kind: KINDS[kind]["spec"]["template"] for kind in ("Deployment", "Job")}
POD: Final = PODS["Deployment"]["spec"]
CONTAINERS: Final = {kind: pod["spec"]["containers"][0] for kind, pod in PODS.items()}
SERVER: Final = CONTAINERS["Deployment"]
PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")


# Names


@pytest.mark.parametrize(
    "name",
    [
        *("compose.yaml", "Containerfile", "deploy/watchword.service"),
        *(f"deploy/kubernetes/{file.name}" for file in MANIFESTS.glob("*.yaml")),
    ],
)
def test_every_variable_is_a_setting(name: str) -> None:
    named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+\b", (ROOT / name).read_text()))
    assert named <= SETTINGS | {FILE_VARIABLE}


def test_the_servers_are_told_the_same_everywhere() -> None:
    """And by every service, so that whatever one decides, the others find."""
    (told,) = {tuple(SERVICES[name]["environment"].items()) for name in OURS}
    there = KINDS["ConfigMap"]["data"]
    assert set(there) == set(dict(told))
    for name, value in told:
        if value.startswith("/"):
            assert there[name] == value


def test_every_file_of_secrets_is_one_that_is_drawn_and_used() -> None:
    drawn = set(
        re.findall(
            r">\s*secrets\.new/([\w.-]+)", (ROOT / "deploy/secrets.sh").read_text()
        )
    )
    files = {name: one["file"] for name, one in COMPOSE["secrets"].items()}
    assert files == {name: f"./deploy/secrets/{name}" for name in drawn}
    for service in SERVICES.values():
        needed = set(re.findall(r"/run/secrets/([\w.-]+)", str(service)))
        assert needed <= set(service.get("secrets", [])) <= drawn
    page = PAGE.read_text()
    for place in KINDS["ConfigMap"]["data"].values():
        if place.startswith("/run/secrets/"):
            assert f"--from-file=deploy/secrets/{Path(place).name}" in page


def test_nothing_secret_is_written_here() -> None:
    names = ROOT / "compose.yaml", ROOT / "Containerfile"
    for file in (*names, *sorted(MANIFESTS.glob("*.yaml"))):
        text = file.read_text()
        assert not re.search(r"://[^\s/]*:[^\s/]*@", text)
        assert not re.search(r"(PASSWORD|SECRET)\b *[:=]", text)
    assert "Secret" not in KINDS


@pytest.mark.parametrize("name", OURS)
def test_compose_runs_commands_that_there_are(name: str) -> None:
    program, *words = command_of(SERVICES[name])
    assert program == "watchword"
    assert_parses(words)
    assert words == (["serve"] if name in SERVERS else [name])


@pytest.mark.parametrize("kind", PODS)
def test_kubernetes_runs_commands_that_there_are(kind: str) -> None:
    assert_parses(list(CONTAINERS[kind]["args"]))


def test_every_image_is_pinned_and_ours_is_this_version() -> None:
    images = {one["image"] for one in SERVICES.values()}
    images |= {words.split()[0] for words in instructions("FROM")}
    images |= {one["image"] for one in CONTAINERS.values()}
    assert [image for image in images if not re.fullmatch(PINNED, image)] == []
    assert {one["image"] for one in CONTAINERS.values()} == {IMAGE}
    assert set(SERVERS) < set(OURS)
    plan = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    assert [one["newTag"] for one in plan["images"]] == [watchword.__version__]


# Health checks and ports


def probes() -> Iterator[list[str]]:
    """The words of each health check of a server."""
    yield yaml.safe_load(instructions("HEALTHCHECK")[0].partition("CMD")[2])
    for name in SERVERS:
        how, *words = SERVICES[name]["healthcheck"]["test"]
        assert how == "CMD"
        yield words


def test_health_checks_ask_what_the_server_answers() -> None:
    paths = {operation.path for operation in ENDPOINTS}
    for program, port, path in probes():
        assert f"/usr/local/bin/{program}" in CONTAINERFILE
        assert int(port) == Settings().port
        assert path in paths
    (path,) = re.findall(r"health_uri (\S+)", CADDYFILE)
    assert {path, *(SERVER[name]["httpGet"]["path"] for name in PROBES)} <= paths


def test_a_slow_database_gets_no_server_killed() -> None:
    requested = [SERVER[name]["httpGet"]["path"] for name in PROBES]
    assert requested == ["/healthz", "/healthz", "/readyz"]


def test_everybody_speaks_to_the_port_that_is_served() -> None:
    port = Settings().port
    assert instructions("EXPOSE") == [str(port)]
    assert [one["containerPort"] for one in SERVER["ports"]] == [port]
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert [f"{name}:{port}" for name in SERVERS] == re.findall(
        r"server-\d:\d+", CADDYFILE
    )


def test_the_servers_believe_the_proxy_and_nobody_else() -> None:
    proxy = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
    believed = SERVICES["server-1"]["environment"]["WATCHWORD_BEHIND_PROXY"]
    assert believed == f"{proxy}/32"
    (plan,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    handed_out = ipaddress.ip_network(plan["ip_range"])
    assert ipaddress.ip_address(proxy) in ipaddress.ip_network(plan["subnet"])
    assert ipaddress.ip_address(proxy) not in handed_out


def test_only_the_proxy_can_be_reached_and_no_database_leaves() -> None:
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["proxy"]
    assert COMPOSE["networks"]["data"]["internal"] is True
    for name in ("postgres", "valkey", "migrate"):
        assert SERVICES[name]["networks"] == ["data"]


def test_no_proxy_keeps_an_idle_connection_longer_than_the_server() -> None:
    (ours,) = re.findall(r"keepalive (\d+)s", CADDYFILE)
    assert int(ours) < KEEP_ALIVE_SECONDS
    text = " ".join(PAGE.read_text().split())
    assert f"The server closes an idle connection after {KEEP_ALIVE_SECONDS} s" in text
    shown = "\n".join(block.text for block in blocks_of(PAGE))
    for seconds in re.findall(r"(?:keepalive_timeout|idle_timeout:) (\d+)s", shown):
        assert int(seconds) < KEEP_ALIVE_SECONDS


# Rights


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = service.get("user") or instructions("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")


@pytest.mark.parametrize("kind", PODS)
def test_a_pod_has_no_rights_that_it_does_not_need(kind: str) -> None:
    pod, container = PODS[kind]["spec"], CONTAINERS[kind]
    assert pod["automountServiceAccountToken"] is False
    who = pod["securityContext"]
    assert who["runAsNonRoot"] is True
    assert f"{who['runAsUser']}:{who['runAsGroup']}" == instructions("USER")[-1]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


# Stopping, and staying


def test_a_server_is_given_the_time_that_it_takes_to_stop() -> None:
    for name in SERVERS:
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > LONGEST_STOP
    before = SERVER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] > before + LONGEST_STOP
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert int(seconds) > LONGEST_STOP


def test_there_are_always_two_servers_and_an_update_takes_none_away() -> None:
    assert KINDS["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2
    update = KINDS["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert update["maxUnavailable"] == 0
    # Or every update would undo what the autoscaler did.
    assert "replicas" not in KINDS["Deployment"]["spec"]


def test_the_schema_is_brought_up_to_date_before_a_server_starts() -> None:
    for name in SERVERS:
        condition = SERVICES[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


# Kubernetes


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("kind", KINDS)
def test_kubernetes_takes_the_manifest(kind: str, version: str) -> None:
    kubernetes_validate.validate(KINDS[kind], version, strict=True)


def test_every_manifest_is_applied() -> None:
    plan = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    files = {file.name for file in MANIFESTS.glob("*.yaml")}
    assert set(plan["resources"]) == files - {"kustomization.yaml"}
    assert len(KINDS) == len(list(objects()))


def test_what_selects_the_servers_finds_them() -> None:
    labels = PODS["Deployment"]["metadata"]["labels"].items()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert KINDS[kind]["spec"]["selector"]["matchLabels"].items() == labels
    assert KINDS["Service"]["spec"]["selector"].items() == labels
    for spread in POD["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() == labels
    selected = KINDS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    assert selected <= labels
    # The Job is fenced in likewise, and no request goes to it.
    others = PODS["Job"]["metadata"]["labels"].items()
    assert selected <= others
    assert not labels <= others


def test_what_refers_to_another_finds_it() -> None:
    name = KINDS["Deployment"]["metadata"]["name"]
    assert KINDS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == name
    (rule,) = KINDS["Ingress"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    assert service["name"] == KINDS["Service"]["metadata"]["name"]
    assert service["port"]["name"] == KINDS["Service"]["spec"]["ports"][0]["name"]
    issuer = KINDS["ConfigMap"]["data"]["WATCHWORD_ISSUER"]
    assert [f"https://{rule['host']}"] == [issuer]
    for kind, container in CONTAINERS.items():
        (settings,) = container["envFrom"]
        there = KINDS["ConfigMap"]["metadata"]["name"]
        assert settings["configMapRef"]["name"] == there
        (volume,) = PODS[kind]["spec"]["volumes"]
        (mount,) = container["volumeMounts"]
        assert (volume["name"], mount["mountPath"]) == (mount["name"], "/run/secrets")
        assert f"create secret generic {volume['secret']['secretName']}" in (
            PAGE.read_text()
        )


# The image


def test_the_image_is_built_from_what_its_build_may_see() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    seen = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert sorted(seen) == sorted(set(copied()))
    assert [name for name in seen if not (ROOT / name).exists()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_the_image_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """A statement or a script that is left out would break every container."""
    source = ROOT / "src"
    files = {
        str(file.relative_to(source))
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert any(name.endswith(".sql") for name in files)
    assert any(name.endswith(".lua") for name in files)
    assert files <= set(wheel.namelist())


def test_the_image_installs_extras_that_there_are(wheel: zipfile.ZipFile) -> None:
    (name,) = [one for one in wheel.namelist() if one.endswith("/METADATA")]
    metadata = wheel.read(name).decode()
    there = set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE))
    requested = [set(re.findall(r"--extra (\S+)", run)) for run in instructions("RUN")]
    requested = [extras for extras in requested if extras]
    assert requested == [{"server", "postgres", "redis"}] * 2
    assert requested[0] <= there


def test_the_image_serves_to_others_and_keeps_its_data_where_it_may() -> None:
    environment = image_environment()
    assert environment["WATCHWORD_HOST"] == "0.0.0.0"
    owner = instructions("USER")[-1].split(":")[0]
    folder = environment["WATCHWORD_DATA"]
    assert f"install -d -o {owner} -g {owner} -m 700 {folder}" in CONTAINERFILE


# One machine


def test_the_unit_starts_a_command_that_there_is() -> None:
    (line,) = re.findall(r"^ExecStart=(.+)$", UNIT, re.MULTILINE)
    program, *words = line.split()
    assert Path(program).name == "watchword"
    assert_parses(words)


def test_the_settings_of_the_unit_are_settings() -> None:
    (shown,) = [block.text for block in blocks_of(PAGE) if block.kind == "toml"]
    settings = Settings(**tomllib.loads(shown))
    (folder,) = re.findall(r"^StateDirectory=(.+)$", UNIT, re.MULTILINE)
    assert settings.data == Path("/var/lib") / folder


# Proxies


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_proxy_that_sends_no_headers_by_itself_is_told_to(kind: str) -> None:
    (shown,) = [block.text for block in blocks_of(PAGE) if block.kind == kind]
    assert re.search(r"header X-Forwarded-Proto https;?$", shown, re.MULTILINE)
    assert re.search(r"header X-Forwarded-For [%$]", shown)
