"""The pytest plugin as its users have it: projects of their own, run by pytester, strict, with warnings as errors.

Each runs in a process of its own: pytester's in-process runs leave modules behind that were imported twice."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]

CONNECT_ORDER = """
ORDER = {
    "payer": {"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]},
    "orderLines": [{"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": 295}],
    "paymentMethod": "creditcardPayex",
    "orderAmount": 295,
}
"""
CCV_ORDER = """
SHOP = "https://shop.example"
ORDER = {
    "order": {
        "orderDate": "2026-11-21T10:00:00Z", "cartUrl": SHOP, "storeUrl": SHOP, "statusUrl": SHOP,
        "storeInformation": {"cocNumber": "12345678", "cocRegistry": "Kvk"},
        "companyContactPerson": {"lastName": "Jansen", "emailAddress": "j@example.org", "phoneNumber": "+31600000000"},
    },
    "products": [{
        "kind": "sales_package", "isPurchased": True, "packageName": "Online Payments", "sku": "op",
        "periodPricingDetails": [{
            "period": "OneOff", "excludingTax": 1, "singleExcludingTax": 1, "includingTax": 1.21,
            "taxAmountsPerTaxRate": [{"taxRate": 21, "taxAmount": 0.21}],
        }],
    }],
}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A strict project that knows nothing of our own conftest."""
    pytester.makeini("[pytest]\nstrict = true\nfilterwarnings = error\naddopts = -p no:cacheprovider -p no:randomly\n")
    return pytester


def run(project: pytest.Pytester, source: str, *args: str, order: str = CONNECT_ORDER) -> pytest.RunResult:
    project.makepyfile(dedent(order) + dedent(source))
    return project.runpytest_subprocess(*args)


def test_a_sync_test_follows_a_payment(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest
        from orderflow._testing.asserts import assert_converges, assert_path

        @pytest.mark.parametrize(("button", "claimed"), [("pay", "success"), ("close", None)])
        def test_paid(orderflow_connect, orderflow_flow, orderflow_application, button, claimed):
            with orderflow_flow() as flow:
                order = flow.create("connect", key="cart-1", order=ORDER)
                flow.send(order.id, "register")
                flow.wait(order.id, until="registered")
                flow.send(order.id, "complete_by_url", return_url=orderflow_application.thanks)
                end = orderflow_connect.visit(flow.customer_url(order.id), button)
                if claimed:
                    assert end == f"{orderflow_application.thanks}?fulfillmentStatus={claimed}"
                else:
                    orderflow_connect.simulator.pay(orderflow_connect.simulator.orders[0].order_id)
                assert_converges(flow, order, "fulfilled")
                assert_path(flow.journal(order.id), ["drafted", "registering", "registered", "fulfilling", ..., "paid", "fulfilled"])
        """,
    )
    result.assert_outcomes(passed=2)


def test_an_async_test_awaits_the_same(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest
        from orderflow._testing.asserts import assert_converges, assert_path

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        async def test_paid(orderflow_connect, orderflow_flow, orderflow_application):
            async with orderflow_flow() as flow:
                order = await flow.create("connect", key="cart-1", order=ORDER)
                await flow.send(order.id, "register")
                await flow.wait(order.id, until="registered")
                await flow.send(order.id, "complete_by_url", return_url=orderflow_application.thanks)
                await orderflow_connect.visit(await flow.customer_url(order.id))
                await assert_converges(flow, order, "fulfilled")
                assert_path(await flow.journal(order.id), ["drafted", ..., "fulfilling", ..., "paid", "fulfilled"])
        """,
    )
    result.assert_outcomes(passed=1)


def test_the_marker_brings_scenario_faults_switches_and_database(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest
        from pathlib import Path
        from orderflow.simulators import Fault
        from orderflow._testing.asserts import assert_converges, assert_path

        @pytest.mark.orderflow("ccv", scenario="screening-rejected", switches={"step_seconds": 0.2})
        def test_rejected(orderflow_flow, orderflow_ccv):
            assert orderflow_ccv.simulator.step_seconds == 0.2
            with orderflow_flow() as flow:
                order = flow.create("ccv", key="k", **ORDER)
                flow.send(order.id, "submit")
                assert_converges(flow, order, "Closed")
                assert_path(flow.journal(order.id), ["drafted", ..., "Screening", "Closed"])

        @pytest.mark.orderflow("ccv", faults=[Fault("* */order", "reset-after-commit")])
        @pytest.mark.orderflow(db="sqlite:///marked.db")
        def test_lost(orderflow_flow, orderflow_store):
            assert orderflow_store == "sqlite:///marked.db"
            with orderflow_flow() as flow:
                order = flow.create("ccv", key="k", **ORDER)
                flow.send(order.id, "submit")
                assert_converges(flow, order, "submission_in_doubt")
            assert Path("marked.db").exists()
            with orderflow_flow() as again:  # a restart
                assert again.order(order.id).state == "submission_in_doubt"
        """,
        order=CCV_ORDER,
    )
    result.assert_outcomes(passed=2)


