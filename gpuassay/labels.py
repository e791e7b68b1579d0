"""Names of our own labels and annotations: the only marks we leave on objects.

Example:
    labels.GPU  # "nvidia.com/gpu"
"""

RUN = "gpuassay.io/run"
"""Label on everything a run creates; the sweep at the end removes by it."""
COMPONENT = "gpuassay.io/component"
"""Label on everything of a provisioned component, beside the run's: its removal has an order, the sweep has none."""
CHANGED = "gpuassay.io/changed"
"""Label on the record of what a run has changed of objects that were there (`gpuassay.provision.changes`)."""
SCENARIO = "gpuassay.io/scenario"
"""Label on everything a scenario creates; recordings are cut by it."""
RUN_FOR = "gpuassay.io/run-for"
"""Pod annotation: how long the fake container runs (Go duration, "1.5s"); without it, for ever."""
START_DELAY = "gpuassay.io/start-delay"
"""Pod annotation: how long the fake container takes to start."""
COMMAND = "gpuassay.io/command"
"""What a real container runs instead of sleeping; `{seconds}` in it is the time that it has."""
EXIT_CODE = "gpuassay.io/exit-code"
"""Pod annotation: what the fake container exits with; "0" without it."""
NOT_READY = "gpuassay.io/not-ready"
"""Pod annotation: the fake pod runs but never becomes Ready."""

QUEUE_NAME = "kueue.x-k8s.io/queue-name"
PRIORITY_CLASS = "kueue.x-k8s.io/priority-class"
POD_GROUP = "kueue.x-k8s.io/pod-group-name"
POD_GROUP_TOTAL = "kueue.x-k8s.io/pod-group-total-count"
MIN_PARALLELISM = "kueue.x-k8s.io/job-min-parallelism"
MAX_EXECUTION = "kueue.x-k8s.io/max-exec-time-seconds"

GPU = "nvidia.com/gpu"
