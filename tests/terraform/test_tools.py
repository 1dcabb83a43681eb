"""The parts of the checks in this folder that decide something."""

from __future__ import annotations

import tomllib
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orchestration import terraform
from orchestration.terraform import Change
from tests.infrastructure.synthesized import Deployment
from tests.terraform import checkov, provider
from tests.terraform.checkov import Failure, unexplained
from tests.terraform.emulator_differences import DIFFERENCES, UNKNOWN, UNKNOWN_DATA, unneeded, unreviewed
from tests.terraform.endpoint import Endpoint, signed_for


def unpacked(mirror: Path, *versions: str) -> None:
    for version in versions:
        (mirror / provider.PROVIDER / version / "linux_amd64").mkdir(parents=True)


def configured(folder: Path, mirror: Path) -> Path:
    file = folder / "user.rc"
    file.write_text(f'provider_installation {{\n filesystem_mirror {{\n  path = "{mirror}"\n }}\n}}\n')
    return file


def test_users_own_configuration_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked(tmp_path / "mirror", "5.9.0", "5.100.0")
    file = configured(tmp_path, tmp_path / "mirror")
    monkeypatch.setenv(provider.CONFIGURATION_VARIABLE, str(file))
    found = provider.find()
    assert found == provider.Provider("5.100.0", file.read_text())
    written = found.write(tmp_path)
    assert Path(written[provider.CONFIGURATION_VARIABLE]).read_text() == file.read_text()


def test_configuration_without_a_mirror_leaves_the_pinned_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "user.rc"
    file.write_text('plugin_cache_dir = "/somewhere"\n')
    monkeypatch.setenv(provider.CONFIGURATION_VARIABLE, str(file))
    assert provider.find() == provider.Provider(None, file.read_text())


def test_plugin_directories_are_found_but_not_the_working_folders_of_others(tmp_path: Path) -> None:
    unpacked(tmp_path / "project" / ".terraform" / "providers", "6.0.0")
    unpacked(tmp_path / "a" / "plugins", "5.100.0")
    assert list(provider._plugin_directories(tmp_path, 3)) == [tmp_path / "a" / "plugins"]
    assert list(provider._plugin_directories(tmp_path, 1)) == []


@pytest.mark.parametrize("actions", [("create",), ("delete",), ("delete", "create"), ("create", "delete")])
@pytest.mark.parametrize("kind", ["aws_rds_cluster", "aws_rds_global_cluster", "aws_dynamodb_table", "aws_kms_key"])
def test_no_review_covers_data_that_is_made_again_or_removed(kind: str, actions: tuple[str, ...]) -> None:
    assert unreviewed([Change(f"{kind}.x", kind, actions, frozenset())])


def test_only_reviewed_attributes_may_differ_in_the_reviewed_way() -> None:
    assert unreviewed([Change("aws_rds_cluster.x", "aws_rds_cluster", ("update",), frozenset({"engine_version"}))])
    for kind, known in DIFFERENCES.items():
        assert known.why
        assert not unreviewed([Change(f"{kind}.x", kind, known.actions, known.attributes)])
        assert unreviewed([Change(f"{kind}.x", kind, known.actions, known.attributes | {"name"})])
        assert unreviewed([Change(f"{kind}.x", kind, ("delete",), known.attributes)])


def test_an_entry_that_no_plan_needs_is_reported() -> None:
    needed = [Change(f"{kind}.x", kind, known.actions, known.attributes) for kind, known in DIFFERENCES.items()]
    assert unneeded(needed) == []
    first, *others = needed
    assert unneeded(others) == [f"  {first.kind}"]
    lacking, *rest = sorted(first.changed)
    fewer = Change(first.address, first.kind, first.actions, frozenset(rest))
    assert unneeded([fewer, *others]) == [f"  {first.kind}: {lacking}"]


