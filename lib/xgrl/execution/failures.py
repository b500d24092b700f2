"""Why a job failed and what to do, in a paragraph; and a job never outlives its Snakemake.

Snakemake and papermill know only that a kernel is gone or a cell raised something. `explain` turns
what is known of the end (the kernel's exit status, the name and text of the error) into what a
person would look for: memory, disk, time, damage.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

CONTINUED = os.EX_TEMPFAIL  # exit status of a job that was asked to end and goes on when run again
GRACE = 60  # seconds that a job has to write a checkpoint and end
ASKED: list[int] = []  # signals that asked this process to end
ROOM = "make room, then say the same command again: what has finished is kept"
OTHER = "or name another with `outputs:`"
SMALLER = "a smaller batch_size or max_length"
LESS = f"fewer jobs at once (make study JOBS=1), {SMALLER}"
ADVICE = {  # what an error's text says, and what to do
    "No space left on device": f"the disk is full; {ROOM}",
    "Disk quota exceeded": f"your quota of the disk is used up; {ROOM}",
    "Read-only file system": f"the outputs cannot be written; make the folder writable, {OTHER}",
    "Permission denied": "a file may not be read or written; look at owner and mode, or name "
    "another folder: `outputs:` of the study, XGRL_CACHE, HF_HOME (of the hub), TMPDIR",
    "CUDA out of memory": f"out of memory on the GPU; a smaller micro_batch_size (which changes no "
    f"loss), {SMALLER}, or device: cpu",  # is an OutOfMemoryError, and so before the next
    "MemoryError": f"out of memory; {LESS}",
    "can't allocate memory": f"out of memory; {LESS}",
}
SIGNALS = {
    signal.SIGKILL: ", usually out of memory: the system or a batch system's limit ends the "
    "largest process. Fewer jobs at once (make study JOBS=1), more memory (fixed.memory_mb on a "
    "cluster), or a smaller batch_size or max_length help",
    signal.SIGSEGV: ", a fault in a compiled library",
    signal.SIGBUS: ", usually a file that was cut short or a full disk while it was mapped",
    signal.SIGXCPU: ", a limit of processor time",
}


def explain(error: BaseException, minutes: float | None = None) -> str:
    """One paragraph on why a notebook's execution ended with `error`; `minutes`: a cell's limit."""
    from xgrl.execution import kernels

    kind = type(error).__name__
    go_on = "what has finished is kept, say the same command to go on"
    if kind == "DeadKernelError":
        return f"{killed(kernels.WarmProvisioner.ended)}; {go_on}"
    if kind == "CellTimeoutError":
        return (
            f"a cell ran longer than {minutes:g} minutes and was stopped: it hangs, or needs more "
            f"(fixed.runtime_minutes in the study file); {go_on}"
        )
    text, cell = " ".join(f"{kind}: {error}".split()), ""
    if kind == "PapermillExecutionError":
        text = " ".join(f"{error.ename}: {error.evalue}".split())
        cell = f"cell {error.exec_count}: "
        text = text if len(text) <= 600 else f"{text[:600]} ..."
    advice = next((f"; {todo}" for sign, todo in ADVICE.items() if sign in text), "")
    return f"{cell}{text}{advice}"


def killed(status: int | None) -> str:
    """What an exit status says of a kernel that ended by itself."""
    if status is None or status >= 0:
        return f"the kernel ended by itself with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "?"
    return f"the kernel was killed by signal {-status} ({name}){SIGNALS.get(-status, '')}"


def end_on_signal() -> None:
    """On SIGTERM, Ctrl-C or SIGUSR1 (Slurm's warning) ask the kernel to write a checkpoint and end,
    which it does at once where it trains nothing, and so ends this process (`to_be_continued`).
    """

    def ask(number: int, _frame: Any) -> None:
        ASKED.append(number)
        kernels = sys.modules.get("xgrl.execution.kernels")
        if not (kernel := kernels and kernels.WarmProvisioner.last):
            print(to_be_continued(SystemExit()), file=sys.stderr)
            sys.exit(CONTINUED)
        signal.alarm(GRACE)  # which ends this process, and with it its kernel
        with suppress(ProcessLookupError):
            os.kill(kernel, signal.SIGUSR1)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        # Ctrl-C is not for a job in a shell's background
        if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, ask)


def to_be_continued(error: BaseException) -> str:
    """What ended a job that only has to be run again, "" where `error` is a failure."""
    if getattr(error, "ename", "") == "ToBeContinued":
        return error.evalue
    names = ", ".join(signal.Signals(number).name for number in ASKED)
    return names and f"to be continued: {names} came; run it again, its checkpoints are kept"


def end_with_parent(every: float = 0.5) -> None:
    """End this process when its parent has ended: a killed Snakemake leaves no job that writes.

    Looked at every so many seconds by a thread; ended first as gently as by a signal, so that a
    checkpoint is written and the kernel is shut down, then at once.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)  # its kernel ends with it, see `xgrl.execution.kernels`

    threading.Thread(target=watch, daemon=True).start()
