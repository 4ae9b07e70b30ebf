"""TensorBoard event files, one folder per cell: curves, final numbers, costs, samples, hyperparameters and failures."""

from __future__ import annotations

import io
import socket
import struct
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer, hookimpl
from genbench_observers.libraries import require
from genbench_observers.pages import failure_page, numbers_page

__all__ = ["TensorBoard", "build_observer"]

TIMELINE = "progress/items"  # in every point's event, so it shows which points were written


@hookimpl
def build_observer(options: dict[str, Any]) -> Observer:
    require("tensorboard")
    return TensorBoard(**options)


@dataclass
class _Run:
    """One cell's folder and its content."""

    folder: Path
    step: int = -1
    began: bool = False
    ended: bool = False
    file: io.FileIO | None = None


class TensorBoard(Observer):
    """Writes `DIR/BENCHMARK/CELL/events.out.tfevents.*`; view them with `tensorboard --logdir DIR`.

    A point is one record of an event file, with its checksum, written by one call: it is complete or absent. A resumed
    cell gets another file in the same folder.

    Args:
        dir: the folder.
        samples: whether pictures, sounds and texts are copied into it.
    """

    def __init__(self, dir: str = "runs", samples: bool = True) -> None:
        self._root = Path(dir)
        self._samples = samples
        self._runs: dict[str, _Run] = {}

    def begin(self, benchmark: ObservedBenchmark) -> None:
        self._root = self._root.resolve() / f"{benchmark.name}-{benchmark.id}"
        self._root.mkdir(parents=True, exist_ok=True)

    def begin_cell(self, cell: ObservedCell) -> Held:
        run = _read(self._root / cell.name)
        self._runs[cell.key] = run
        if not run.ended:
            run.folder.mkdir(exist_ok=True)
            name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
            run.file = io.FileIO(run.folder / name, "x")
            self._write(run, _version(), *([] if run.began else [_session_start(cell)]))
        return Held(run.step, run.ended)

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        self._write(self._runs[cell.key], *map(_point, points))

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        run = self._runs.pop(cell.key)
        self._write(run, *_end(end, self._samples))
        _close(run)

    def end(self) -> None:
        for run in self._runs.values():
            _close(run)
        self._runs.clear()

    def _write(self, run: _Run, *events: Any) -> None:
        """Write events completely: an incomplete write, as on a full disk, is an error."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert run.file is not None, "the run is open"
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        for event in events:
            writer.write(event.SerializeToString())
        data = buffer.getvalue()
        if run.file.write(data) != len(data):
            raise OSError(f"{run.file.name} could not be written completely; is the disk full?")


def _close(run: _Run) -> None:
    if run.file is not None:
        run.file.close()


def _read(folder: Path) -> _Run:
    """Return the content of a cell's event files."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    run = _Run(folder)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == TIMELINE:
                    run.step = max(run.step, event.step)
                elif value.tag == metadata.SESSION_START_INFO_TAG:
                    run.began = True
                elif value.tag == metadata.SESSION_END_INFO_TAG:
                    content = value.metadata.plugin_data.content
                    status = plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status
                    run.ended = status == _status("finished")
    return run


def _event(values: Sequence[Any], step: int = 0) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Event(wall_time=time.time(), step=step, summary=Summary(value=values))


def _version() -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), file_version="brain.Event:2")


def _scalar(tag: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=tag, simple_value=value)


def _point(point: ObservedPoint) -> Any:
    values = [_scalar(TIMELINE, point.items), _scalar("progress/training_s", point.elapsed_s)]
    values += [_scalar(f"losses/{name}", value) for name, value in point.losses.items()]
    values += [_scalar(f"quality/{name}", value) for name, value in point.numbers.items()]
    return _event(values, point.step)


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=[text.encode("utf-8", "replace")],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)


def _end(end: ObservedEnd, samples: bool) -> Iterator[Any]:
    """Yield the events of a cell's end; the marker that it has ended comes last."""
    values = [_scalar(f"final/{name}", value) for name, value in end.numbers.items()]
    values += [_scalar(f"cost/{name}", value) for name, value in end.costs.items()]
    for tag, text in (("numbers", numbers_page(end)), ("failure", failure_page(end))):
        values += [_text(tag, text)] if text else []
    for what, path in end.files.items() if samples else ():
        values += [shown] if (shown := _shown(what, path)) is not None else []
    yield _event(values, end.step)
    yield _session_end(end)


def _shown(what: str, path: Path) -> Any:
    """Return the summary that displays a file; None for kinds that TensorBoard does not display."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    data = path.read_bytes()
    match path.suffix:
        case ".png":
            width, height = struct.unpack(">II", data[16:24])  # their position in every PNG
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
            return Summary.Value(tag=what, image=image)
        case ".wav":
            with wave.open(str(path)) as file:
                sound = Summary.Audio(
                    sample_rate=file.getframerate(),
                    num_channels=file.getnchannels(),
                    length_frames=file.getnframes(),
                    encoded_audio_string=data,
                    content_type="audio/wav",
                )
            return Summary.Value(tag=what, audio=sound)
        case ".txt":
            lines = data.decode("utf-8", "replace").splitlines()
            return _text(what, "\n".join(f"    {line}" for line in lines))  # verbatim, not as Markdown
    return None


def _session(tag: str, **content: Any) -> Any:
    """Return the data that the hyperparameters page reads."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
    return _event([Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])


def _session_start(cell: ObservedCell) -> Any:
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    info = plugin_data_pb2.SessionStartInfo(group_name=cell.label, start_time_secs=time.time())
    for name, value in cell.configuration.items():
        match value:
            case bool():
                info.hparams[name].bool_value = value
            case int() | float():
                info.hparams[name].number_value = value
            case _:
                info.hparams[name].string_value = "" if value is None else value
    return _session(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def _session_end(end: ObservedEnd) -> Any:
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    info = plugin_data_pb2.SessionEndInfo(status=_status(end.status), end_time_secs=time.time())
    return _session(metadata.SESSION_END_INFO_TAG, session_end_info=info)


def _status(of_cell: str) -> Any:
    """Return TensorBoard's word for how a cell ended; a failed one may be run again."""
    from tensorboard.plugins.hparams import api_pb2

    return api_pb2.STATUS_FAILURE if of_cell == "failed" else api_pb2.STATUS_SUCCESS