def test_time_stands_still_in_a_test_that_asks_for_the_clock(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        from orderflow._testing.asserts import assert_converges

        def test_the_customer_never_returns(orderflow_clock, orderflow_connect, orderflow_flow, orderflow_application):
            began = orderflow_clock.now()
            with orderflow_flow() as flow:
                order = flow.create("connect", key="cart-1", order=ORDER)
                flow.send(order.id, "register")
                flow.wait(order.id, until="registered")
                flow.send(order.id, "complete_by_url", return_url=orderflow_application.thanks)
                assert_converges(flow, order, "unknown", clock=orderflow_clock)
            assert orderflow_clock.now() - began > 1800
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_marker_that_means_nothing_is_refused(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest

        @pytest.mark.orderflow("ccv", scenario="no-such-thing")
        def test_scenario(orderflow_ccv): ...

        @pytest.mark.orderflow("stripe")
        def test_provider(orderflow_ccv): ...

        @pytest.mark.orderflow("ccv", scenarios="pay")
        def test_keyword(orderflow_ccv): ...

        def test_no_provider(orderflow_flow):
            orderflow_flow()
        """,
    )
    result.assert_outcomes(errors=3, failed=1)
    for message in ("no scenario 'no-such-thing'", "stripe*: want ccv or connect", "scenarios: want", "ask for orderflow_ccv"):
        result.stdout.fnmatch_lines([f"*{message}*"])


def test_a_wrong_path_fails_and_shows_the_path(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest
        from orderflow._testing.asserts import assert_converges, assert_path

        @pytest.mark.orderflow("ccv", scenario="stuck@Incomplete")
        def test_stuck(orderflow_flow):
            with orderflow_flow() as flow:
                order = flow.create("ccv", key="k", **ORDER)
                flow.send(order.id, "submit")
                flow.wait(order.id, "Incomplete")
                with pytest.raises(TypeError, match="give flow.journal"):
                    assert_path(order, [])
                with pytest.raises(AssertionError, match="submitting -> Processing"):
                    assert_path(flow.journal(order.id), ["drafted", ..., "New"])
                assert_converges(flow, order, "Completed", within=0.2)
        """,
        order=CCV_ORDER,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is 'Incomplete', not 'Completed'*", "*the path was drafted -> configuring -> *-> Incomplete*"])


COVERED = """
    import pytest

    @pytest.mark.orderflow("ccv", scenario="{scenario}")
    @pytest.mark.parametrize("n", range(2))
    def test_one(orderflow_flow, n):
        with orderflow_flow() as flow:
            order = flow.create("ccv", key="k", **ORDER)
            flow.send(order.id, "submit")
            flow.wait(order.id, until="Completed", timeout=60)
"""


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["one process", "xdist"])
def test_coverage_of_the_users_own_run_is_printed_and_can_be_required(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    project.makepyfile(dedent(CCV_ORDER) + dedent(COVERED.format(scenario="happy")))
    run_it = project.runpytest_subprocess

    fine = run_it("--orderflow-cov-require=states=20,edges=5", *args)
    assert fine.ret == 0
    fine.stdout.fnmatch_lines(["*orderflow coverage*", "ccv: states */*, edges */*, cells */*", "  state not covered: *"])

    if not args:
        short = run_it("--orderflow-cov-require=edges=90")
        assert short.ret == pytest.ExitCode.TESTS_FAILED
        short.stdout.fnmatch_lines(["too little: ccv: edges *, 90 % required"])


def test_a_requirement_without_any_record_fails_and_a_misspelt_one_is_a_usage_error(project: pytest.Pytester) -> None:
    project.makepyfile("def test_nothing(): ...")
    nothing = project.runpytest_subprocess("--orderflow-cov-require=edges=1")
    assert nothing.ret == pytest.ExitCode.TESTS_FAILED
    nothing.stdout.fnmatch_lines(["too little: no order of any lifecycle was recorded"])

    misspelt = project.runpytest_subprocess("--orderflow-cov-require=edge=1")
    assert misspelt.ret == pytest.ExitCode.USAGE_ERROR
    misspelt.stderr.fnmatch_lines(["*--orderflow-cov-require: 'edge=1': want states=PERCENT*"])


def test_a_project_that_does_not_use_the_plugin_imports_nothing() -> None:
    probe = """
    import sys, pytest
    before = set(sys.modules)
    import orderflow._testing.plugin as plugin
    new = {name for name in set(sys.modules) - before if not name.startswith("orderflow")}
    print(sorted(new - set(sys.stdlib_module_names)))
    print(sorted(name for name in sys.modules if name.startswith("orderflow")))
    fixtures = [name for name, one in vars(plugin).items() if type(one).__name__ == "FixtureFunctionDefinition"]
    print(len(fixtures) >= 5, [name for name in fixtures if not name.startswith("orderflow_")])
    """
    printed = subprocess.run([sys.executable, "-c", dedent(probe)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed == ["[]", "['orderflow', 'orderflow._testing', 'orderflow._testing.plugin']", "True []"]
