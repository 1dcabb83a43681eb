"""Patroni and etcd beside this project: the same servers, link, clients and judge, the same outage, in one run.

Patroni is the best-known failover for PostgreSQL servers of one's own, so it shows what the field is used to. It runs
the two servers of the lab, with the lab's configuration, over the lab's link; etcd has a member in each region and one
in the witness region. The writer's region dies, with its server, its Patroni and its etcd. Clients of the other region,
which know both regions' hosts, measure the outage; the drill's own ledger counts what was lost.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg

from drills.apart import drill
from drills.bench.findings import Findings
from drills.bench.rto import Spread
from drills.lab import Lab, Wishes
from drills.verdict.ledger import judge
from drills.world.bank import read_events
from drills.world.clock import Clock
from drills.world.network import Address, free_port
from drills.world.postgres import REPLICATOR, PostgresError, find_binaries, unprivileged
from drills.world.reachability import Fault
from drills.world.reaper import Reaper
from orchestration.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.verdict.ledger import Judgement
    from drills.world.postgres import Server

LOOPBACK = "127.0.0.1"
PYTHON = PROJECT_ROOT / ".venv-patroni" / "bin" / "python"
LEADER_LIMIT_S = 60.0
RECOVERY_LIMIT_S = 120.0
STEADY_S = 5.0
# The outage may come at any moment of Patroni's loop, which is 10 s by default.
PHASE_S = 10.0
AFTER_S = 3.0
ASK_AGAIN_S = 0.2


class PatroniError(Exception):
    """Patroni or etcd is missing, or did not do what it was asked to do; the message says what, and the remedy."""


@dataclass(frozen=True)
class Timing:
    """Patroni's three settings of speed, in seconds (Patroni documentation, "Dynamic configuration settings")."""

    ttl: int
    loop_wait: int
    retry_timeout: int


# Patroni 4.1 takes no ttl under 20 and no retry_timeout under 3 (`patroni.config`), and demands that
# loop_wait + 2 * retry_timeout is at most ttl: a leader that cannot reach etcd must have stopped before its key ends.
TIMINGS = {"Patroni, its defaults": Timing(30, 10, 10), "Patroni, its fastest": Timing(20, 1, 3)}
OURS = "this project"


def measure(runs: int, say: Callable[[str], None]) -> Findings:
    """Kills the writer's region under each of the candidates in turn, ``runs`` times."""
    etcd = shutil.which("etcd")
    if etcd is None or not PYTHON.exists():
        raise PatroniError("install etcd (apt install etcd-server) and Patroni (make .venv-patroni/.done) first")
    outages: dict[str, list[Judged]] = {name: [] for name in (OURS, *TIMINGS)}
    for seed in range(1, runs + 1):
        outages[OURS].append(_ours(seed))
        say(f"{OURS} {seed} of {runs}: {outages[OURS][-1].rto_s:.1f} s")
        for name, timing in TIMINGS.items():
            outages[name].append(_under_patroni(timing, seed, etcd))
            say(f"{name} {seed} of {runs}: {outages[name][-1].rto_s:.1f} s")
    return findings(outages)


@dataclass(frozen=True)
class Judged:
    """What one outage was to clients that know both hosts."""

    rto_s: float
    lost: int
    duplicated: int
    both_wrote: int
    invariants_held: bool


def findings(outages: dict[str, list[Judged]]) -> Findings:
    """Returns the table of what each candidate took and lost."""
    spreads = {name: Spread.of([each.rto_s for each in judged]) for name, judged in outages.items()}
    rows = [
        (
            name,
            str(spreads[name]),
            f"{min(each.lost for each in judged)} to {max(each.lost for each in judged)}",
            str(sum(each.duplicated for each in judged)),
            str(sum(each.both_wrote for each in judged)),
        )
        for name, judged in outages.items()
    ]
    return Findings(
        f"The writer's region dies, {len(outages[OURS])} times each; clients know both hosts",
        ("", "RTO s: min / median / max", "lost writes", "duplicated", "both wrote"),
        tuple(rows),
        {
            "timings": {name: asdict(timing) for name, timing in TIMINGS.items()},
            "rto_s": {name: asdict(spread) for name, spread in spreads.items()},
            "outages": {name: [asdict(each) for each in judged] for name, judged in outages.items()},
        },
        notes=(
            "All replicate without waiting for the standby, over the same link of 32 ms one way, and PostgreSQL's own "
            "promotion counts: Aurora's stated delay is 0 here. A member of etcd is in each of the three regions; they "
            "talk without the delay of that distance, which favours Patroni. Patroni waits until the leader's key has "
            "ended (`ttl`); this project until two observers agree and the lease has ended.",
            "What the figures do not say: Patroni fences by the leader's own watchdog, on servers of one's own; beside "
            "Aurora nobody can run an agent, and only an API promotes.",
        ),
        passed=all(each.invariants_held for judged in outages.values() for each in judged),
    )


