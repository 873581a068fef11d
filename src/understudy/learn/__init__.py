"""How policies are learnt: each way is a generator of Progress."""
