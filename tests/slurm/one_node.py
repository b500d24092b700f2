"""A Slurm of one node, started by hand in a private folder and stopped again; nothing of the
machine's own is touched.

    python tests/slurm/one_node.py FOLDER COMMAND...      # with SLURM_CONF set, daemons around it

Needs Debian's slurm-wlm and munge. Processes are not confined (proctrack/linuxproc, task/none) and
nothing is accounted for, so that it runs in a container; finished jobs are listed in
FOLDER/jobs.txt (jobcomp/filetxt).
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
PLACES = "/usr/sbin:/sbin"  # of daemons, which a user's PATH may leave out

CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer_batch
ReturnToService=2
MinJobAge=3600
KillWait=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [
        name for name in NEEDED if not shutil.which(name, path=f"{os.environ['PATH']}:{PLACES}")
    ]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


@contextmanager
def one_node(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd in `folder` (its path is short: sockets); yields the
    environment of their clients.

    Raises RuntimeError with the end of the logs where they do not come up.
    """
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(
        folder=folder, host=host, ports=_free_ports(2), user=getpass.getuser(), cpus=cpus
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    (folder / "jobs.txt").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    environment |= {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{folder}/bin:{os.environ['PATH']}:{PLACES}",
    }
    # Snakemake's job step takes SLURM_CONF out of srun's environment
    real = shutil.which("srun", path=os.environ["PATH"])
    (folder / "bin/srun").write_text(
        f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {real} "$@"\n'
    )
    (folder / "bin/srun").chmod(0o755)
    munge = [f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "log", "seed")]
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge]
    with ExitStack() as stack:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            output = stack.enter_context((folder / f"{command[0]}.out").open("w"))
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            stack.callback(_stop, process)
            if command is munge:
                _wait(folder, lambda: (folder / "munge.socket").exists())
        _wait(folder, lambda: "idle" in _states(environment))
        stack.callback(
            subprocess.run,
            ["scancel", "--full", "--user", getpass.getuser()],
            env=environment,
            capture_output=True,
        )
        yield environment


def _states(environment: dict[str, str]) -> str:
    return subprocess.run(
        ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True
    ).stdout


def _wait(folder: Path, ready, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            logs = "\n".join(
                f"{log}:\n{log.read_text()[-1500:]}"
                for log in sorted([*folder.glob("*.log"), *folder.glob("*.out")])
            )
            raise RuntimeError(f"no Slurm after {seconds} s\n{logs}")
        time.sleep(0.2)


def _stop(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    with one_node(Path(sys.argv[1])) as client:
        sys.exit(subprocess.run(sys.argv[2:], env=client).returncode)
