"""A claim: receipts are checked side by side, then a person approves, or time runs out."""

from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("claims/{number}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def claim(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    number = req.route_params["number"]
    instance = await client.start_new("reimburse", number, req.get_json())
    return client.create_check_status_response(req, instance)


@app.orchestration_trigger(context_name="context")
def reimburse(context: df.DurableOrchestrationContext):
    receipts = context.get_input()
    checked = yield context.task_all([context.call_activity("check", each) for each in receipts])
    context.set_custom_status({"total": sum(checked)})
    approval = context.wait_for_external_event("Approval")
    expires = context.create_timer(context.current_utc_datetime + timedelta(minutes=5))
    first = yield context.task_any([approval, expires])
    if first is expires:
        return {"paid": 0, "because": "nobody approved"}
    expires.cancel()
    return {"paid": sum(checked) if approval.result else 0}


@app.activity_trigger(input_name="receipt")
def check(receipt: dict) -> int:
    return int(receipt["amount"])
