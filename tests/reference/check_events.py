"""Reads a run's event files with TensorBoard's own loader and holds them against the run's log.

`check_events.py RUN`: every number of `log.jsonl` must come back from `tensorboard/` under its tag and step.
"""

import argparse
import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
    "tokens_per_sec": "train/tokens_per_sec",
    "eval_loss": "eval/loss",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="output_dir of the run")
    run = parser.parse_args().run
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    compared = 0
    for key, tag in TAGS.items():
        logged = {line["step"]: line[key] for line in lines if line.get(key) is not None}
        found = {}
        if tag in events.Tags()["scalars"]:
            found = {event.step: event.value for event in events.Scalars(tag)}
        if logged.keys() != found.keys():
            sys.exit(f"{tag}: steps {sorted(found)}, the log has {sorted(logged)}")
        for step, value in logged.items():
            # Event files hold single precision.
            if abs(found[step] - value) > 1e-6 * max(1.0, abs(value)):
                sys.exit(f"{tag}, step {step}: {found[step]}, the log has {value}")
        compared += len(logged)
    if compared == 0:
        sys.exit("the log is empty")
    print(f"{compared} numbers of {len(lines)} lines read back, {len(list((run / 'tensorboard').iterdir()))} files")


if __name__ == "__main__":
    main()
