"""A shop on FastAPI that sells access through Connect. Run it: ``uvicorn app:app``, one process or many on one database."""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse, Response

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
flow = orderflow.Orderflow(
    os.environ["DATABASE_URL"], [connect], public_url=f"{SHOP}/orders", signing_keys={"k1": os.environ["SIGNING_KEY"]}, worker=True
)


async def grant(entered: orderflow.StateEntered) -> None:
    ACCESS.add(entered.order.key)  # a listener runs at least once; adding twice changes nothing


flow.on_entered("connect", "fulfilled", grant)


@asynccontextmanager
async def lifespan(_app: FastAPI):
    async with flow:  # what is mounted has no lifespan of its own and needs none
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/orders", flow.receiver())


@app.post("/buy/{cart}")
async def buy(cart: str) -> Response:
    payer = {"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]}
    line = {"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": 295}
    body = {"payer": payer, "orderLines": [line], "paymentMethod": "creditcardPayex", "orderAmount": 295}
    order = await flow.create("connect", key=cart, order=body)
    await flow.send(order.id, "register", key="register")
    try:
        await flow.wait(order.id, until="registered", timeout=10)  # it has passed that where they press the button twice
    except orderflow.WaitTimeout:  # slow, refused or in doubt: no second try, but a text for the page
        return JSONResponse({"order": (await flow.view(order.id)).customer_text}, 202)
    await flow.send(order.id, "complete_by_url", key="complete", return_url=f"{SHOP}/thanks")
    return RedirectResponse(await flow.customer_url(order.id), 303)


@app.get("/thanks")
async def thanks() -> dict[str, str]:
    return {"thanks": "we will tell you as soon as your order is through"}


@app.get("/access/{cart}")
async def access(cart: str) -> dict[str, bool]:
    return {"granted": cart in ACCESS}
