"""Stage `report`: tables and figures -> reports/. Also checks the whole of params.yaml, as `plan` does."""

from matplotlib import rc_context

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.base.schema import bind
from pipeline.plan.compose import names
from pipeline.plan.config import PARAMS, ReportConfig, load, resolve_cell
from pipeline.report.build import build_report
from pipeline.report.paper import MAIN_VARIANT

DRAWN = ("celebahq256",)  # data sets of the paper whose networks are drawn from params.yaml


@command_line
def main() -> None:
    ArgumentParser(prog="python -m stages.report", description=__doc__).parse_args()
    content = load()
    networks = {
        name: resolve_cell(content, name, MAIN_VARIANT).network.model_dump()
        for name in DRAWN
        if name in names(content, "dataset") and MAIN_VARIANT in names(content, "variant")
    }
    settings = bind(ReportConfig, content["report"], file=PARAMS, prefix="report")
    with rc_context({"savefig.dpi": settings.dpi}):
        path = build_report(content, networks=networks)
    print(f"report: {path}", flush=True)


if __name__ == "__main__":
    main()
