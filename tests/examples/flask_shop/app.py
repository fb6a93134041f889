"""A shop on Flask that sells access through Connect. Run it: ``python app.py``.

Under a server that forks, open the flow in each worker (gunicorn: ``post_fork``): it has a thread of its own.
"""

import os

from flask import Flask, Response, redirect, request
from werkzeug.serving import make_server

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
app = Flask(__name__)


@app.route("/orders/<path:path>", methods=["GET", "POST"])
def orders(path: str) -> Response:
    """Redirects, callbacks and notifications."""
    reply = flow.handle_request(request.method, path, request.query_string)
    return Response(reply.body, reply.status, dict(reply.headers))


@app.post("/buy/<cart>")
def buy(cart: str):
    payer = {"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]}
    line = {"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": 295}
    body = {"payer": payer, "orderLines": [line], "paymentMethod": "creditcardPayex", "orderAmount": 295}
    order = flow.create("connect", key=cart, order=body)
    flow.send(order.id, "register", key="register")
    try:
        flow.wait(order.id, until="registered", timeout=10)  # it has passed that where they press the button twice
    except orderflow.WaitTimeout:  # slow, refused or in doubt: no second try, but a text for the page
        return {"order": flow.view(order.id).customer_text}, 202
    flow.send(order.id, "complete_by_url", key="complete", return_url=f"{SHOP}/thanks")
    return redirect(flow.customer_url(order.id), 303)


@app.get("/thanks")
def thanks() -> dict[str, str]:
    return {"thanks": "we will tell you as soon as your order is through"}


@app.get("/access/<cart>")
def access(cart: str) -> dict[str, bool]:
    return {"granted": cart in ACCESS}


if __name__ == "__main__":
    with flow:
        make_server("127.0.0.1", int(os.environ["PORT"]), app, threaded=True).serve_forever()
