"""Warm Jupyter kernels: a server imports third-party libraries once and forks a child a kernel.

A notebook that imports torch and transformers spends some ten seconds on imports. `WarmProvisioner`
is a kernel provisioner of `jupyter_client`
(https://jupyter-client.readthedocs.io/en/stable/provisioning.html), used by the kernel
specification ``xgrl-warm``. It differs from the stock one in the launch: it asks a fork server for
a child that has the libraries in memory. Whatever prevents that (another platform, ``XGRL_WARM=0``,
a server that does not start) ends in the ordinary cold launch and one line on stderr that says why.
A warm kernel must be indistinguishable from a cold one, hence:

- the server is chosen by everything a process fixes when it starts: interpreter, installed
  packages, limits, control group, and the environment variables that libraries read while they are
  imported (`IMPORT_TIME`);
- it imports third-party code only, never xgrl, so that edited library code is always fresh;
- it never has a second thread nor touches CUDA, for neither survives a fork; it checks that and
  else refuses to serve (BLAS starts threads when it is imported unless ``OMP_NUM_THREADS=1``: then
  every kernel starts cold);
- the child takes over the client's whole environment, folder and streams, and draws new random
  states. The hash seed is the requested one where ``PYTHONHASHSEED`` is set, else one that the
  kernels of a server share.

One Unix socket connection stands for one kernel: the client sends the request with its streams, the
server answers with the process id and, later, the exit status. An end of file means that the other
side died, and kills the kernel.
"""

import asyncio
import functools
import gc
import hashlib
import importlib.util
import json
import logging
import os
import pkgutil
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from jupyter_client.provisioning import LocalProvisioner

KERNEL = "xgrl-warm"  # name of the kernel specification and of the provisioner's entry point
START_SECONDS = 120  # patience with a server's start
IDLE_SECONDS = 120  # a server without kernels ends after this; XGRL_WARM_IDLE overrides
RETRY_SECONDS = 600  # a server that could not start is not tried again for this long
SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # where sockets may be if not in the temporary folder
# connecting where no server is, or where one died
ABSENT = (FileNotFoundError, ConnectionRefusedError)

PRELOAD = (  # what the server imports; of a lazy package, the names that must be loaded
    "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.linear_model",
    "pydantic:BaseModel", "matplotlib.pyplot", "ipykernel.ipkernel", "ipykernel.kernelapp",
    "safetensors.torch", "torch", "datasets", "evaluate",
    "transformers:Trainer", "transformers:TrainingArguments",
    "transformers:AutoConfig", "transformers:AutoModel", "transformers:AutoTokenizer",
    "transformers:PreTrainedTokenizerFast", "transformers:BertModel",
    "transformers:BertForSequenceClassification", "transformers:XLMRobertaModel",
    "transformers:XLMRobertaForSequenceClassification",
)  # fmt: skip
# prefixes of variables that are read once; not CUDA_VISIBLE_DEVICES, which the driver reads at
# first use
IMPORT_TIME = (
    "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "BLIS_", "KMP_", "GOMP_", "NUMEXPR_", "LD_", "MALLOC_",
    "ARROW_", "JE_", "TORCH", "PYTORCH_", "TRANSFORMERS_", "HF_", "HUGGINGFACE_", "ACCELERATE_",
    "TOKENIZERS_", "TQDM_", "MPL", "IPY", "JUPYTER_", "XDG_", "HOME", "TMP", "TEMP", "TZ", "LANG",
    "LC_", "SCIPY_", "SKLEARN_", "NPY_", "XGRL_WARM_",
)  # fmt: skip
# pyarrow without helper thread, GPUs counted without a context, the plot backend of a kernel
SERVER_ENVIRONMENT = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# `runpy` from a file, without its folder on the path
RUN_FILE = (
    "import runpy, sys; sys.path[:] = filter(None, sys.path); "
    "runpy.run_path(sys.argv.pop(1), None, '__main__')"
)


class WarmUnavailable(Exception):
    """Why this kernel cannot come from a fork server."""


