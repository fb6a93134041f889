"""The kit for provider authors: what a provider of your own imports.

Beside it, a provider imports from ``orderflow.lifecycle``, ``orderflow.model`` and ``orderflow.errors``.

A provider is a class that inherits from ``BaseProvider`` and has the members of ``Provider``. It names a lifecycle, checks requests and
commands, carries out effects, and polls the status. An adapter sends requests (``send_request``), reads the answers into records
(``parse_record``) and turns them into outcomes (``outcome_of_response``).
"""

from orderflow._inputs import get_flag, get_id, get_object, get_text, reject_unknown
from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._provider.call import Call
from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._provider.http import (
    HttpClient,
    HttpResponse,
    NeverSent,
    RequestResult,
    ResponseLost,
    check_poll_response,
    has_json_or_no_body,
    is_header_value,
    longest_timeout,
    make_client,
    outcome_of_response,
    retry_after_seconds,
    send_request,
    with_answer,
)
from orderflow._provider.oauth2 import CredentialsIn, OAuth2Client
from orderflow._provider.outcomes import (
    InDoubt,
    NoResult,
    NotExecuted,
    Outcome,
    ProviderAnswer,
    ReadFailed,
    Rejected,
    Signal,
    StatusRead,
    Succeeded,
)
from orderflow._provider.protocol import BaseProvider, DoesNotFit, Draft, Name, Provider, PublicUrls, TokenSource
from orderflow._provider.settings import check_base_url, check_secret
from orderflow._provider.timing import Timing
from orderflow._provider.wire import as_text, json_name, parse_input, parse_json, parse_record, strict, to_json

__all__ = [
    "BaseProvider",
    "Call",
    "Claim",
    "CredentialsIn",
    "DoesNotFit",
    "Draft",
    "Endpoint",
    "Guidance",
    "GuidanceValues",
    "HttpClient",
    "HttpResponse",
    "InDoubt",
    "Name",
    "NeverSent",
    "NoResult",
    "NotExecuted",
    "OAuth2Client",
    "Outcome",
    "Provider",
    "ProviderAnswer",
    "PublicUrls",
    "ReadFailed",
    "Rejected",
    "RequestResult",
    "ResponseLost",
    "Signal",
    "StatusRead",
    "Succeeded",
    "Timing",
    "TokenSource",
    "as_text",
    "check_base_url",
    "check_poll_response",
    "check_secret",
    "get_flag",
    "get_id",
    "get_object",
    "get_text",
    "has_json_or_no_body",
    "is_header_value",
    "json_name",
    "longest_timeout",
    "make_client",
    "outcome_of_response",
    "parse_input",
    "parse_json",
    "parse_record",
    "reject_unknown",
    "retry_after_seconds",
    "send_request",
    "strict",
    "to_json",
    "with_answer",
]
