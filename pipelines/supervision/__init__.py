"""Supervision of flow runs: their processes, locks and states, and the cleanup after a kill. It imports no flow.

A flow run, as Prefect shows it:

    Pending ──> Running ──> Completed | Failed | Cancelled    set by the run itself (final_states.py)
       └───────────┴──────> Crashed                           set by the next flow, if the run was killed

The processes of a run. Those in brackets carry the clone and the flow's process in their environment (processes.py):

    python -m pipelines FLOW      the launcher: passes on signals, exits with the flow's status
      └─ flow, own session        Prefect's flow; holds scratch/flow.lock
           ├─ [Prefect's server]  unless PREFECT_API_URL names another
           ├─ [dvc repro STAGE]   one process group per stage, its output in scratch/logs/STAGE.log (logged_command.py)
           │    └─ [the stage]
           ├─ [seqloom sync]      beside a stage with a journal (mlflow_sync.py)
           └─ [seqloom COMMAND]   info, watch, guard, set, ... (pipelines/cli_client.py)

`make schedule` is another launcher; its child serves the deployments, each flow run is a child of that, and Linux stops
its Prefect server when the child ends (prefect_server.py).

Files in scratch/, each with one writer:

    flow.lock       locked by the active flow, which writes its process number; emptied when it ends (clone_lock.py)
    flow.json       the id and the process of the active flow run (crashed_runs.py)
    schedule.json   the URL and the process of the schedule (pipelines/prefect_cli.py)
    notices.log     every notice (pipelines/notify.py)
    last_notice     the key of the last notice that is sent only once (pipelines/notify.py)
    accepted        digests of data that a person accepted (pipelines/data_guard.py)
    pushed          the dvc.lock whose data the remote has (pipelines/publish.py)
    logs/           output of stages, of Prefect's server, of pushes and of syncs
    sweeps/NAME/    the study, the clone and the records of a sweep (pipelines/sweeping)

Who cleans up after a kill:

    the stage       DVC fails, so the flow ends as Failed; the next one resumes training from its checkpoint
    dvc repro       the flow ends the rest of the process group: SIGINT, up to a minute for a checkpoint, then SIGKILL
    the flow        the launcher ends every marked process in the same way; the next flow does the rest, see below
    the launcher    nothing to clean up: the flow runs to its end
    all of them     the next flow. The kernel has released flow.lock, which is not empty. The flow ends marked
                    processes, removes stale entries from DVC's lock, sets the killed run to Crashed, closes its MLflow
                    run and sends a notice; then it runs the stages that DVC finds changed
    the schedule    its server ends with it; an active flow run continues, and the next schedule does not end it
"""