def _ours(seed: int) -> Judged:
    with tempfile.TemporaryDirectory() as folder:
        what = ["--outage", "kill", "--clients", "hosts", "--aurora-promotion", "0", "--seed", str(seed)]
        drilled = drill(what, Path(folder))
    if (result := drilled.result) is None:
        raise PatroniError(f"the drill did not end: {drilled.printed.strip()[-500:]}")
    return Judged(
        result["rto_by_hosts_seconds"],
        result["lost"],
        result["duplicated"],
        result["both_wrote"],
        result["status"] == "passed",
    )


def _under_patroni(timing: Timing, seed: int, etcd: str) -> Judged:
    reaper = Reaper()
    try:
        folder = Path(tempfile.mkdtemp(prefix="drill-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        reaper.folder(folder)
        clock = Clock.started_now(1)
        # Without what the orchestrator brings: its login trigger keeps a server closed that Patroni has started.
        wishes = Wishes("failover", seed, 0.0, 1, clients="hosts", bootstrapped=False)
        with Lab(folder, find_binaries(folder), clock, reaper, lambda _: None, wishes) as lab, ExitStack() as stack:
            cluster = _Cluster(lab, folder, reaper, timing, etcd)
            stack.callback(cluster.close)
            return _to_judged(_kill_region(lab, cluster, clock, seed, folder))
    finally:
        reaper.close()


def _to_judged(judgement: Judgement) -> Judged:
    if judgement.rto_seconds is None:
        raise PatroniError("no client wrote after the outage")
    held = all(judgement.invariants.values())
    return Judged(judgement.rto_seconds, judgement.lost, judgement.duplicated, judgement.both_wrote, held)


def _kill_region(lab: Lab, cluster: _Cluster, clock: Clock, seed: int, folder: Path) -> Judgement:
    """Lets the clients work, kills the writer's region, waits until they work again, and judges."""
    before, after = lab.servers[lab.writer], lab.servers[lab.standby]
    lab.start_names(lambda _region, _check: True)
    lab.start_clients()
    time.sleep(STEADY_S + PHASE_S * random.Random(seed).random())  # noqa: S311 - not for secrets
    lab.reachability.take_down(lab.writer, Fault.REFUSE)
    lab.network.apply()
    cluster.kill(lab.writer)
    for workload in lab.workloads:
        if workload.settings.region == lab.writer:
            workload.kill()
    struck = time.time()
    cluster.wait_for_leader(lab.standby, RECOVERY_LIMIT_S)
    time.sleep(AFTER_S)
    for workload in lab.workloads:
        workload.stop()
    cluster.close()
    # Patroni gives all servers the name of the cluster; who answered is known from when.
    events = [
        replace(event, cluster=(before if event.t <= struck else after).name) if event.event == "ack" else event
        for event in read_events(sorted(folder.glob("clients-*.jsonl")))
    ]
    clients = {number for number in lab.clients["hosts"] if any(e.client == number and e.t > struck for e in events)}
    return judge(events, before, after, clock, clients)


class _Cluster:
    """Patroni and etcd around the lab's two servers."""

    def __init__(self, lab: Lab, folder: Path, reaper: Reaper, timing: Timing, etcd: str) -> None:
        """Starts everything, and returns when the writer leads and the standby streams from it."""
        self._lab, self._folder, self._reaper, self._timing = lab, folder, reaper, timing
        self._processes: dict[str, list[subprocess.Popen[str]]] = {region: [] for region in lab.settings.regions}
        lab.start_databases()
        for region in (lab.standby, lab.writer):
            lab.servers[region].stop()
        self._etcd = self._start_etcd(etcd)
        self._rest = {region: Address(LOOPBACK, free_port([LOOPBACK])) for region in lab.settings.regions}
        for region in (lab.writer, lab.standby):
            self._start_patroni(region)
            if region == lab.writer:
                self.wait_for_leader(region, LEADER_LIMIT_S)
        lab.servers[lab.writer].wait_until_streaming()

    def _start_etcd(self, program: str) -> list[str]:
        """Starts a member in each region and one in the witness region; returns their addresses for clients."""
        members = {region: (free_port([LOOPBACK]), free_port([LOOPBACK])) for region in self._places()}
        peers = ",".join(f"{region}=http://{LOOPBACK}:{peer}" for region, (_, peer) in members.items())
        for region, (client, peer) in members.items():
            command = [program, "--name", region, "--data-dir", str(self._folder / f"etcd-{region}")]
            for kind, port in (("client", client), ("peer", peer)):
                command += [f"--listen-{kind}-urls", f"http://{LOOPBACK}:{port}"]
            command += ["--advertise-client-urls", f"http://{LOOPBACK}:{client}"]
            command += ["--initial-advertise-peer-urls", f"http://{LOOPBACK}:{peer}", "--initial-cluster", peers]
            self._start(region, command, self._folder, f"etcd-{region}.log")
        return [f"{LOOPBACK}:{client}" for client, _ in members.values()]

    def _places(self) -> tuple[str, ...]:
        return (*self._lab.settings.regions, self._lab.settings.witness_region)

    def _start_patroni(self, region: str) -> None:
        server = self._lab.servers[region]
        peer = next(other for other in self._lab.settings.regions if other != region)
        configuration = {
            "scope": "payments",
            "name": server.name,
            "restapi": {"listen": _text(self._rest[region]), "connect_address": _text(self._rest[region])},
            "etcd3": {"hosts": self._etcd},
            "bootstrap": {"dcs": asdict(self._timing)},
            "postgresql": {
                "listen": _text(server.address),
                # As the other region reaches it: over the link.
                "connect_address": _text(self._lab.upstream_of(peer)),
                "data_dir": str(server.data),
                "bin_dir": str(server.binaries.folder),
                "pgpass": str(server.folder / "pgpass"),
                "use_unix_socket": True,
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": REPLICATOR}},
                "parameters": server.parameters,
                "pg_hba": server.authentication,
            },
        }
        file = server.folder / "patroni.json"  # which is YAML too
        file.write_text(json.dumps(configuration))
        self._start(
            region, [str(PYTHON), "-m", "patroni", str(file)], server.folder, f"patroni-{region}.log", **unprivileged()
        )

    def _start(self, region: str, command: list[str], folder: Path, log: str, **options: Any) -> None:
        with (self._folder / log).open("a") as output:
            process = self._reaper.start(command, folder, stdout=output, stderr=subprocess.STDOUT, **options)
        self._processes.setdefault(region, []).append(process)

    def wait_for_leader(self, region: str, limit_s: float) -> None:
        """Waits until a region's server takes writes."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with suppress(PostgresError, psycopg.Error):
                if self._lab.servers[region].is_writable():
                    return
            time.sleep(ASK_AGAIN_S)
        log = (self._folder / f"patroni-{region}.log").read_text()[-2000:]
        raise PatroniError(f"Patroni made no writer of {region} within {limit_s:g} s. Its log ends:\n{log}")

    def kill(self, region: str) -> None:
        """Kills everything in a region at once: Patroni, its server and its member of etcd."""
        family = [psutil.Process(process.pid) for process in self._processes[region] if process.poll() is None]
        family += _postgres(self._lab.servers[region]) if region in self._lab.servers else []
        for number in (psutil.Process.suspend, psutil.Process.kill):
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    number(process)
        psutil.wait_procs(family, LEADER_LIMIT_S)

    def close(self) -> None:
        """Kills what is left."""
        for region in self._processes:
            self.kill(region)


def _postgres(server: Server) -> list[psutil.Process]:
    """Returns the processes of a server that Patroni has started."""
    try:
        postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().splitlines()[0]))
        return [postmaster, *postmaster.children(recursive=True)]
    except (FileNotFoundError, psutil.NoSuchProcess):
        return []


def _text(address: Address) -> str:
    return f"{address.host}:{address.port}"
