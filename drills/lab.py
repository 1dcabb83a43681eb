"""The world of one drill: two regions with real databases, a network, DNS, clients and the AWS APIs.

`Lab` builds it and takes it down; it decides nothing. What happens in it is told to `observe`.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from drills import ledger
from drills.certificates import create_certificates
from drills.cloud import ACCOUNT, Cloud
from drills.dns import DnsServer, RecordSet, Resolver, Zone
from drills.faults import Fault
from drills.models.global_database import reader_endpoint, writer_endpoint
from drills.models.replication_lag import ReplicationLagMetric
from drills.network import Address, Network, NetworkPath, State, address_in, free_port
from drills.postgres import Server
from drills.timeline import Load
from drills.workload import Workload, WorkloadSettings
from orchestration.packaging import build_packages
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from drills.clock import Clock
    from drills.models.happenings import Observe
    from drills.postgres import Binaries, ReplicationLag
    from drills.reaper import Reaper
    from drills.workload import Progress
    from orchestration.settings import Settings
    from orchestration.specification import Specification
    from orchestration.specification.model import Region

# What has an address in each region (`drills.network.address_in`): the two clusters as seen from there, then these.
SERVER, DNS, REPLICATION = 2, 3, 4
# The application runs in both regions, so that there is somebody left to write when one of them dies.
CLIENTS_PER_REGION = 4
# Real transfers a second of each client: enough that tens of ms of lag hold several commits, little enough that two
# servers, the clients and the AWS plane fit on two cores.
TRANSFERS_PER_SECOND = 10.0
# RDS gives its endpoints' addresses this time to live (seconds); read off its answers, not documented.
ENDPOINT_TTL_SECONDS = 5
# Over how long the display averages commits (real seconds).
RATE_WINDOW_SECONDS = 1.0


@dataclass(frozen=True)
class Wishes:
    """What the command line says about the world."""

    trigger_mode: str
    seed: int
    aurora_promotion_seconds: float


class Lab:
    """Two regions, ready to fail. Use it as a context manager: leaving it takes everything down."""

    def __init__(
        self, folder: Path, binaries: Binaries, clock: Clock, reaper: Reaper, observe: Observe, wishes: Wishes
    ) -> None:
        """Choose addresses and describe the deployment; nothing runs yet.

        Raises
        ------
        SettingsError
            When the project's settings cannot be used.
        NetworkError
            When the machine lacks the loopback addresses, or no port is free.
        """
        self._folder = folder
        self._clock = clock
        self._reaper = reaper
        self._observe = observe
        self._wishes = wishes
        self._stack = ExitStack()
        regions = list(load().regions)
        hosts = [address_in(regions, region, thing) for region in regions for thing in range(REPLICATION + 1)]
        self.port = free_port(hosts)
        self.settings: Settings = load(database={"port": self.port}, trigger_mode=wishes.trigger_mode)
        self.specification: Specification = describe(self.settings, ACCOUNT)
        self.writer, self.standby = self.settings.regions
        self.servers = {
            region: Server(
                self.specification.regions[region].cluster.identifier,
                self.settings.database.name,
                binaries,
                folder,
                Address(address_in(regions, region, SERVER), self.port),
                reaper,
            )
            for region in regions
        }
        self._dns_addresses = {region: Address(address_in(regions, region, DNS), self.port) for region in regions}
        self.workloads: dict[str, Workload] = {}
        self._pulse = Pulse(clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ---- building, in the order in which the drill shows it

    def start_databases(self) -> None:
        """Start the writer, its delayed link and its standby, with the bank's books in them."""
        names = [
            endpoint(region.cluster) for region in self._regions() for endpoint in (writer_endpoint, reader_endpoint)
        ]
        self._certificates = create_certificates(self._folder, names)
        self.network = Network(self._clock, self._certificates, self._folder, self._reaper)
        self._stack.callback(self.network.close)
        for origin in self.settings.regions:
            for destination in self.settings.regions:
                self.network.add(
                    NetworkPath(
                        name=f"{origin} to {destination}",
                        origin=origin,
                        destination=destination,
                        listen=self._seen_from(origin, destination),
                        target=self.servers[destination].address,
                        tls=True,
                    )
                )
        writer, standby = self.servers[self.writer], self.servers[self.standby]
        # Replication has a way of its own, without the TLS that is made for clients.
        upstream = Address(address_in(list(self.settings.regions), self.standby, REPLICATION), self.port)
        self.network.add(NetworkPath("replication", self.standby, self.writer, upstream, writer.address))
        writer.initialise()
        ledger.install(writer)
        standby.follow(upstream)
        writer.wait_until_streaming()

    def start_cloud(self) -> None:
        """Build the zips and start the AWS APIs with everything of the specification in them."""
        packages = build_packages(PROJECT_ROOT, PROJECT_ROOT / "build" / "packages")
        self.cloud = Cloud(
            self.specification,
            {name: package.path for name, package in packages.items()},
            self._folder,
            self._clock,
            register=self._reaper.process,
            dns_servers=self._dns_addresses,
            observe=self._observe,
            authority=self._certificates.authority,
            promote=self._promote,
            promotion_seconds=self._wishes.aurora_promotion_seconds,
            seed=self._wishes.seed,
        )
        self._stack.callback(self.cloud.close)
        for region in self.settings.regions:
            server = DnsServer(
                Zone(self._records_seen_from(region), self.cloud.is_healthy), self._dns_addresses[region]
            )
            self._stack.callback(server.close)
        self.cloud.client("dynamodb", self.writer).put_item(
            TableName=self.specification.control_table.name, Item=self.specification.first_control_record
        )
        self.cloud.start()
        ReplicationLagMetric(
            self.specification.regions[self.standby].cluster,
            self.writer,
            self._replication_lag,
            self.cloud.client("cloudwatch", self.standby),
            self._clock,
        ).start(self.cloud.timetable)

    def start_clients(self) -> None:
        """Let the application write, in both regions."""
        for number, region in enumerate(self.settings.regions):
            settings = WorkloadSettings(
                region=region,
                clients=CLIENTS_PER_REGION,
                first_client=number * CLIENTS_PER_REGION,
                seed=self._wishes.seed,
                transfers_per_second=TRANSFERS_PER_SECOND,
                writer_name=self.specification.zone.writer_name,
                dns=self._dns_addresses[region],
                port=self.port,
                database=self.settings.database.name,
                authority=str(self._certificates.authority),
                events=str(self._folder / f"clients-{region}.jsonl"),
                clock=self._clock,
            )
            self.workloads[region] = Workload(settings, self._folder, self._reaper, self._pulse.saw)

    # ---- what can be asked

    def control_record(self) -> dict[str, Any]:
        """The control record as the standby region reads it, in DynamoDB's own typed JSON."""
        item: dict[str, Any] = self.cloud.client("dynamodb", self.standby).get_item(
            TableName=self.specification.control_table.name,
            Key={self.specification.control_table.hash_key: {"S": self.specification.global_identifier}},
            ConsistentRead=True,
        )["Item"]
        return item

    def global_members(self) -> set[str]:
        """The regions whose clusters are members of the global database, as RDS tells the standby region."""
        answer = self.cloud.client("rds", self.standby).describe_global_clusters(
            GlobalClusterIdentifier=self.specification.global_identifier
        )
        return {member["DBClusterArn"].split(":")[3] for member in answer["GlobalClusters"][0]["GlobalClusterMembers"]}

    def writer_name_leads_to(self) -> str:
        """The region that a fresh query for the writer name, asked in the standby region, leads to."""
        answer = Resolver(self._dns_addresses[self.standby], self._clock).resolve(self.specification.zone.writer_name)
        return next(
            region.name
            for region in self._regions()
            if answer.canonical_name in (writer_endpoint(region.cluster), reader_endpoint(region.cluster))
        )

    def cluster_region(self, cluster: str) -> str:
        """The region of a cluster, by its identifier."""
        return next(region.name for region in self._regions() if region.cluster.identifier == cluster)

    def load(self) -> Load:
        """What the clients are doing now, for the display."""
        return self._pulse.load(self.settings.regions, self.cluster_region)

    # ---- what can be done to it

    def strike(self, outage: str) -> None:
        """Make an outage of the writer region, at once: ``kill``, ``hang`` or ``database``."""
        server, clients = self.servers[self.writer], self.workloads[self.writer]
        if outage == "database":
            server.kill()
        elif outage == "kill":
            # The network first: what is on its way to the standby at this moment is lost, as it may be in truth.
            self.network.set_region(self.writer, State.REFUSING)
            server.kill()
            clients.kill()
            self.cloud.take_down(self.writer, Fault.REFUSE)
        elif outage == "hang":
            self.network.set_region(self.writer, State.HANGING)
            server.hang()
            clients.hang()
            self.cloud.take_down(self.writer, Fault.HANG)
        else:
            raise ValueError(f"outage {outage!r} is not one of kill, hang, database")

    def stop_clients(self) -> None:
        """Let the clients finish what they are doing, and end them; those of a lost region end as they are."""
        for region, workload in self.workloads.items():
            if self.cloud.is_up(region):
                workload.stop()
            else:
                workload.kill()

    def _regions(self) -> list[Region]:
        return list(self.specification.regions.values())

    def _seen_from(self, origin: str, destination: str) -> Address:
        regions = list(self.settings.regions)
        return Address(address_in(regions, origin, regions.index(destination)), self.port)

    def _records_seen_from(self, origin: str) -> list[RecordSet]:
        """The private zone, and RDS's own names with the addresses that they have in ``origin``."""
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
            RecordSet(endpoint(region.cluster), "A", self._seen_from(origin, region.name).host, ENDPOINT_TTL_SECONDS)
            for region in self._regions()
            for endpoint in endpoints.values()
        ]
        return ours + theirs

    def _promote(self, region: str) -> None:
        self.servers[region].promote()

    def _replication_lag(self) -> ReplicationLag | None:
        """The lag as the writer sees it; None once the writer is gone (a frozen server would never answer)."""
        return self.servers[self.writer].standby_lag() if self.cloud.is_up(self.writer) else None


class Pulse:
    """Turns the clients' totals into rates for the display."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, list[Progress]] = {}

    def saw(self, progress: Progress) -> None:
        """Keep one progress report; called from the workloads' threads."""
        with self._lock:
            reports = self._seen.setdefault(progress.region, [])
            reports.append(progress)
            while reports[-1].t - reports[0].t > RATE_WINDOW_SECONDS and len(reports) > 2:
                reports.pop(0)

    def load(self, regions: tuple[str, ...], region_of: Callable[[str], str]) -> Load:
        """Commits a second by answering region, and how many clients fail (silent ones do)."""
        rates = dict.fromkeys(regions, 0.0)
        failing = 0
        with self._lock:
            for reports in self._seen.values():
                first, last = reports[0], reports[-1]
                elapsed = self._clock.to_virtual(last.t - first.t)
                writing = bool(last.cluster) and time.time() - last.t < RATE_WINDOW_SECONDS
                if writing and elapsed > 0:
                    rates[region_of(last.cluster)] += (last.acknowledged - first.acknowledged) / elapsed
                failing += 0 if writing else CLIENTS_PER_REGION
        return Load(rates, CLIENTS_PER_REGION * len(self._seen), failing)