class WarmProvisioner(LocalProvisioner):
    """Provisioner of the specification ``xgrl-warm``: forked if possible, else a cold kernel.

    Both kinds talk through Unix sockets in a folder of their own, not through ports that another
    kernel could take between their choice and their use, so that kernels started side by side never
    cross. Only where no folder takes a socket they do use ports.
    """

    folder = ""
    # of this process: the kernel that started last, the exit status (negative for a signal) of the
    # one that ended last
    last: int | None = None
    ended: int | None = None

    async def poll(self) -> int | None:
        """The exit status, None while the kernel lives; kept to say why a notebook failed."""
        if (status := await super().poll()) is not None:
            WarmProvisioner.ended = status
        return status

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Give the kernel a private folder for its sockets, then do as the stock one does."""
        manager = self.parent
        home = socket_home(tempfile.gettempdir())
        # a restarted kernel keeps its folder
        if manager and manager.transport == "tcp" and not self.folder:
            self.folder = tempfile.mkdtemp(prefix="xgrl-kernel-", dir=home)
            manager.connection_file = manager.connection_file or f"{self.folder}/kernel.json"
            if home:
                manager.transport, manager.ip = "ipc", f"{self.folder}/ipc"
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Launch `cmd` warm, or cold with a line on stderr; returns the connection information."""
        try:
            self.process = await asyncio.to_thread(start_warm, cmd, self.folder, **kwargs)
        except (WarmUnavailable, OSError) as reason:
            print(f"xgrl: cold kernel start: {reason}", file=sys.stderr, flush=True)
            information = await super().launch_kernel(cmd, **kwargs)
        else:
            self.pid = self.pgid = self.process.pid
            self.cwd = kwargs.get("cwd") or os.getcwd()
            information = self.connection_info
        WarmProvisioner.last = self.pid
        return information

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the kernel's folder, unless the kernel is to be restarted."""
        await super().cleanup(restart=restart)
        if self.folder and not restart:
            shutil.rmtree(self.folder, ignore_errors=True)


class WarmProcess:
    """What `LocalProvisioner` uses of `subprocess.Popen`, for a child of the fork server."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int):
        self.connection, self.pid, self.returncode = connection, pid, None

    def poll(self, seconds: float | None = 0) -> int | None:
        """The exit status, negative for a signal; None while it lives, after so many seconds."""
        if self.returncode is None and select.select([self.connection], [], [], seconds)[0]:
            with self.connection:
                answer = _receive(self.connection)
            if answer is None:  # the server died, and with it whoever could tell the exit status
                _kill_group(self.pid)
            self.returncode = answer["exit"] if answer else -signal.SIGKILL
        return self.returncode

    def wait(self) -> int:
        """The exit status, once the kernel has ended."""
        return self.poll(None)

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel if it still lives."""
        with suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)


def start_warm(
    cmd: list[str], folder: str, env: dict[str, str], cwd: str | None = None, **streams: Any
) -> WarmProcess:
    """Have the fork server that fits `env` run an ipykernel command line as a forked child.

    Args: `cmd` is ``[sys.executable, "-m", "ipykernel_launcher", ...]``; `folder` is removed by the
    server should this process die before the kernel; `env`, `cwd`, `stdout`, `stderr` are the
    kernel's, as for `subprocess.Popen`. Raises WarmUnavailable or OSError, with the reason, if a
    warm kernel is unavailable.
    """
    if env.get("XGRL_WARM") == "0":
        raise WarmUnavailable("XGRL_WARM=0")
    if not sys.platform.startswith("linux"):
        raise WarmUnavailable(f"the fork server needs Linux, this is {sys.platform}")
    if cmd[:3] != (expected := [sys.executable, "-m", "ipykernel_launcher"]):
        raise WarmUnavailable(f"expected {' '.join(expected)} ..., found {' '.join(cmd[:3])}")
    env = env | {"JPY_PARENT_PID": str(os.getpid())}  # as the cold launch does
    cwd = os.fspath(cwd or os.getcwd())
    request = {"arguments": cmd[3:], "env": env, "cwd": cwd, "folder": folder}
    outputs = [streams.get("stdout") or 1, streams.get("stderr") or 2]
    # an idle server may end between answering the call and reading the request
    for _attempt in range(2):
        connection = _server(env)
        with suppress(ConnectionError):
            _send(connection, request, [s if isinstance(s, int) else s.fileno() for s in outputs])
            if answer := _receive(connection):
                return WarmProcess(connection, answer["pid"])
        connection.close()
    raise WarmUnavailable(f"the fork server hung up, see {_folder(env) / 'log'}")


def _server(env: dict[str, str]) -> socket.socket:
    """A connection to the running fork server for `env`, which is started if there is none."""
    folder = _folder(env)
    folder.mkdir(mode=0o700, exist_ok=True)
    refused, log = folder / "refused", folder / "log"
    # held while a server starts, so that simultaneous jobs start one
    with FileLock(folder / "lock"):
        with suppress(*ABSENT):
            return _dial(folder)
        # the clock may be set back
        if refused.exists() and 0 <= time.time() - refused.stat().st_mtime < RETRY_SECONDS:
            raise WarmUnavailable(refused.read_text(encoding="utf-8"))
        command = [sys.executable, "-c", RUN_FILE, __file__, "serve", str(folder)]
        with log.open("wb") as output:
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                env=SERVER_ENVIRONMENT | env, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + START_SECONDS
        while server.poll() is None and time.monotonic() < end:
            with suppress(*ABSENT):
                return _dial(folder)
            time.sleep(0.02)
        killed = server.poll() == -signal.SIGKILL  # by somebody else, who may not do it again
        server.kill()
        last_line = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        reason = f"the fork server did not start (exit status {server.wait()}): {last_line}"
        if not killed:
            refused.write_text(reason, encoding="utf-8")
        raise WarmUnavailable(reason)


