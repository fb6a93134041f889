"""A shop on Django, in one file, that sells access through Connect. Run it: ``python app.py``.

Under a server that forks, open the flow in each worker (gunicorn: ``post_fork``): it has a thread of its own.
"""

import os
from contextlib import suppress

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

import orderflow

SHOP, CONNECT = os.environ["SHOP_URL"], os.environ["CONNECT_URL"]
ACCESS: set[str] = set()  # a real shop writes this to its database

connect = orderflow.Connect(
    api=f"{CONNECT}/capi",
    login=f"{CONNECT}/user",
    client_id=os.environ["CONNECT_ID"],
    client_secret=os.environ["CONNECT_SECRET"],
    fulfilled_literals=["fulfilled"],
    return_pages=[f"{SHOP}/thanks"],
)
flow = orderflow.sync(
    os.environ["DATABASE_URL"], [connect], public_url=f"{SHOP}/orders", signing_keys={"k1": os.environ["SIGNING_KEY"]}, worker=True
)
flow.on_entered("connect", "fulfilled", lambda entered: ACCESS.add(entered.order.key))


@csrf_exempt  # what comes in is signed by its path, and believed no further than that
def orders(request: HttpRequest, path: str) -> HttpResponse:
    """Redirects, callbacks and notifications."""
    reply = flow.handle_request(request.method or "", path, request.META["QUERY_STRING"].encode())
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))


@require_POST
def buy(request: HttpRequest, cart: str) -> HttpResponse:
    payer = {"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]}
    line = {"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": 295}
    body = {"payer": payer, "orderLines": [line], "paymentMethod": "creditcardPayex", "orderAmount": 295}
    order = flow.create("connect", key=cart, order=body)
    flow.send(order.id, "register", key="register")
    try:
        flow.wait(order.id, until="registered", timeout=10)  # it has passed that where they press the button twice
    except orderflow.WaitTimeout:  # slow, refused or in doubt: no second try, but a text for the page
        return JsonResponse({"order": flow.view(order.id).customer_text}, status=202)
    flow.send(order.id, "complete_by_url", key="complete", return_url=f"{SHOP}/thanks")
    return HttpResponseRedirect(flow.customer_url(order.id))


urlpatterns = [
    path("orders/<path:path>", orders),
    path("buy/<str:cart>", buy),
    path("thanks", lambda _request: JsonResponse({"thanks": "we will tell you as soon as your order is through"})),
    path("access/<str:cart>", lambda _request, cart: JsonResponse({"granted": cart in ACCESS})),
]

if __name__ == "__main__":
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY=os.environ["SIGNING_KEY"])
    with flow, suppress(KeyboardInterrupt), ThreadedWSGIServer(("127.0.0.1", int(os.environ["PORT"])), WSGIRequestHandler) as server:
        server.set_app(get_wsgi_application())
        server.serve_forever()
