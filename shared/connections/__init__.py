"""How clients of services reach them over HTTP."""
