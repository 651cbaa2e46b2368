"""Orders over HTTP by a blueprint, a queue behind them, and a timer that counts."""

import azure.functions as func
from orders import shop

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(shop)
