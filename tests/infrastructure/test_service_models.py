"""The AWS service models in the packages: smaller than botocore's, and the same in all that the code calls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from handlers.gateways.aws import MODELS, SERVICES
from orchestration.packaging import Package, build_packages
from orchestration.service_models import WHOLE, _undocumented, service_models
from orchestration.settings import load
from orchestration.specification import describe

ROOT = Path(__file__).resolve().parents[2]
TRIMMED = sorted({*SERVICES} - WHOLE)
# Where IAM names an action otherwise than the API its operation, or a service otherwise than botocore.
OPERATIONS = {"lambda:InvokeFunction": "lambda:Invoke"}
BOTOCORE_NAMES = {"states": "stepfunctions"}
# What AWS checks while it carries out another operation, and no code calls.
IMPLIED = {"rds:AddTagsToResource", "secretsmanager:GetSecretValue"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    return build_packages(ROOT, tmp_path_factory.mktemp("packages"))


def models_of(package: Package) -> dict[str, dict[str, Any]]:
    """The model of each service in a package."""
    with zipfile.ZipFile(package.path) as archive:
        found = {}
        for name in archive.namelist():
            if match := re.fullmatch(rf"handlers/{MODELS.name}/([\w-]+)/[\d-]+/service-2\.json", name):
                found[match[1]] = json.loads(archive.read(name))
    return found


def without_documentation(data: Any) -> Any:
    if isinstance(data, dict):
        return {
            name: without_documentation(inner)
            for name, inner in data.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    return [without_documentation(inner) for inner in data] if isinstance(data, list) else data


@pytest.mark.parametrize("name", ["workflow", "database"])
def test_what_is_kept_of_a_service_is_as_botocore_has_it(packages: dict[str, Package], name: str) -> None:
    models = models_of(packages[name])
    assert sorted(models) == TRIMMED
    for service, model in models.items():
        whole = without_documentation(Loader().load_service_model(service, "service-2"))
        assert model | {"operations": {}, "shapes": {}} == whole | {"operations": {}, "shapes": {}}, service
        assert model["operations"].items() <= whole["operations"].items(), service
        assert model["shapes"].items() <= whole["shapes"].items(), service


def test_every_operation_that_a_role_may_call_is_kept(packages: dict[str, Package]) -> None:
    specification = describe(load(), "123456789012")
    regions = specification.regions.values()
    permissions = [one for region in regions for function in region.functions.values() for one in function.permissions]
    permissions += [one for region in regions for role in region.roles_for_others for one in role.permissions]
    actions = {OPERATIONS.get(action, action) for permission in permissions for action in permission.actions}
    models = models_of(packages["workflow"])
    asked = 0
    for service, operation in (action.split(":") for action in actions - IMPLIED):
        service = BOTOCORE_NAMES.get(service, service)
        whole = Loader().load_service_model(service, "service-2") if service in TRIMMED else {"operations": {}}
        if operation in whole["operations"]:
            asked += 1
            assert operation in models[service]["operations"], f"{service}:{operation}"
    assert asked >= 30


def test_an_operation_is_kept_when_the_sources_name_its_method_and_only_then() -> None:
    files = service_models(["client.describe_db_clusters(", 'paginate("describe_global_clusters")'])
    (rds,) = (json.loads(content) for name, content in files.items() if "/rds/" in name)
    assert sorted(rds["operations"]) == ["DescribeDBClusters", "DescribeGlobalClusters"]
    assert "CreateDBInstanceMessage" not in rds["shapes"]


def test_a_member_that_is_called_documentation_is_kept() -> None:
    model = {"documentation": "<p>Words.</p>", "members": {"documentation": {"shape": "Text"}}}
    assert _undocumented(model) == {"members": {"documentation": {"shape": "Text"}}}


def test_clients_from_a_package_sign_and_resolve_as_botocores_own(packages: dict[str, Package], tmp_path: Path) -> None:
    """The same endpoints, what they are resolved from, and the same signatures."""
    with zipfile.ZipFile(packages["workflow"].path) as archive:
        archive.extractall(tmp_path)
    said = {}
    for source in (tmp_path, ROOT):
        command = [sys.executable, "-c", CLIENTS, str(source)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=ENVIRONMENT)
        said[source] = json.loads(ended.stdout)
    assert [said[source].pop("models") for source in (tmp_path, ROOT)] == [True, False]
    assert len(said[ROOT]) == 2 * len(SERVICES)
    assert said[tmp_path] == said[ROOT]


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CONFIG_FILE": "/dev/null"}
CLIENTS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from handlers.gateways.aws import MODELS, SERVICES, client
said = {"models": MODELS.exists()}
for service in SERVICES:
    for region in ("us-east-1", "us-west-2"):
        one = client(service, region)
        said[f"{service} {region}"] = [
            one.meta.endpoint_url, one.meta.config.signature_version, one.meta.partition,
            one._request_signer.signing_name, one._request_signer.region_name, one.meta.service_model.api_version,
            [str(value) for value in one._ruleset_resolver._builtins.values() if not callable(value)],
        ]
print(json.dumps(said))
"""