def test_everything_that_is_left_out_for_the_emulator_is_deployed(deployment: Deployment) -> None:
    for kind, attribute in UNKNOWN.items():
        resources = [resource for stack in deployment.stacks.values() for resource in stack.all(kind)]
        assert any(attribute is None or attribute in resource for resource in resources), kind
    for kind, argument in UNKNOWN_DATA.items():
        sources = [s for stack in deployment.stacks.values() for s in stack.json["data"].get(kind, {}).values()]
        assert any(argument in source for source in sources), kind


def test_no_review_covers_what_holds_a_database_in_place() -> None:
    held = {"global_cluster_identifier", "replication_source_identifier", "engine_version", "cluster_identifier"}
    assert not DIFFERENCES["aws_rds_cluster"].attributes & held
    assert {kind for kind in DIFFERENCES if kind.startswith("aws_rds_")} == {"aws_rds_cluster"}


def planned(before: Any, after: Any, unknown: Any) -> Change:
    change = {"actions": ["update"], "before": before, "after": after, "after_unknown": unknown}
    return terraform._change({"address": "aws_vpc.x", "type": "aws_vpc", "change": change})


def test_what_a_plan_changes_or_cannot_know_counts_and_the_rest_does_not() -> None:
    same = {"name": "x", "ttl": [{"enabled": True}], "tags": {"a": "b"}}
    assert planned(same, same, {"ttl": [{}], "tags": {}}).changed == set()
    assert planned(same, {**same, "ttl": []}, {}).changed == {"ttl"}
    assert planned(same, same, {"name": True}).changed == {"name"}
    assert planned(same, same, {"ttl": [{"enabled": True}]}).changed == {"ttl"}
    assert planned(None, same, {"id": True}).changed == {"name", "ttl", "tags", "id"}


FAILURE = Failure("CKV_1", "Ensure it", "aws_vpc", "vpc_1", "us-east-1")


def test_a_failed_check_needs_a_reason_for_its_kind_of_resource() -> None:
    assert unexplained([FAILURE], {"CKV_1": {"kinds": ["aws_vpc"], "reason": "so"}}) == []
    assert "vpc_1 fails CKV_1" in unexplained([FAILURE], {})[0]
    assert len(unexplained([FAILURE], {"CKV_1": {"kinds": ["aws_subnet"], "reason": "so"}})) == 2


def test_a_reason_needs_a_failed_check() -> None:
    assert "CKV_1 has a reason for aws_vpc" in unexplained([], {"CKV_1": {"kinds": ["aws_vpc"], "reason": "so"}})[0]


def test_every_reason_says_something() -> None:
    for check, reason in tomllib.loads(checkov.REASONS_FILE.read_text()).items():
        assert set(reason) == {"kinds", "reason"}, check
        assert len(reason["reason"]) > 30, check


def signature(region: str, service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=AKID/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"


def test_a_request_belongs_to_the_region_of_its_signature() -> None:
    assert signed_for(signature("us-west-2", "rds")) == ("us-west-2", "rds")
    assert signed_for("") == ("", "")


class Upstream(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("X-Kept", "yes")
        self.end_headers()
        self.wfile.write(b"got " + body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_dark_region_hangs_up_and_the_others_answer_what_they_are_told_to() -> None:
    server = HTTPServer(("127.0.0.1", 0), Upstream)
    Thread(target=server.serve_forever, daemon=True).start()
    with Endpoint(("127.0.0.1", server.server_port)).running() as endpoint, endpoint.without("us-east-1") as seen:

        def ask(region: str) -> tuple[int, str, bytes]:
            request = urllib.request.Request(
                endpoint.url, b"this", {"Authorization": signature(region, "rds")}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers["X-Kept"], answer.read()

        assert ask("us-west-2") == (202, "yes", b"got this")
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            ask("us-east-1")
        assert seen == {("us-west-2", "rds"): 1, ("us-east-1", "rds"): 1}
        with endpoint.telling({"this": "something else", "got": "heard"}):
            assert ask("us-west-2")[2] == b"heard something else"
        assert ask("us-west-2")[2] == b"got this"
    server.shutdown()
    server.server_close()
