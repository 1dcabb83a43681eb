"""The world of one drill: two regions with real databases, a network, DNS, clients and the AWS APIs.

`Lab` builds it and takes it down; it decides nothing. It tells `observe` what happens in it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from drills.aws.cloud import ACCOUNT, Cloud
from drills.aws.clusters import instance_endpoint, reader_endpoint, writer_endpoint
from drills.aws.replication_lag import ReplicationLagMetric
from drills.world import applications, bank
from drills.world.applications import Application, Hosts
from drills.world.bank import REPLAY
from drills.world.certificates import create_certificates
from drills.world.divergence import find_divergence
from drills.world.dns import DnsServer, RecordSet, Resolver, Zone
from drills.world.network import Address, Network, NetworkPath, address_in, free_port
from drills.world.postgres import APPLICATION, MONITOR, Server
from drills.world.pulse import Pulse
from drills.world.reachability import OUTSIDE, Fault, Reachability
from drills.world.visitors import Visitors
from drills.world.workload import Workload, WorkloadSettings
from failoverctl.lab import RunningLab
from orchestration.packaging import build_packages
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import psycopg

    from drills.aws.happenings import Observe
    from drills.world.applications import Chosen
    from drills.world.clock import Clock
    from drills.world.divergence import Divergence
    from drills.world.postgres import Binaries, ReplicationLag
    from drills.world.pulse import Load
    from drills.world.reaper import Reaper
    from drills.world.workload import Progress
    from orchestration.settings import Settings
    from orchestration.specification import Specification
    from orchestration.specification.model import Region

# What has an address in each region (`drills.world.network.address_in`): the two clusters as clients there see them,
# then these, and then the two clusters as the region's prober sees them: a fence leaves the prober its own path to its
# own cluster.
SERVER, DNS, REPLICATION, PROBER_DNS, PROBER = 2, 3, 4, 5, 6
THINGS = PROBER + 2
# Who takes which paths to the databases.
CLIENT_PATHS, PROBER_PATHS = "clients", "prober"
# The application runs in both regions, so that somebody is left to write when one of them dies.
CLIENTS_PER_REGION = 4
# How clients find the writer: by its name, or by the list of both regions' endpoints. Beside clients by name, two a
# region by hosts are enough to measure how soon they write again.
CLIENTS = {"name": {"name": CLIENTS_PER_REGION}, "hosts": {"hosts": CLIENTS_PER_REGION}}
CLIENTS["both"] = CLIENTS["name"] | {"hosts": 2}
# Clients in the writer region that know its cluster's own endpoint and never ask for the writer name.
PINNED, PINNED_CLIENTS = "pinned", 2
# Real transfers per second and client: enough that tens of ms of lag hold several commits, and few enough that two
# servers, the clients and the AWS plane fit on two cores.
TRANSFERS_PER_SECOND = 10.0
# RDS gives its endpoints' addresses this time to live (seconds); observed in its answers, not documented.
ENDPOINT_TTL_SECONDS = 5


@dataclass(frozen=True)
class Wishes:
    """What the command line says about the world."""

    trigger_mode: str
    seed: int
    aurora_promotion_seconds: float
    deliveries: int
    cools_down: bool = True
    """Whether automatic failovers stay off for the deployed time after each change of writer."""
    clients: str = "name"
    """How clients find the writer, one of `CLIENTS`."""
    patience: float = 1.0
    """How many times as long as usual they wait for an answer."""
    outage_seconds: float = 0.0
    """How long an outage lasts that passes by itself (virtual seconds)."""
    bootstrapped: bool = True
    """Whether the databases get what the orchestrator needs in them before it is deployed."""


class Lab:
    """Two regions, ready to fail. Use it as a context manager: leaving it takes everything down."""

    def __init__(
        self, folder: Path, binaries: Binaries, clock: Clock, reaper: Reaper, observe: Observe, wishes: Wishes
    ) -> None:
        """Chooses addresses and describes the deployment; nothing runs yet.

        Raises
        ------
        SettingsError
            When the project's settings cannot be used.
        NetworkError
            When the machine lacks the loopback addresses, or no port is free.
        """
        self._folder = folder
        self.clock = clock
        self._reaper = reaper
        self._observe = observe
        self._wishes = wishes
        self._stack = ExitStack()
        self._closing = threading.Event()
        regions = list(load().regions)
        hosts = [address_in(regions, region, thing) for region in regions for thing in range(THINGS)]
        self.port = free_port(hosts)
        changes: dict[str, Any] = {} if wishes.cools_down else {"thresholds": {"cool_down_minutes": 0}}
        self.settings: Settings = load(
            database={"port": self.port}, trigger_mode=wishes.trigger_mode, salvage={"replay": REPLAY}, **changes
        )
        self.specification: Specification = describe(self.settings, ACCOUNT)
        self.writer, self.standby = self.settings.regions
        self.reachability = Reachability([*regions, self.settings.witness_region])
        self.servers = {
            region: Server(
                self.specification.regions[region].cluster.identifier,
                self.settings.database.name,
                binaries,
                folder,
                Address(address_in(regions, region, SERVER), self.port),
                reaper,
                self.settings.database.reserved_connections,
            )
            for region in regions
        }
        self._dns_addresses = {
            thing: {region: Address(address_in(regions, region, thing), self.port) for region in regions}
            for thing in (DNS, PROBER_DNS)
        }
        self.workloads: list[Workload] = []
        # The numbers of the clients, by how they find the writer: "name", "hosts" or "pinned".
        self.clients: dict[str, set[int]] = {kind: set() for kind in (*CLIENTS["both"], PINNED)}
        self._struck: set[str] = set()  # regions whose database an outage has ended or frozen
        self._visitors: list[Visitors] = []
        self.away: list[tuple[float, float]] = []  # when the writer's database was stopped, in real time
        self.divergences: list[Divergence] = []  # of the old writers whose clusters were deleted, in that order
        self._pulse = Pulse(clock, CLIENTS_PER_REGION)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._stack.close()

    # ---- building, in the order in which the drill shows it

    def start_databases(self) -> None:
        """Starts the writer, its delayed link and its standby, with the bank's books in them."""
        names = [
            endpoint(region.cluster)
            for region in self._regions()
            for endpoint in (writer_endpoint, reader_endpoint, instance_endpoint)
        ]
        self._certificates = create_certificates(self._folder, names)
        self.network = Network(self.clock, self._certificates, self._folder, self._reaper, self.reachability)
        self._stack.callback(self.network.close)
        for origin in self.settings.regions:
            for destination in self.settings.regions:
                for who, prober in ((CLIENT_PATHS, False), (PROBER_PATHS, True)):
                    self.network.add(
                        NetworkPath(
                            name=path_of(who, origin, destination),
                            origin=origin,
                            destination=destination,
                            listen=self._seen_from(origin, destination, prober=prober),
                            target=self.servers[destination].address,
                            tls=True,
                            guarded=not prober or origin != destination,
                        )
                    )
        writer, standby = self.servers[self.writer], self.servers[self.standby]
        # Replication has a path of its own from each region to the other, without the clients' TLS.
        for region, leader in ((self.standby, writer), (self.writer, standby)):
            upstream = self.upstream_of(region)
            self.network.add(NetworkPath(replication_to(region), region, self._peer(region), upstream, leader.address))
        writer.initialise()
        bank.install(writer, self.clock, bootstrapped=self._wishes.bootstrapped)
        standby.follow(self.upstream_of(self.standby))
        writer.wait_until_streaming()

    def start_cloud(self) -> None:
        """Builds the zips and starts the AWS APIs with everything in the specification."""
        packages = build_packages(PROJECT_ROOT, PROJECT_ROOT / "build" / "packages")
        self.cloud = Cloud(
            self.specification,
            {name: package.path for name, package in packages.items()},
            self._folder,
            self.clock,
            self.reachability,
            register=self._reaper.process,
            dns_servers=self._dns_addresses[PROBER_DNS],
            observe=self._observe,
            authority=self._certificates.authority,
            databases=self,
            promotion_seconds=self._wishes.aurora_promotion_seconds,
            seed=self._wishes.seed,
            deliveries=self._wishes.deliveries,
        )
        self._stack.callback(self.cloud.close)
        self.start_names(self.cloud.answer_in)
        self.cloud.client("dynamodb", self.writer).put_item(
            TableName=self.specification.control_table.name, Item=self.specification.first_control_record
        )
        self.cloud.start()
        running = RunningLab(self.cloud.endpoint, os.getpid(), self.settings.model_dump(mode="json"))
        self.file = running.announce(self._folder)  # this lab's own; the project's is that of the latest one
        running.announce()
        self._stack.callback(running.withdraw)
        for each in self._regions():
            ReplicationLagMetric(
                each.cluster,
                each.peer,
                lambda region=each.name: self.replication_lag(region),  # type: ignore[misc]
                self.cloud.client("cloudwatch", each.name),
                self.clock,
            ).start(self.cloud.timetable)

    def start_names(self, is_healthy: Callable[[str, str], bool]) -> None:
        """Starts the DNS servers; ``is_healthy`` says what a region sees of a health check."""
        for region in self.settings.regions:
            for thing, addresses in self._dns_addresses.items():
                zone = Zone(
                    self._records_seen_from(region, prober=thing == PROBER_DNS),
                    lambda check, region=region: is_healthy(region, check),  # type: ignore[misc]
                )
                server = DnsServer(zone, addresses[region])
                self._stack.callback(server.close)

    def start_clients(self) -> None:
        """Starts the application in both regions, and some clients of the writer's own endpoint."""
        for kind in CLIENTS[self._wishes.clients]:
            for region in self.settings.regions:
                self._start_finding_clients(region, kind)
        self._start_pinned_clients(self.writer)

    def _start_finding_clients(self, region: str, kind: str) -> None:
        """Starts a region's clients that find the writer by its name, or by hosts, their own region's first."""
        kinds = CLIENTS[self._wishes.clients]
        if kind == "name":
            hosts = [self.specification.zone.writer_name]
        else:
            hosts = [writer_endpoint(self.specification.regions[each].cluster) for each in (region, self._peer(region))]
        # The display shows one kind: whichever is there first.
        saw = self._pulse.saw if kind == next(iter(kinds)) else _not_shown
        self._start_clients(region, kind, kinds[kind], hosts, saw)

    def _start_pinned_clients(self, region: str) -> None:
        endpoint = writer_endpoint(self.specification.regions[region].cluster)
        self._start_clients(region, PINNED, PINNED_CLIENTS, [endpoint], _not_shown)

    def _start_clients(
        self, region: str, kind: str, clients: int, hosts: list[str], saw: Callable[[Progress], None]
    ) -> None:
        first = sum(workload.settings.clients for workload in self.workloads)
        self.clients[kind].update(range(first, first + clients))
        settings = WorkloadSettings(
            region=region,
            clients=clients,
            first_client=first,
            seed=self._wishes.seed,
            transfers_per_second=TRANSFERS_PER_SECOND,
            hosts=tuple(hosts),
            dns=self._dns_addresses[DNS][region],
            port=self.port,
            database=self.settings.database.name,
            authority=str(self._certificates.authority),
            events=str(self._folder / f"clients-{first}.jsonl"),
            clock=self.clock,
            patience=self._wishes.patience,
        )
        self.workloads.append(Workload(settings, self._folder, self._reaper, saw))

    def start_applications(self, region: str, chosen: Sequence[Chosen]) -> list[Application]:
        """Starts example applications in a region, on a table of their own that the writer is given before.

        Raises
        ------
        LackingError
            When this machine lacks what one of them needs.
        """
        self.servers[self.writer].run_script(applications.SCHEMA.read_text(encoding="utf-8"))
        clusters = [writer_endpoint(self.specification.regions[each].cluster) for each in (region, self._peer(region))]
        name = self.specification.zone.writer_name
        hosts = Hosts(self._folder / "hosts", self._dns_addresses[DNS][region], self.clock, [name, *clusters])
        self._stack.callback(hosts.close)
        settings = {
            "PAYMENTS_NAME": name,
            "PAYMENTS_HOSTS": ",".join(clusters),
            "PAYMENTS_PORT": str(self.port),
            "PAYMENTS_DATABASE": self.settings.database.name,
            "PAYMENTS_USER": APPLICATION,
            "PAYMENTS_CA": str(self._certificates.authority),
        }
        return [
            Application(each, self._folder / f"application-{number}", hosts.file, settings, self._reaper)
            for number, each in enumerate(chosen)
        ]

    # ---- what can be asked

    def control_record(self) -> dict[str, Any]:
        """Returns the control record as a living region reads it, in DynamoDB's own typed JSON."""
        item: dict[str, Any] = self.cloud.client("dynamodb", self._living()).get_item(
            TableName=self.specification.control_table.name,
            Key={self.specification.control_table.hash_key: {"S": self.specification.global_identifier}},
            ConsistentRead=True,
        )["Item"]
        return item

    def global_members(self) -> dict[str, bool]:
        """Returns the regions whose clusters are members of the global database, and whether each is its writer."""
        answer = self.cloud.client("rds", self._living()).describe_global_clusters(
            GlobalClusterIdentifier=self.specification.global_identifier
        )
        members = answer["GlobalClusters"][0]["GlobalClusterMembers"]
        return {member["DBClusterArn"].split(":")[3]: member["IsWriter"] for member in members}

    def writer_name_leads_to(self) -> str:
        """Returns the region to which a fresh query for the writer name, asked in a living region, leads."""
        server = self._dns_addresses[DNS][self._living()]
        answer = Resolver(server, self.clock).resolve(self.specification.zone.writer_name)
        return next(
            region.name for region in self._regions() if answer.canonical_name == instance_endpoint(region.cluster)
        )

    def salvage_files(self, region: str) -> dict[str, str]:
        """Returns what re-protections kept in a region's bucket: each object's text by its key."""
        s3, bucket = self.cloud.client("s3", region), self.specification.regions[region].salvage_bucket
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys}

    def replication_lag(self, region: str) -> ReplicationLag | None:
        """Returns the lag of a region's standby as its writer sees it.

        None when the region has none, or the writer is gone (a frozen server would never answer) or out of sight.
        """
        leader = self._peer(region)
        if not self.servers[region].is_standby or not self.reachability.reaches(region, leader):
            return None
        return self.servers[leader].standby_lag()

    def cluster_region(self, cluster: str) -> str:
        """Returns the region of a cluster, by its identifier."""
        return next(region.name for region in self._regions() if region.cluster.identifier == cluster)

    def is_closing(self) -> bool:
        """Returns whether the lab is being taken down."""
        return self._closing.is_set()

    def load(self) -> Load:
        """Returns what the clients are doing now, for the display."""
        return self._pulse.load(self.settings.regions, self.cluster_region)

    # ---- what can be done to it

    def lose(self, region: str, fault: Fault) -> None:
        """Lets a region die, or hang, at once, with everything in it."""
        server = self.servers[region]
        self._struck.add(region)
        # The network first: what is on its way to the standby at this moment is lost, as it may be in reality.
        self._cut(lambda: self.reachability.take_down(region, fault))
        if fault is Fault.HANG:
            server.hang()
        else:
            server.kill()
        for workload in self._clients_in(region):
            if fault is Fault.HANG:
                workload.hang()
            else:
                workload.kill()
        self.cloud.take_down(region, fault)

    def kill_database(self, region: str) -> None:
        """Lets only a region's database die."""
        self._struck.add(region)
        self.servers[region].kill()

    def restart_database(self, region: str) -> None:
        """Lets a region's database die, and answer again after as long as the command line says.

        It recovers meanwhile, behind paths that refuse, so that it is back at that moment and not some seconds later.
        """
        server, died = self.servers[region], time.time()
        recovered = threading.Event()

        def recover() -> None:
            server.start()
            recovered.set()

        def come_back() -> None:
            recovered.wait()
            self.network.shut(region, shut=False)
            self.away.append((died, time.time()))

        self.later(self._wishes.outage_seconds, come_back)
        server.kill()
        self.network.shut(region, shut=True)
        self.later(0.0, recover)

    def bootstrap(self) -> None:
        """Brings what the orchestrator needs into the writer's database, where the deployment came without it."""
        bank.bootstrap(self.servers[self.writer], self.clock)

    def visit(self, role: str, sessions: int) -> None:
        """Has somebody hold sessions on the writer's database, as many as it admits at most; waits until they stand."""
        here = self._seen_from(self.writer, self.writer, prober=False)
        visitors = Visitors(here, self.settings.database.name, role, sessions)
        self._stack.callback(visitors.close)
        self._visitors.append(visitors)
        visitors.settle()

    def silence_standby(self, seconds: float) -> None:
        """Lets the standby's database leave its own region's prober without an answer for that long."""
        name = path_of(PROBER_PATHS, self.standby, self.standby)
        self.network.hold(name)
        self.later(seconds, lambda: self.network.release(name))

    def slow_down_writer(self, answer_seconds: float, seconds: float) -> None:
        """Lets each answer of the writer's database take that much longer, for so many seconds."""
        region = self.writer
        self.network.slow_down(region, answer_seconds)
        self.later(seconds, lambda: self.network.slow_down(region, 0.0))

    def refuse_monitor(self) -> None:
        """Lets both databases refuse the monitor's login."""
        for server in self.servers.values():
            server.refuse(MONITOR)

    def stop_run(self) -> None:
        """Stops the run that holds the lock by hand, as ``StopExecution`` does; nothing when none does any more."""
        lock = self.control_record().get("transition")
        if lock is None:
            return
        run = lock["M"]["run"]["S"]
        machine = self.specification.regions[self.standby].state_machine.name
        arn = f"arn:aws:states:{self.standby}:{ACCOUNT}:execution:{machine}:{run}"
        self.cloud.client("stepfunctions", self.standby).stop_execution(
            executionArn=arn, error="StoppedByHand", cause="the person at the drill stopped it"
        )

    def later(self, seconds: float, happen: Callable[[], None]) -> None:
        """Does something after that many virtual seconds, unless the lab is taken down before."""

        def wait() -> None:
            if not self._closing.wait(self.clock.to_real(seconds)):
                happen()

        threading.Thread(target=wait, name="later", daemon=True).start()

    def isolate(self, region: str) -> None:
        """Cuts a region off from all others and from everybody outside; it lives on."""
        self._cut(lambda: self.reachability.isolate(region))

    def cut_link(self) -> None:
        """Cuts the connection between the writer's and the standby's region; everybody else reaches both."""
        self._cut(lambda: self.reachability.cut(self.writer, self.standby))

    def stop_monitor(self, region: str) -> None:
        """Stops a region's monitor for good: the guardian of its database, if the region has the writer."""
        self.cloud.stop_function(region, "monitor")

    def stop_monitors(self) -> None:
        """Stops the monitors of both regions for good."""
        for region in self.settings.regions:
            self.stop_monitor(region)

    def hold_replication(self) -> None:
        """Stops replication to the standby, which falls behind, while everything else works."""
        self.network.hold(replication_to(self.standby))

    def start_by_hand(self, mode: str) -> str:
        """Starts the standby region's workflow as a person does; returns the execution's ARN."""
        request = {"mode": mode, "started_by": "a person at the drill", "target_region": self.standby}
        return self.cloud.start_execution(self.standby, json.dumps(request))

    def start_reprotection(self) -> str:
        """Starts the re-protection in the writer's region as a person does; returns the execution's ARN."""
        request = {"started_by": "a person at the drill"}
        machine = self.specification.regions[self.writer].reprotection.name
        return self.cloud.start_execution(self.writer, json.dumps(request), machine=machine)

    def follow_roles(self) -> None:
        """Takes the writer and the standby from the control record, so that the next outage follows it."""
        self.writer = self.control_record()["writer_region"]["S"]
        self.standby = self._peer(self.writer)

    def bring_back(self, region: str) -> None:
        """Does what `bring_writer_back` does, then lets the region's clients of the writer name live again, too."""
        had_clients = bool(self._clients_in(region))
        self.bring_writer_back(region)
        if not had_clients:
            for kind in CLIENTS[self._wishes.clients]:
                self._start_finding_clients(region, kind)

    def bring_writer_back(self, region: str | None = None) -> None:
        """Lets the old writer region, or only its database, live again as it was: open to clients, which continue."""
        region = region or self.writer
        server, there = self.servers[region], self._clients_in(region)
        self._struck.discard(region)
        self.reachability.mend()
        self.cloud.bring_back(region)
        self.network.apply()
        if server.is_running():
            server.resume()
        else:
            server.start()
        for workload in there:
            workload.resume()
        if not there and region == self.settings.writer_region:
            self._start_pinned_clients(region)

    def mend(self) -> None:
        """Ends every outage and trouble: what was lost lives again as it was, and every service works."""
        self.cloud.mend()
        while self._visitors:
            self._visitors.pop().close()
        for region, server in self.servers.items():
            server.refuse_nobody()
            self.network.slow_down(region, 0.0)
        self.reachability.mend()
        self.network.release_all()
        for region in sorted(self._struck):
            self.bring_back(region)

    def stop_clients(self) -> None:
        """Lets the clients finish what they are doing and ends them; those of a lost region are ended as they are."""
        for workload in self.workloads:
            if self.cloud.is_up(workload.settings.region):
                workload.stop()
            else:
                workload.kill()

    # ---- what RDS does to the databases (`drills.aws.clusters.Databases`)

    def promote(self, region: str) -> None:
        """Lets a standby take writes."""
        self.servers[region].promote()

    def drain(self, region: str) -> None:
        """Stops a writer when its standby has everything that it wrote."""
        self.servers[region].stop()

    def follow(self, region: str, leader: str) -> None:
        """Starts a drained writer again, as the standby of ``leader``."""
        self.servers[region].rejoin(self.upstream_of(region), self.servers[leader])

    def admit(self, region: str, *, clients: bool) -> None:
        """Lets clients open connections to a region's database, or not."""
        self.network.fence(region, fenced=not clients)

    def restart(self, region: str) -> None:
        """Ends all sessions of a region's database at once and starts it again; one that is dead stays dead."""
        server = self.servers[region]
        if server.is_running():
            server.kill()
            server.start()

    def retire(self, region: str) -> None:
        """Notes for the judge what a region's database never replicated, then ends it and wipes its data."""
        self._struck.discard(region)
        server, successor = self.servers[region], self.servers[self._peer(region)]
        if not server.is_standby and not successor.is_standby:
            self.divergences.append(find_divergence(server, successor))
        server.wipe()

    def rebuild(self, region: str, leader: str) -> None:
        """Rebuilds a region's database as a standby of ``leader``, from a base backup over the link."""
        server = self.servers[region]
        self.servers[leader].drop_slot(server.slot)
        server.follow(self.upstream_of(region))
        self.servers[leader].wait_until_streaming()

    def connect(self, region: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Returns a superuser's session with a region's database server, by no path of the lab's network."""
        return self.servers[region].connect(database)

    # ---- details

    def _cut(self, change: Callable[[], None]) -> None:
        change()
        self.network.apply()

    def _clients_in(self, region: str) -> list[Workload]:
        """Returns the living clients of a region, frozen ones included."""
        return [each for each in self.workloads if each.settings.region == region and each.is_running()]

    def _living(self) -> str:
        """Returns a region that can be asked from outside, the standby region if possible."""
        return next(region for region in (self.standby, self.writer) if self.reachability.reaches(OUTSIDE, region))

    def _peer(self, region: str) -> str:
        return self.specification.regions[region].peer

    def upstream_of(self, region: str) -> Address:
        """Returns where the database of a region reaches the one that it follows."""
        return Address(address_in(list(self.settings.regions), region, REPLICATION), self.port)

    def _regions(self) -> list[Region]:
        return list(self.specification.regions.values())

    def _seen_from(self, origin: str, destination: str, *, prober: bool) -> Address:
        regions = list(self.settings.regions)
        first = PROBER if prober else 0
        return Address(address_in(regions, origin, first + regions.index(destination)), self.port)

    def _records_seen_from(self, origin: str, *, prober: bool) -> list[RecordSet]:
        """Returns the private zone, and RDS's own names with the addresses that they have in ``origin``."""
        endpoints = {"writer": writer_endpoint, "reader": reader_endpoint}
        ours = [
            RecordSet(
                record.name,
                "CNAME",
                endpoints[record.endpoint](self.specification.regions[record.cluster_region].cluster),
                record.ttl_seconds,
                record.failover,
                record.health_check,
            )
            for record in self.specification.zone.records
        ]
        theirs = [
            RecordSet(endpoint(region.cluster), "CNAME", instance_endpoint(region.cluster), ENDPOINT_TTL_SECONDS)
            for region in self._regions()
            for endpoint in endpoints.values()
        ]
        instances = [
            RecordSet(
                instance_endpoint(region.cluster),
                "A",
                self._seen_from(origin, region.name, prober=prober).host,
                ENDPOINT_TTL_SECONDS,
            )
            for region in self._regions()
        ]
        return ours + theirs + instances


def path_of(who: str, origin: str, destination: str) -> str:
    """Returns the name of the network path on which ``who`` in a region reaches a region's database."""
    return f"{who} in {origin} to {destination}"


def replication_to(region: str) -> str:
    """Returns the name of the network path over which a region's database follows the other one."""
    return f"replication to {region}"


def _not_shown(_progress: Progress) -> None:
    """Ignores the clients that the display does not show."""
