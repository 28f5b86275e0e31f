"""Stage `report`: tables and figures -> reports/. Also checks the whole of params.yaml, as `plan` does."""

from pipeline.base.errors import command_line
from pipeline.base.schema import bind
from pipeline.plan.config import PARAMS, load, resolve_cell
from pipeline.plan.report_config import ReportConfig
from pipeline.report.build import build_report
from pipeline.report.paper import MAIN_VARIANT

DRAWN = ("celebahq256",)  # data sets of the paper whose networks are drawn from params.yaml


@command_line
def main() -> None:
    content = load()
    networks = {
        name: resolve_cell(content, name, MAIN_VARIANT).network.model_dump()
        for name in DRAWN
        if name in content["datasets"] and MAIN_VARIANT in content["variants"]
    }
    settings = bind(ReportConfig, content["report"], file=PARAMS, prefix="report")
    path = build_report(settings, content, networks=networks)
    print(f"report: {path}", flush=True)


if __name__ == "__main__":
    main()
