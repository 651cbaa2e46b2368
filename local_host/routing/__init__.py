"""Routes of HTTP functions: ASP.NET Core templates, and which function answers a path."""
