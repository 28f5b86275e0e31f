"""Stage `report`: tables and figures -> reports/. Also checks the whole of params.yaml, as `plan` does."""

from pipeline.config import PARAMS, load
from pipeline.errors import command_line
from pipeline.report.build import build_report
from pipeline.report.config import ReportConfig
from pipeline.schema import bind


@command_line
def main() -> None:
    content = load()
    path = build_report(bind(ReportConfig, content["report"], file=PARAMS, prefix="report"), content)
    print(f"report: {path}", flush=True)


if __name__ == "__main__":
    main()
