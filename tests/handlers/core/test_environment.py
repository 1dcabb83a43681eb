"""What a function is told by its deployment: exactly what its handler declares, and nothing is declared for nothing."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from unittest import mock

import pytest

from handlers.core.environment import RDS_CA_BUNDLE, PeerVariables, Variables
from handlers.core.errors import Misconfigured
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe
from orchestration.specification.model import Function

REGIONS = describe(load(environment_suffix="test", environment="development"), "123456789012").regions
WRITER, STANDBY = REGIONS
FUNCTIONS = [pytest.param(function, id=step) for step, function in REGIONS[STANDBY].functions.items()]
IN_BOTH_REGIONS = [
    pytest.param(region, function, id=f"{step} {region}")
    for region, there in REGIONS.items()
    for step, function in there.functions.items()
]
# Read by Powertools itself, in every function.
FOR_POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL", "POWERTOOLS_METRICS_NAMESPACE"}
# Read by boto3 where a role of the other region is taken on, so that it asks this region's endpoint.
FOR_BOTO3 = "AWS_STS_REGIONAL_ENDPOINTS"
ROLES = {"PEER_ROLE_ARN", "REPROTECTION_ROLE_ARN", "REBUILD_ROLE_ARN"}

# Every variable that some function of us-west-2 is told. The reviewers' list: the handlers trust these values.
TOLD_IN_US_WEST_2 = {
    "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    "BACKUP_VAULT": "payments-backup-usw2-test",
    "CLUSTER": "payments-usw2-test",
    "CLUSTER_ARN": "arn:aws:rds:us-west-2:123456789012:cluster:payments-usw2-test",
    "CLUSTER_DNS_NAME": "usw2.test.payments.internal",
    "CLUSTER_SECURITY_GROUPS": "database",
    "CONTROL_TABLE": "failover-control-test",
    "COOL_DOWN_S": "1800",
    "DATABASE_NAME": "payments",
    "DATABASE_PORT": "5432",
    "DATABASE_USER": "monitor",
    "FENCE_FUNCTION": "failover-fence-usw2-test",
    "FENCE_SECURITY_GROUP": "fence",
    "GLOBAL_CLUSTER": "payments-global-test",
    "IDEMPOTENCY_TABLE": "failover-idempotency-usw2-test",
    "INSTANCES": "payments-0-usw2-test,payments-1-usw2-test",
    "MASTER_SECRET": "payments-master-test",
    "PEER_CLUSTER": "payments-use1-test",
    "PEER_CLUSTER_ARN": "arn:aws:rds:us-east-1:123456789012:cluster:payments-use1-test",
    "PEER_CLUSTER_DNS_NAME": "use1.test.payments.internal",
    "PEER_FENCE_FUNCTION": "failover-fence-use1-test",
    "PEER_PROBER_FUNCTION": "failover-prober-use1-test",
    "PEER_REGION": "us-east-1",
    "PEER_ROLE_ARN": "arn:aws:iam::123456789012:role/failover-peer-use1-test",
    "PEER_SALVAGE_FUNCTION": "failover-salvage-use1-test",
    "PEER_STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:failover-use1-test",
    "PEER_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:failover-notifications-use1-test",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "POWERTOOLS_METRICS_NAMESPACE": "FailoverOrchestrator",
    "POWERTOOLS_SERVICE_NAME": "failover",
    "PROBER_FUNCTION": "failover-prober-usw2-test",
    "READER_DNS_NAME": "usw2-ro.test.payments.internal",
    "RECOVERY_GRACE_S": "25",
    "REBUILD_ROLE_ARN": "arn:aws:iam::123456789012:role/failover-rebuild-use1-test",
    "REPROTECTION_ROLE_ARN": "arn:aws:iam::123456789012:role/failover-reprotection-use1-test",
    "REPROTECTION_STATE_MACHINE_ARN": "arn:aws:states:us-west-2:123456789012:stateMachine:reprotect-usw2-test",
    "RPO_BUDGET_MS": "1000",
    "REPORTS_BUCKET": "payments-reports-usw2-test-123456789012",
    "RUNS_TABLE": "failover-runs-usw2-test",
    "SALVAGE_BUCKET": "payments-salvage-usw2-test-123456789012",
    "SALVAGE_REPLAY": "{}",
    "STATE_MACHINE_ARN": "arn:aws:states:us-west-2:123456789012:stateMachine:failover-usw2-test",
    "TOPIC_ARN": "arn:aws:sns:us-west-2:123456789012:failover-notifications-usw2-test",
    "TRIGGER_MODE": "failover",
    "WRITER_DNS_NAME": "writer.test.payments.internal",
    "ZONE": "test.payments.internal",
}


def told(function: Function) -> dict[str, str]:
    """What the deployed function is told; the region's stack puts a group's id in the place of its key."""
    return function.environment | dict(function.security_groups)


@functools.cache
def handler_of(folder: str, step: str) -> ModuleType:
    """The handler's module, imported with what its function in the standby region is told and nothing else."""
    file = PROJECT_ROOT / "handlers" / folder / f"{step}.py"
    spec = importlib.util.spec_from_file_location(f"alone.{step}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    variables = told(REGIONS[STANDBY].functions[step]) | {"AWS_REGION": STANDBY}
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        with mock.patch.dict(os.environ, variables, clear=True):
            spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def declared(function: Function) -> type[Variables]:
    """The class in which the handler of a function declares what it reads."""
    found: type[Variables] = handler_of(function.folder, function.step).Environment
    assert issubclass(found, Variables)
    return found


@pytest.mark.parametrize(("region", "function"), IN_BOTH_REGIONS)
def test_every_function_is_told_what_its_handler_declares_and_nothing_else(region: str, function: Function) -> None:
    wanted = {name.upper() for name in declared(function).declared()} - {"AWS_REGION"}
    if wanted & ROLES:
        wanted.add(FOR_BOTO3)
    assert set(told(function)) == wanted | FOR_POWERTOOLS
    assert declared(function).read(told(function) | {"AWS_REGION": region}).aws_region == region


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_declared_that_nobody_reads(function: Function) -> None:
    """Each set of variables is read where it is declared, and handed to what needs it."""
    environment = declared(function)
    source = (PROJECT_ROOT / "handlers" / function.folder / f"{function.step}.py").read_text()
    for part in environment.__mro__:
        own = set(inspect.get_annotations(part))
        if part is Variables or not own:
            continue
        if part is PeerVariables:
            derived = [one for one in environment.__bases__ if issubclass(one, PeerVariables) and one is not part]
            assert derived or reads(source, "peer_region")
            continue
        declaring = source if part is environment else inspect.getsource(sys.modules[part.__module__])
        assert [field for field in own if not reads(declaring, field)] == []
        if part is not environment:
            sets = [one for one in environment.__mro__ if issubclass(one, part) and one is not environment]
            takers = {one.__name__ for one in sets}
            # A set may combine others, which its own module hands on.
            handing = source + "".join(
                inspect.getsource(sys.modules[one.__module__]) for one in sets if one is not part
            )
            assert any(f"{call}(" in handing for call in calls_that_take(takers, declaring)), part


def reads(source: str, field: str) -> bool:
    return re.search(rf"environment\.{field}\b", source, re.IGNORECASE) is not None


def calls_that_take(classes: set[str], source: str) -> Iterator[str]:
    """What is written to call the functions and class methods of a module that take one of these classes."""
    for node in ast.parse(source).body:
        for function in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(function, ast.FunctionDef):
                annotations = (argument.annotation for argument in function.args.args)
                taken = {annotation.id for annotation in annotations if isinstance(annotation, ast.Name)}
                if taken & classes:
                    yield f"{node.name}.{function.name}" if isinstance(node, ast.ClassDef) else function.name


@pytest.mark.parametrize("region", REGIONS)
def test_a_variable_means_the_same_in_every_function_of_a_region(region: str) -> None:
    everything = dict(TOLD_IN_US_WEST_2)
    if region == WRITER:  # the same with the regions in each other's place
        swap = {"us-east-1": "us-west-2", "us-west-2": "us-east-1", "use1": "usw2", "usw2": "use1"}
        for name, value in everything.items():
            everything[name] = re.sub("|".join(swap), lambda found: swap[found[0]], value)
    everything["WARM_UP_FUNCTIONS"] = ",".join(steps_of_the_failover(region))
    limited = [function for function in REGIONS[region].functions.values() if function.concurrency]
    reserved = {f"{function.name}={function.concurrency}" for function in limited}
    assert set(told(REGIONS[region].functions["readiness"])["RESERVED_CONCURRENCY"].split(",")) == reserved
    everything["RESERVED_CONCURRENCY"] = told(REGIONS[region].functions["readiness"])["RESERVED_CONCURRENCY"]
    everything["SECONDARY_REGION"] = STANDBY  # of the writer's DNS records: the same one wherever it is asked for
    found: dict[str, str] = {}
    for function in REGIONS[region].functions.values():
        assert {name: everything[name] for name in told(function)} == told(function)
        found |= told(function)
    assert set(found) == set(everything)


def steps_of_the_failover(region: str) -> list[str]:
    """The functions of the handlers in that folder: what is started ahead of a failover."""
    return [function.name for function in REGIONS[region].functions.values() if function.folder == "failover"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_missing_variable_is_named(function: Function) -> None:
    whole = told(function) | {"AWS_REGION": STANDBY}
    for variable in map(str.upper, declared(function).declared()):
        with pytest.raises(Misconfigured, match=rf"{variable} is missing; deploy it from the specification again"):
            declared(function).read({name: value for name, value in whole.items() if name != variable})


def test_a_handler_does_not_start_without_a_variable() -> None:
    handler_of.cache_clear()
    wrong = mock.patch.dict(REGIONS[STANDBY].functions["claim"].environment, {"COOL_DOWN_S": "soon"})
    with wrong, pytest.raises(Misconfigured, match="COOL_DOWN_S is 'soon', not a whole number"):
        handler_of("failover", "claim")


class Some(Variables):
    cluster: str
    database_port: int
    rpo_budget_ms: int


def test_numbers_are_read_as_numbers() -> None:
    read = Some.read({"AWS_REGION": "r", "CLUSTER": "c", "DATABASE_PORT": "5432", "RPO_BUDGET_MS": "0", "OTHER": "x"})
    assert vars(read) == {"aws_region": "r", "cluster": "c", "database_port": 5432, "rpo_budget_ms": 0}


def test_an_empty_variable_is_a_missing_one() -> None:
    with pytest.raises(Misconfigured, match="CLUSTER is missing"):
        Some.read({"AWS_REGION": "r", "CLUSTER": "", "DATABASE_PORT": "1", "RPO_BUDGET_MS": "1"})


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(Misconfigured) as raised:
        Some.read({"AWS_REGION": "r", "CLUSTER": "", "DATABASE_PORT": "5432x", "RPO_BUDGET_MS": "-1"})
    for fault in ("CLUSTER is missing", "DATABASE_PORT is '5432x', not a whole number", "RPO_BUDGET_MS is '-1'"):
        assert fault in str(raised.value)


def test_the_fence_and_nobody_else_is_told_the_security_groups() -> None:
    for there in REGIONS.values():
        groups = {step: dict(function.security_groups) for step, function in there.functions.items()}
        assert {step: found for step, found in groups.items() if found} == {
            "fence": {"CLUSTER_SECURITY_GROUPS": "database", "FENCE_SECURITY_GROUP": "fence"}
        }


def test_the_certificate_authorities_are_in_the_package() -> None:
    assert RDS_CA_BUNDLE.read_text().count("BEGIN CERTIFICATE") > 1