def _folder(env: dict[str, str]) -> Path:
    """The folder of the server whose children equal a process started here and now with `env`."""
    folders = [Path(path) for path in sys.path if path.endswith("-packages")]
    packages = [file for folder in folders for file in folder.glob("*.dist-info")]
    packages += [file for folder in folders for file in folder.glob("*.pth")]
    process, of_process = Path("/proc/self"), (b"Umask", b"Groups", b"Cpus_allowed_l")
    inherited = [
        sys.executable, sys.version, Path(__file__).read_bytes(), os.nice(0),
        sorted((str(package), package.stat().st_mtime_ns) for package in packages),
        sorted((name, value) for name, value in env.items() if name.startswith(IMPORT_TIME)),
        [x for x in (process / "status").read_bytes().split(b"\n") if x.startswith(of_process)],
        [(process / name).read_bytes() for name in ("limits", "cgroup")],
        [os.readlink(process / "ns" / name) for name in ("mnt", "pid", "net")],
    ]  # fmt: skip
    return _base() / hashlib.sha256(repr(inherited).encode()).hexdigest()[:16]


@functools.cache
def socket_home(temporary: str) -> str | None:
    """The folder where sockets are: the temporary one, or another, said in a line, where they
    cannot be there (an address has 107 bytes at most); None, said too, where no folder takes them.
    """
    reason, where = "", None
    for folder in filter(None, (temporary, os.environ.get("XDG_RUNTIME_DIR"), *SHORT)):
        try:
            made = tempfile.TemporaryDirectory(prefix="xgrl-kernel-", dir=folder)
            with made as path, socket.socket(socket.AF_UNIX) as trial:
                trial.bind(f"{path}/{'x' * 18}")  # no address of a kernel or server is longer
            where = folder
            break
        except OSError as error:
            reason = reason or f"xgrl: no socket can be in {temporary} ({error})"
    if reason:
        now = f"sockets are in {where}" if where else "kernels use ports"
        print(f"{reason}: {now}", file=sys.stderr, flush=True)
    return where


def _base() -> Path:
    """The folder of this user's servers; PermissionError if somebody else can write there."""
    if not (home := socket_home(tempfile.gettempdir())):
        raise WarmUnavailable("no folder takes a socket")
    base = Path(home, f"xgrl-{os.getuid()}")
    base.mkdir(mode=0o700, exist_ok=True)
    stat = base.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o077:
        mode = f"{stat.st_mode & 0o777:o}"
        raise PermissionError(f"{base} must be this user's alone (mode 700), found mode {mode}")
    return base


