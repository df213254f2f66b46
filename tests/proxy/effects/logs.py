"""The parameters of the HTTPERR log. All are read when the service starts."""

from __future__ import annotations

from tests.proxy.effects.service import Running, Services, error_lines, error_logs
from tests.proxy.frontend.clients import request

_MIB = 1 << 20


def be_refused(service: Running, target: bytes = b"/%00") -> None:
    with service.client() as client:
        client.send(request(b"GET", target))
        assert client.read_answer().status == 400
        client.read_to_end()
        client.close_notify()  # in order, or there would be a line for that too


def enable_error_logging(services: Services) -> None:
    with services.start(EnableErrorLogging=1) as service:
        be_refused(service)
    assert len(error_lines(service.state / "LogFiles")) == 1
    with services.start(EnableErrorLogging=0) as service:
        be_refused(service)
    assert not (service.state / "LogFiles" / "HTTPERR").exists()


def error_log_file_truncate_size(services: Services) -> None:
    """1.1 MiB of lines: one file more where 1 MiB is the limit, and one for all where it is 2."""
    for limit, files in ((_MIB, 2), (2 * _MIB, 1)):
        with services.start(ErrorLogFileTruncateSize=limit) as service:
            for _ in range(290):
                be_refused(service, b"/%00" + b"a" * 4090)
        logs = error_logs(service.state / "LogFiles")
        assert [path.name for path in logs] == ["httperr1.log", "httperr2.log"][:files]
        sizes = [path.stat().st_size for path in logs]
        assert limit / 2 < sizes[0] <= limit
        assert sum(sizes) > 1.1 * _MIB
        assert len(error_lines(service.state / "LogFiles")) == 290


def error_logging_dir(services: Services) -> None:
    folder = services.folder() / "some where"
    with services.start(ErrorLoggingDir=str(folder)) as service:
        be_refused(service)
    (line,) = error_lines(folder)
    assert line["s-reason"] == "URL"
    assert not (service.state / "LogFiles" / "HTTPERR").exists()
