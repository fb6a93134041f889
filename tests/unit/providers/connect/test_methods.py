"""Which payment method may go which way."""

import pytest

from orderflow.errors import UnknownName
from orderflow.providers.connect.methods import METHODS, Ways, ways


def test_every_method_has_a_row_paid_beforehand_or_not_with_page_and_evidence() -> None:
    for method in METHODS:
        for prepaid in (False, True):
            row = ways(method, prepaid)
            assert row.source.startswith("Connect ")
            assert row.evidence in {"documented", "inferred", "assumed"}
            # a row some page objects to is never sold as documented
            assert not ("; but " in row.source and row.evidence == "documented")


def test_the_reading_that_fits_most_pages() -> None:
    by_api = {method for method in METHODS if ways(method, False).api}
    by_url = {method for method in METHODS if ways(method, False).url}
    assert by_api == {"sms", "invoice", "free"}
    assert by_url == set(METHODS) - by_api - {"other"}
    assert all(ways(method, True) == Ways(False, True, *rest(method)) for method in METHODS)


def rest(method: str) -> tuple[str, str]:
    row = ways(method, True)
    return row.source, row.evidence


def test_all_methods_of_the_dossier_are_known() -> None:
    assert set(METHODS) == {
        *("invoice", "sms", "smsPay", "vippsRecurring", "kco", "creditcardPayex", "swishPayex"),
        *("vippsEcommerce", "nexi", "other", "free", "creditcard", "masterpass"),
    }


def test_an_unknown_method_is_refused_and_told_what_is_known() -> None:
    with pytest.raises(UnknownName, match="unknown payment method: 'cash'") as caught:
        ways("cash", False)
    assert caught.value.known == METHODS
    assert "vippsEcommerce" in str(caught.value)


def test_configuration_overrides_one_row_and_only_that() -> None:
    ours = Ways(url=True, api=True, source="our contract", evidence="documented")
    assert ways("kco", True, {("kco", True): ours}) is ours
    assert ways("kco", False, {("kco", True): ours}) == ways("kco", False)


def test_a_method_known_by_configuration_alone_goes_no_way_it_does_not_name() -> None:
    ours = {("klarnaPayments", False): Ways(url=True, api=False, source="our contract", evidence="documented")}
    assert ways("klarnaPayments", False, ours).url
    assert not ways("klarnaPayments", True, ours).url
    assert not ways("klarnaPayments", True, ours).api