def _dial(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps messages whole
    connection.settimeout(30)
    try:
        connection.connect(str(folder / "socket"))
    except OSError:
        connection.close()
        raise
    return connection


def _send(connection: socket.socket, message: dict, descriptors: Sequence[int] = ()) -> None:
    socket.send_fds(connection, [json.dumps(message).encode()], descriptors)


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    """The next message, its file descriptors under "streams", or None if the other side is gone."""
    with suppress(OSError):
        data, streams, *_ = socket.recv_fds(connection, 1 << 20, 2)
        return json.loads(data) | {"streams": streams} if data else None


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # just after the fork there is no group yet
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def serve(folder: Path) -> dict[str, Any] | None:
    """Import the libraries, then fork a child for each request; returns it in a child, else None.

    Raises SystemExit with the reason if a thread or a CUDA context makes forking unsafe.
    """
    for name in PRELOAD:
        pkgutil.resolve_name(name)
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        started = f"libraries started {threads - 1} threads on import"
        raise SystemExit(f"{started} (OMP_NUM_THREADS=1 avoids that)")
    if sys.modules["torch"].cuda.is_initialized():
        raise SystemExit("a library initialised CUDA on import")
    gc.freeze()  # a child's garbage collector then leaves the shared pages alone

    address = folder / "socket"
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(address))
    listener.listen(64)
    born = address.stat().st_ctime_ns
    patience = float(os.environ.get("XGRL_WARM_IDLE", IDLE_SECONDS))
    # a batch system signals whole jobs: the kernels end by themselves, and then the server
    told: list[int] = []
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    # pidfd (readable at its end): process id, client, folder
    kernels: dict[int, tuple[int, socket.socket, str]] = {}
    idle_since = time.monotonic()

    def ours() -> bool:  # not once the folder was removed or another server has taken it over
        with suppress(FileNotFoundError):
            return address.stat().st_ctime_ns == born
        return False

    while kernels or (ours() and not told and time.monotonic() - idle_since < patience):
        clients = [client for _, client, _ in kernels.values()]
        ready = select.select([listener, *kernels, *clients], [], [], 0.5)[0]
        for pidfd, (pid, client, sockets) in list(kernels.items()):
            if client in ready and pidfd not in ready:  # the client died
                _kill_group(pid)
                shutil.rmtree(sockets, ignore_errors=True)
            if client in ready or pidfd in ready:
                with client, suppress(OSError):
                    _send(client, {"exit": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})
                os.close(pidfd)
                del kernels[pidfd]
                idle_since = time.monotonic()
        if listener in ready:
            client, _ = listener.accept()
            client.settimeout(5)
            # somebody only looked whether the server lives
            if (request := _receive(client)) is None:
                client.close()
                continue
            if (pid := os.fork()) == 0:
                os.setsid()
                for number in (signal.SIGUSR1, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                # else the server's end of a connection would outlive the server
                sockets = [listener, client, *(other for _, other, _ in kernels.values())]
                for descriptor in [*kernels, *(each.detach() for each in sockets)]:
                    os.close(descriptor)
                return request
            for stream in request["streams"]:
                os.close(stream)
            kernels[os.pidfd_open(pid)] = pid, client, request["folder"]
            with suppress(OSError):  # a client that is gone is noticed in the next round
                _send(client, {"pid": pid})
    if ours():
        address.unlink()
    return None


def become_kernel(request: dict[str, Any]) -> None:
    """Turn this forked child into the kernel that was asked for; returns when the kernel ends."""
    for target, source in enumerate([os.open(os.devnull, os.O_RDONLY), *request["streams"]]):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    # a fork copies the generators' states, a process of its own starts each with fresh entropy
    random.seed()
    sys.modules["numpy"].random.seed()
    sys.modules["torch"].default_generator.seed()
    importlib.invalidate_caches()
    sys.argv = [importlib.util.find_spec("ipykernel_launcher").origin, *request["arguments"]]
    # A client that shuts a kernel down interrupts it first; ipykernel reports that as an error.
    caught = "KeyboardInterrupt caught in kernel"
    logging.getLogger("IPKernelApp").addFilter(lambda line: caught not in line.getMessage())
    # the kernel ends by itself when the server dies
    parent = f"--IPKernelApp.parent_handle={os.getppid()}"
    application = sys.modules["ipykernel.kernelapp"].IPKernelApp
    application.launch_instance(argv=[*request["arguments"], parent])


def install(prefix: str | Path = sys.prefix) -> Path:
    """Write the kernel specification ``xgrl-warm`` below `prefix` if need be; returns its file."""
    from xgrl.runs.records import write_json

    # no database to share
    launch = "-m ipykernel_launcher -f {connection_file} --HistoryManager.hist_file=:memory:"
    specification = {
        "argv": [sys.executable, *launch.split()],
        "display_name": "Python 3 (xgrl, warm)", "language": "python",
        "metadata": {"debugger": True, "kernel_provisioner": {"provisioner_name": KERNEL}},
    }  # fmt: skip
    target = Path(prefix, "share", "jupyter", "kernels", KERNEL, "kernel.json")
    if not target.exists() or json.loads(target.read_bytes()) != specification:
        write_json(target, specification)
    return target


def status() -> str:
    """One line a fork server of this user: its folder, and whether it serves or why it does not."""
    lines = []
    for folder in sorted(_base().iterdir()):
        try:
            _dial(folder).close()
            lines.append(f"{folder}: serving")
        except OSError as error:
            refused = folder / "refused"
            reason = refused.read_text(encoding="utf-8") if refused.exists() else error
            lines.append(f"{folder}: {reason}")
    return "\n".join(lines) or "no fork server"


def stop() -> str:
    """Remove the folders of this user's servers: each then ends as soon as its last kernel has."""
    shutil.rmtree(_base())
    return "stopped"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder]:  # how `_server` starts one; in a forked child the request returns
            if request := serve(Path(folder)):
                become_kernel(request)
        case ["install" | "status" | "stop" as command]:
            print({"install": install, "status": status, "stop": stop}[command]())
        case other:
            usage = "usage: python -m xgrl.execution.kernels install | status | stop"
            raise SystemExit(f"{usage}; found: {' '.join(other)}")
