"""The exit statuses of every command in this project: `seqloom`, the stages and the flows."""

DONE = 0
FAILED = 1
MISUSED = 2  # wrong arguments or a wrong params.yaml
REFUSED = 3  # the command ran and its answer is no: new data is out of bounds
TIMED_OUT = 124  # as `timeout` exits
TRY_LATER = 75  # os.EX_TEMPFAIL: the network or a server did not answer, or another process is running
INTERRUPTED = 130  # SIGINT, as shells report it
PIPE_CLOSED = 141  # SIGPIPE
TERMINATED = 143  # SIGTERM
