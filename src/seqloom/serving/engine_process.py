"""The processes that translate, for `seqloom serve --workers`.

The server starts one host for each version: `python -m seqloom.serving.engine_process FOLDER THREADS BACKGROUND`, with
a socket as its standard input. The host loads the model, and forks a worker whenever the server asks for one. So the
workers share the memory of the libraries and of the torch model as long as nobody writes to it, and a new worker takes
a fraction of a second. Each opens the export itself, since the threads of CTranslate2 would not survive the fork.

Every process ends when the server's end of its socket is closed, for whatever reason. Signals are ignored, because the
server finishes its requests after SIGTERM and Ctrl-C, which a terminal or a supervisor sends to all processes.
"""

import gc
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.errors import SeqloomError
from seqloom.languages import Direction
from seqloom.serving.channel import Message, receive, send
from seqloom.serving.trials import LOW_PRIORITY, TRIALS

if TYPE_CHECKING:
    from seqloom.serving.engine import Engine


def main() -> None:
    """Load the model in a folder, then fork workers until the server ends."""
    folder, threads, background = Path(sys.argv[1]), int(sys.argv[2]), bool(sys.argv[3])
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel removes workers that have ended
    control = socket.socket(fileno=0)
    loaded: list[Engine] = []
    answer: Message = {}

    def load() -> None:
        if background:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)  # before the imports
        try:
            loaded.append(_load(folder))
            answer["directions"] = [list(each) for each in loaded[0].directions]
        except Exception as error:
            answer["error"] = str(error) or repr(error)

    # On Linux each thread has its own priority, and a fork inherits that of its thread: here the usual one.
    loading = threading.Thread(target=load)
    loading.start()
    loading.join()
    send(control, answer)
    if loaded:
        gc.collect()
        gc.freeze()  # the collector would write to the objects, and so copy their memory in every worker
        while receive(control) is not None:
            _fork(control, loaded[0], threads)


def _load(folder: Path) -> "Engine":
    import torch

    from seqloom.serving.engine import Engine

    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    return Engine.on_torch(folder, "cpu")


def _fork(control: socket.socket, engine: "Engine", threads: int) -> None:
    """Fork a worker, and send the server the other end of its socket."""
    theirs, own = socket.socketpair()
    number = os.fork()
    if number == 0:
        status = 1
        try:
            control.close()
            theirs.close()
            _work(own, engine, threads)
            status = 0
        except ConnectionError:  # the server has ended
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    own.close()
    socket.send_fds(control, [str(number).encode()], [theirs.fileno()])
    theirs.close()


def _work(channel: socket.socket, engine: "Engine", threads: int) -> None:
    """Warm up, then answer requests until the server ends."""
    import torch

    torch.set_num_threads(threads)
    try:
        engine.accelerate()
        for direction in engine.directions:
            for text in TRIALS:
                engine.translate([text], direction, 1)
    except Exception as error:
        send(channel, {"error": str(error) or repr(error)})
        return
    send(channel, {})
    while (request := receive(channel)) is not None:
        send(channel, _answer(engine, request))


def _answer(engine: "Engine", request: Message) -> Message:
    direction = Direction(*request["direction"])
    try:
        if "translation" in request:
            return {"picture": engine.attention(request["text"], request["translation"], direction)}
        return {"results": engine.translate(request["texts"], direction, request["n_best"])}
    except Exception as error:
        message = str(error) if isinstance(error, SeqloomError) else repr(error)
        return {"error": message, "kind": type(error).__name__}


if __name__ == "__main__":
    main()
