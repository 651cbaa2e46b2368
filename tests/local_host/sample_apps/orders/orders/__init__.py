import json
import logging

import azure.functions as func

shop = func.Blueprint()
_packed: list[str] = []
_ticks: list[bool] = []


@shop.route("orders", methods=["POST"])
@shop.service_bus_queue_output(arg_name="packing", connection="ServiceBus", queue_name="packing")
def take(req: func.HttpRequest, packing: func.Out[str]) -> func.HttpResponse:
    order = req.get_json()
    packing.set(json.dumps(order))
    return func.HttpResponse(json.dumps(order), status_code=202, mimetype="application/json")


@shop.service_bus_queue_trigger(arg_name="message", connection="ServiceBus", queue_name="packing")
def pack(message: func.ServiceBusMessage) -> None:
    order = json.loads(message.get_body())
    logging.info("packing %s", order["item"])
    _packed.append(order["item"])


@shop.route("packed", methods=["GET"])
async def packed(req: func.HttpRequest) -> str:
    return json.dumps({"packed": _packed, "ticks": len(_ticks)})


@shop.timer_trigger(arg_name="timer", schedule="* * * * * *")
def tick(timer: func.TimerRequest) -> None:
    _ticks.append(timer.past_due)
