"""An event file written by TensorBoard's own code.

Made with tensorboard 2.21.0: `python generate.py` beside this file writes `events.out.tfevents`. Nothing is random.
"""

import pathlib

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = pathlib.Path(__file__).parent


def step(wall_time, number, values):
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values])
    return Event(wall_time=wall_time, step=number, summary=summary)


events = [
    Event(wall_time=1.5e9, file_version="brain.Event:2"),
    step(1.5e9, 0, [("loss/training", -0.25), ("pseudo_dice/a", 0.0)]),
    step(1.5e9 + 0.5, 1, [("loss/training", 0.1), ("pseudo_dice/a", 0.0)]),
    step(1.5e9 + 300.0, 300, []),
]
with open(HERE / "events.out.tfevents", "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
