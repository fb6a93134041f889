"""The ways in which an order may be completed, by payment method."""

import pytest

from orderflow._providers.connect.methods import METHODS, CompletionWays, find_ways
from orderflow.errors import UnknownName


def test_every_method_has_two_rows_prepaid_or_not_with_page_and_evidence() -> None:
    for method in METHODS:
        for prepaid in (False, True):
            row = find_ways(method, prepaid)
            assert row.source.startswith("Connect ")
            assert row.evidence in {"documented", "inferred", "assumed"}
            # a row that a page objects to is not documented
            assert not ("; but " in row.source and row.evidence == "documented")


def test_the_table_follows_the_reading_that_fits_most_pages() -> None:
    by_api = {method for method in METHODS if find_ways(method, False).api}
    by_url = {method for method in METHODS if find_ways(method, False).url}
    assert by_api == {"sms", "invoice", "free"}
    assert by_url == set(METHODS) - by_api - {"other"}
    assert all(find_ways(method, True) == CompletionWays(False, True, *_source_and_evidence(method)) for method in METHODS)


def _source_and_evidence(method: str) -> tuple[str, str]:
    row = find_ways(method, True)
    return row.source, row.evidence


def test_all_documented_methods_are_known() -> None:
    assert set(METHODS) == {
        *("invoice", "sms", "smsPay", "vippsRecurring", "kco", "creditcardPayex", "swishPayex"),
        *("vippsEcommerce", "nexi", "other", "free", "creditcard", "masterpass"),
    }


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown payment method: 'cash'") as caught:
        find_ways("cash", False)
    assert caught.value.known == METHODS
    assert "vippsEcommerce" in str(caught.value)


def test_an_override_replaces_one_row() -> None:
    ours = CompletionWays(url=True, api=True, source="our contract", evidence="documented")
    assert find_ways("kco", True, {("kco", True): ours}) is ours
    assert find_ways("kco", False, {("kco", True): ours}) == find_ways("kco", False)


def test_a_method_that_only_the_overrides_know_has_only_their_ways() -> None:
    ours = {("klarnaPayments", False): CompletionWays(url=True, api=False, source="our contract", evidence="documented")}
    assert find_ways("klarnaPayments", False, ours).url
    assert not find_ways("klarnaPayments", True, ours).url
    assert not find_ways("klarnaPayments", True, ours).api
